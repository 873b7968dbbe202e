#include "domain/operators/handlers.h"

#include <charconv>

#include "tenancy/lifecycle.h"

namespace coditect::operators {
namespace {

using auth::OperatorContext;
using auth::Page;
using auth::Reply;
using tenancy::GlobalStatement;
using tenancy::OperatorStatement;
using tenancy::TenantState;

struct Tenant {
  TenantPublicId id;
  std::string slug;
  std::string name;
  std::string cell;
  TenantState state;
  std::string state_reason;
  Timestamp created_at;
  std::optional<Timestamp> deleted_at;
};
BOOST_DESCRIBE_STRUCT(Tenant, (),
                      (id, slug, name, cell, state, state_reason, created_at, deleted_at))

constexpr GlobalStatement<Tenant, std::string, std::optional<std::string>, std::int32_t> kList{
    "operators.list",
    "SELECT public_id, slug, name, cell, state, state_reason, created_at, deleted_at FROM tenants "
    "WHERE slug > $1 AND state <> 'purged' "
    "AND ($2::text IS NULL OR state = $2) ORDER BY slug LIMIT $3"};
constexpr GlobalStatement<Tenant, std::string, std::int32_t> kFindByMember{
    "operators.find_by_member",
    "SELECT t.public_id, t.slug, t.name, t.cell, t.state, t.state_reason, t.created_at, "
    "t.deleted_at FROM users u JOIN user_tenants ut ON ut.user_id = u.id "
    "JOIN tenants t ON t.id = ut.tenant_id WHERE u.email = $1 ORDER BY t.slug LIMIT $2"};
constexpr GlobalStatement<Tenant, std::string> kGet{
    "operators.get",
    "SELECT public_id, slug, name, cell, state, state_reason, created_at, deleted_at FROM tenants "
    "WHERE slug = $1"};
constexpr GlobalStatement<std::int64_t, std::string> kTenantId{
    "operators.tenant_id", "SELECT id FROM tenants WHERE slug = $1 AND state <> 'purged'"};
constexpr GlobalStatement<pg::NoRow, Uuid, auth::OperatorId, std::string,
                          std::optional<std::int64_t>, std::string, std::string, Timestamp>
    kLog{"operators.log",
         "INSERT INTO operator_log (id, operator_id, action, tenant_id, reason, request_id, at) "
         "VALUES ($1, $2, $3, $4, $5, $6, $7)"};

struct Usage {
  std::int64_t members = 0, projects = 0, tasks = 0, comments = 0, activity = 0, api_keys = 0;
};
BOOST_DESCRIBE_STRUCT(Usage, (), (members, projects, tasks, comments, activity, api_keys))
constexpr OperatorStatement<Usage, std::int64_t> kUsage{
    "operators.usage",
    "SELECT (SELECT count(*) FROM members WHERE tenant_id = $1), (SELECT count(*) FROM projects "
    "WHERE tenant_id = $1), "
    "(SELECT count(*) FROM tasks WHERE tenant_id = $1), (SELECT count(*) FROM comments WHERE "
    "tenant_id = $1), "
    "(SELECT count(*) FROM activity WHERE tenant_id = $1), (SELECT count(*) FROM api_keys WHERE "
    "tenant_id = $1)"};

struct LogEntry {
  Timestamp at;
  auth::OperatorId operator_id;
  std::string action;
  std::optional<std::string> tenant;
  std::string reason;
  std::string request_id;
};
BOOST_DESCRIBE_STRUCT(LogEntry, (), (at, operator_id, action, tenant, reason, request_id))
struct LogList {
  std::vector<LogEntry> items;
};
BOOST_DESCRIBE_STRUCT(LogList, (), (items))
constexpr GlobalStatement<LogEntry> kReadLog{
    "operators.read_log",
    "SELECT l.at, l.operator_id, l.action, t.slug, l.reason, l.request_id FROM operator_log l LEFT "
    "JOIN tenants t ON t.id = l.tenant_id "
    "ORDER BY l.id DESC LIMIT 200"};

GlobalDb directory(OperatorContext& ctx) {
  return GlobalDb(ctx.services.directory_operator, ctx.request.deadline, ctx.request.tracer);
}

std::string slug_of(const OperatorContext& ctx) { return ctx.params.at("tenant"); }

[[noreturn]] void no_tenant() {
  fail(Code::not_found, "tenant_not_found", "there is no such organization");
}

/// Written before the act: what was tried is on record even when it fails.
Async<std::int64_t> note(OperatorContext& ctx, std::string action) {
  const auto id = co_await directory(ctx).maybe_one(kTenantId, slug_of(ctx));
  if (!id) no_tenant();
  auto tx = directory(ctx).begin();
  tx.defer(kLog, make_uuid7(), ctx.by.id, action, id, ctx.reason, ctx.request.id, now());
  co_await tx.commit();
  co_return *id;
}

Async<Reply<Page<Tenant>>> list(OperatorContext& ctx) {
  Page<Tenant> page;
  int size = 50;
  if (const auto text = ctx.query("page_size")) {
    const auto [end, bad] = std::from_chars(text->data(), text->data() + text->size(), size);
    if (bad != std::errc() || end != text->data() + text->size() || size < 1)
      throw Failure({Code::invalid_argument,
                     "invalid_parameter",
                     "",
                     {{"page_size", "invalid", "must be 1 to 200"}}});
    size = std::min(size, 200);
  }
  if (const auto email = ctx.query("member_email")) {
    page.items = co_await directory(ctx).all(kFindByMember, to_lower_ascii(*email), 200);
    co_return Reply<Page<Tenant>>{std::move(page)};
  }
  // The directory's order is the slug, which is also the token: an operator may see every slug.
  page.items = co_await directory(ctx).all(kList, ctx.query("page_token").value_or(""),
                                           ctx.query("state"), size + 1);
  if (page.items.size() > static_cast<std::size_t>(size)) {
    page.items.pop_back();
    page.next_page_token = page.items.back().slug;
  }
  co_return Reply<Page<Tenant>>{std::move(page)};
}

Async<Reply<Tenant>> get(OperatorContext& ctx) {
  auto tenant = co_await directory(ctx).maybe_one(kGet, slug_of(ctx));
  if (!tenant) no_tenant();
  co_return Reply<Tenant>{std::move(*tenant)};
}

Async<Reply<Tenant>> change(OperatorContext& ctx, std::string action, std::vector<TenantState> from,
                            TenantState to) {
  const auto id = co_await note(ctx, action);
  tenancy::Lifecycle lifecycle(ctx.services.directory_operator, ctx.services.cell_operator,
                               ctx.services.tenants);
  const auto record = co_await lifecycle.change(id, from, to, ctx.reason, ctx.request.deadline);
  if (!record)
    fail(Code::conflict, "tenant_state_conflict",
         "the organization is not in a state that allows this");
  co_return co_await get(ctx);
}

Async<Reply<Tenant>> suspend(OperatorContext& ctx) {
  return change(ctx, "suspend", {TenantState::active}, TenantState::suspended);
}
Async<Reply<Tenant>> resume(OperatorContext& ctx) {
  return change(ctx, "resume", {TenantState::suspended}, TenantState::active);
}
Async<Reply<Tenant>> undelete(OperatorContext& ctx) {
  return change(ctx, "undelete", {TenantState::deleted}, TenantState::active);
}

Async<Reply<Usage>> usage(OperatorContext& ctx) {
  if (ctx.reason.size() < 3)
    fail(Code::invalid_argument, "reason_missing",
         "say why in the header X-Reason (at least 3 characters)");
  const auto id = co_await note(ctx, "read usage");
  auto usage =
      co_await OperatorDb(ctx.services.cell_operator, ctx.request.deadline, ctx.request.tracer)
          .maybe_one(kUsage, id);
  co_return Reply<Usage>{usage.value_or(Usage{})};
}

Async<Reply<LogList>> read_log(OperatorContext& ctx) {
  co_return Reply<LogList>{{co_await directory(ctx).all(kReadLog)}};
}

}  // namespace

void add_routes(auth::Routes& r) {
  const std::string path = "/v1/operator/tenants";
  r.operators("GET", path,
              {"operatorListTenants",
               "Operators",
               "All organizations, by slug",
               {{"state", "active, suspended, deleted or provisioning"},
                {"member_email", "of this user"},
                {"page_size", "1 to 200, 50 by default"},
                {"page_token", "next_page_token of the page before"}}},
              list);
  r.operators("GET", path + "/{tenant}", {"operatorGetTenant", "Operators", "One organization"},
              get);
  r.operators("GET", path + "/{tenant}/usage",
              {"operatorUsage", "Operators", "Rows an organization has"}, usage);
  r.operators("POST", path + "/{tenant}/suspend",
              {"operatorSuspend", "Operators",
               "Suspend an organization: writes stop at once, reads within a second"},
              suspend);
  r.operators("POST", path + "/{tenant}/resume",
              {"operatorResume", "Operators", "End a suspension"}, resume);
  r.operators("POST", path + "/{tenant}/undelete",
              {"operatorUndelete", "Operators", "Bring a deleted organization back"}, undelete);
  r.operators("GET", "/v1/operator/log",
              {"operatorLog", "Operators", "What operators did, newest first"}, read_log);
}

}  // namespace coditect::operators
