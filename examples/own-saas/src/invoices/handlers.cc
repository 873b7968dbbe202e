#include "invoices/handlers.h"

#include "audit/activity.h"
#include "invoices/queries.h"

namespace own_saas::invoices {
namespace {

using auth::Nothing;
using auth::Page;
using auth::Permission;
using auth::Reply;
using auth::TenantRead;
using auth::TenantWrite;

audit::Entry entry(const auth::TenantContext& ctx, std::string verb, InvoiceId id) {
  return {.actor = {std::string(ctx.principal().type_name()), ctx.principal().id},
          .verb = std::move(verb),
          .target = {"invoice", id.uuid()},
          .request_id = ctx.request.id};
}

InvoiceId id_of(const auth::Context& ctx) {
  return ctx.path_id<InvoiceId>("invoice", "invoice_not_found");
}

Async<Reply<Page<Invoice>>> list(TenantRead& ctx) {
  const auto query = ctx.page_query();
  const auto after = query.after ? *InvoiceId::parse(*query.after) : InvoiceId();
  auto rows = co_await ctx.db.all(kList, after, query.size + 1);
  Page<Invoice> page;
  if (rows.size() > static_cast<std::size_t>(query.size)) {
    rows.pop_back();
    page.next_page_token = ctx.next_token(rows.back().id.str());
  }
  page.items.assign(rows.begin(), rows.end());
  co_return Reply<Page<Invoice>>{std::move(page)};
}

Async<Reply<Invoice>> get(TenantRead& ctx) {
  auto row = co_await ctx.db.maybe_one(kGet, id_of(ctx));
  if (!row) fail(Code::not_found, "invoice_not_found");
  co_return Reply<Invoice>{*row, 200, row->version};
}

Async<Reply<Invoice>> create(TenantWrite& ctx, CreateInvoice body) {
  Invoice made;
  made.created_at = made.updated_at = now();
  made.id = InvoiceId::make(made.created_at);
  made.customer_id = body.customer_id;
  made.number = body.number.value;
  made.amount = body.amount.value;
  made.due_on = body.due_on;
  const auto rows = co_await ctx.tx.execute(kInsert, made.id, made.customer_id, made.number,
                                            made.amount, made.due_on, made.created_at);
  if (rows == 0)
    throw Failure({Code::invalid_argument,
                   "validation_failed",
                   "the body breaks the rules named in errors",
                   {{"/customer_id", "not_found", "must be a customer of this organization"}}});
  auto e = entry(ctx, "invoice.created", made.id);
  e.after = http::to_json(made);
  audit::record(ctx.tx, e);
  Reply<Invoice> reply{made, 201, 1};
  reply.headers.push_back({"Location", std::string(ctx.request.path()) + "/" + made.id.str()});
  co_return reply;
}

/// Writes the row as it shall be, with the trail; nothing when it is so already.
Reply<Invoice> save(TenantWrite& ctx, const InvoiceRow& before, InvoiceRow after,
                    std::string verb) {
  if (static_cast<const Invoice&>(before) == after) return {after, 200, after.version};
  after.updated_at = now();
  ctx.tx.defer(kUpdate, after.id, after.number, after.amount, after.due_on, after.status,
               after.paid_at, after.updated_at, after.deleted_at);
  auto e = entry(ctx, std::move(verb), after.id);
  e.before = http::to_json<Invoice>(before);
  e.after = http::to_json<Invoice>(after);
  audit::record(ctx.tx, e);
  return {after, 200, after.version + 1};
}

Async<InvoiceRow> lock(TenantWrite& ctx, bool deleted) {
  auto row = co_await ctx.tx.maybe_one(kLock, id_of(ctx));
  if (!row || row->deleted_at.has_value() != deleted) fail(Code::not_found, "invoice_not_found");
  ctx.require_match(row->version);
  co_return *row;
}

Async<Reply<Invoice>> patch(TenantWrite& ctx, PatchInvoice body) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  if (body.number.present()) after.number = (*body.number).value;
  if (body.amount.present()) after.amount = (*body.amount).value;
  if (body.due_on.present()) after.due_on = *body.due_on;
  co_return save(ctx, before, after, "invoice.updated");
}

/// A custom endpoint: what it checks and what it writes are one transaction.
Async<Reply<Invoice>> pay(TenantWrite& ctx, PayInvoice body) {
  const auto before = co_await lock(ctx, false);
  if (before.status == InvoiceStatus::paid)
    fail(Code::conflict, "invoice_already_paid", "the invoice is paid already");
  if (body.amount.value != before.amount)
    throw Failure({Code::invalid_argument,
                   "validation_failed",
                   "the body breaks the rules named in errors",
                   {{"/amount", "wrong_amount", "must be the invoice's whole amount"}}});
  auto after = before;
  after.status = InvoiceStatus::paid;
  after.paid_at = now();
  co_return save(ctx, before, after, "invoice.paid");
}

Async<Reply<Nothing>> remove(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  after.deleted_at = now();
  save(ctx, before, after, "invoice.deleted");
  co_return Reply<Nothing>{};
}

Async<Reply<Invoice>> undelete(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, true);
  auto after = before;
  after.deleted_at = {};
  co_return save(ctx, before, after, "invoice.undeleted");
}

}  // namespace

void add_routes(auth::Routes& r) {
  const std::string path = "/v1/tenants/{tenant}/invoices", one = path + "/{invoice}";
  r.read(path, Permission::data_read,
         {"listInvoices",
          "Invoices",
          "Invoices, oldest first",
          {{"page_size", "1 to 200, 50 by default"},
           {"page_token", "next_page_token of the page before"}}},
         list);
  r.write("POST", path, Permission::data_write,
          {"createInvoice", "Invoices", "Create one", {}, 201}, create);
  r.read(one, Permission::data_read, {"getInvoice", "Invoices", "Get one"}, get);
  r.write("PATCH", one, Permission::data_write, {"updateInvoice", "Invoices", "Change one"}, patch);
  r.write("POST", one + "/pay", Permission::data_write,
          {"payInvoice", "Invoices", "Take a payment of the whole amount"}, pay);
  r.write("DELETE", one, Permission::data_write, {"deleteInvoice", "Invoices", "Delete one"},
          remove);
  r.write("POST", one + "/undelete", Permission::data_write,
          {"undeleteInvoice", "Invoices", "Bring a deleted one back"}, undelete);
}

}  // namespace own_saas::invoices
