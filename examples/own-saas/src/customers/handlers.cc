#include "customers/handlers.h"

#include "audit/activity.h"
#include "customers/queries.h"

namespace own_saas::customers {
namespace {

using auth::Nothing;
using auth::Page;
using auth::Permission;
using auth::Reply;
using auth::TenantRead;
using auth::TenantWrite;

audit::Entry entry(const auth::TenantContext& ctx, std::string verb, CustomerId id) {
  return {.actor = {std::string(ctx.principal().type_name()), ctx.principal().id},
          .verb = std::move(verb),
          .target = {"customer", id.uuid()},
          .request_id = ctx.request.id};
}

CustomerId id_of(const auth::Context& ctx) {
  return ctx.path_id<CustomerId>("customer", "customer_not_found");
}

Async<Reply<Page<Customer>>> list(TenantRead& ctx) {
  const auto query = ctx.page_query();
  const auto after = query.after ? *CustomerId::parse(*query.after) : CustomerId();
  auto rows = co_await ctx.db.all(kList, after, query.size + 1);
  Page<Customer> page;
  if (rows.size() > static_cast<std::size_t>(query.size)) {
    rows.pop_back();
    page.next_page_token = ctx.next_token(rows.back().id.str());
  }
  page.items.assign(rows.begin(), rows.end());
  co_return Reply<Page<Customer>>{std::move(page)};
}

Async<Reply<Customer>> get(TenantRead& ctx) {
  auto row = co_await ctx.db.maybe_one(kGet, id_of(ctx));
  if (!row) fail(Code::not_found, "customer_not_found");
  co_return Reply<Customer>{*row, 200, row->version};
}

Async<Reply<Customer>> create(TenantWrite& ctx, CreateCustomer body) {
  Customer made;
  made.created_at = made.updated_at = now();
  made.id = CustomerId::make(made.created_at);
  made.name = body.name.value;
  made.email = body.email ? std::optional(body.email->value) : std::nullopt;
  made.active = body.active;
  ctx.tx.defer(kInsert, made.id, made.name, made.email, made.active, made.created_at);
  auto e = entry(ctx, "customer.created", made.id);
  e.after = http::to_json(made);
  audit::record(ctx.tx, e);
  Reply<Customer> reply{made, 201, 1};
  reply.headers.push_back({"Location", std::string(ctx.request.path()) + "/" + made.id.str()});
  co_return reply;
}

/// Writes the row as it shall be, with the trail; nothing when it is so already.
Reply<Customer> save(TenantWrite& ctx, const CustomerRow& before, CustomerRow after,
                     std::string verb) {
  if (static_cast<const Customer&>(before) == after) return {after, 200, after.version};
  after.updated_at = now();
  ctx.tx.defer(kUpdate, after.id, after.name, after.email, after.active, after.updated_at,
               after.deleted_at);
  auto e = entry(ctx, std::move(verb), after.id);
  e.before = http::to_json<Customer>(before);
  e.after = http::to_json<Customer>(after);
  audit::record(ctx.tx, e);
  return {after, 200, after.version + 1};
}

Async<CustomerRow> lock(TenantWrite& ctx, bool deleted) {
  auto row = co_await ctx.tx.maybe_one(kLock, id_of(ctx));
  if (!row || row->deleted_at.has_value() != deleted) fail(Code::not_found, "customer_not_found");
  ctx.require_match(row->version);
  co_return *row;
}

Async<Reply<Customer>> patch(TenantWrite& ctx, PatchCustomer body) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  if (body.name.present()) after.name = (*body.name).value;
  if (body.email.present())
    after.email = (*body.email) ? std::optional((*body.email)->value) : std::nullopt;
  if (body.active.present()) after.active = *body.active;
  co_return save(ctx, before, after, "customer.updated");
}

Async<Reply<Nothing>> remove(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  after.deleted_at = now();
  save(ctx, before, after, "customer.deleted");
  co_return Reply<Nothing>{};
}

Async<Reply<Customer>> undelete(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, true);
  auto after = before;
  after.deleted_at = {};
  co_return save(ctx, before, after, "customer.undeleted");
}

}  // namespace

void add_routes(auth::Routes& r) {
  const std::string path = "/v1/tenants/{tenant}/customers", one = path + "/{customer}";
  r.read(path, Permission::data_read,
         {"listCustomers",
          "Customers",
          "Customers, oldest first",
          {{"page_size", "1 to 200, 50 by default"},
           {"page_token", "next_page_token of the page before"}}},
         list);
  r.write("POST", path, Permission::data_write,
          {"createCustomer", "Customers", "Create one", {}, 201}, create);
  r.read(one, Permission::data_read, {"getCustomer", "Customers", "Get one"}, get);
  r.write("PATCH", one, Permission::data_write, {"updateCustomer", "Customers", "Change one"},
          patch);
  r.write("DELETE", one, Permission::data_write, {"deleteCustomer", "Customers", "Delete one"},
          remove);
  r.write("POST", one + "/undelete", Permission::data_write,
          {"undeleteCustomer", "Customers", "Bring a deleted one back"}, undelete);
}

}  // namespace own_saas::customers
