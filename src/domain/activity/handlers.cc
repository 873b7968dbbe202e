#include "domain/activity/handlers.h"

#include "audit/activity.h"

namespace coditect::activity {
namespace {

using auth::Page;
using auth::Reply;
using auth::TenantRead;

struct Row {
  audit::ActivityId id;
  std::string actor_type;
  std::optional<Uuid> actor_id;
  std::string verb;
  std::string target_type;
  Uuid target_id;
  std::optional<pg::Json> before, after;
  std::string request_id;
  Timestamp created_at;
};
BOOST_DESCRIBE_STRUCT(Row, (),
                      (id, actor_type, actor_id, verb, target_type, target_id, before, after,
                       request_id, created_at))

struct Activity {
  audit::ActivityId id;
  std::string actor_type;
  std::optional<std::string> actor_id;
  std::string verb;
  std::string target_type;
  std::string target_id;
  http::RawJson before, after;
  std::string request_id;
  Timestamp created_at;
};
BOOST_DESCRIBE_STRUCT(Activity, (),
                      (id, actor_type, actor_id, verb, target_type, target_id, before, after,
                       request_id, created_at))

#define ACTIVITY_COLUMNS                                                                           \
  "SELECT a.id, a.actor_type, a.actor_id, a.verb, a.target_type, a.target_id, a.before, a.after, " \
  "a.request_id, a.created_at FROM activity a "
constexpr tenancy::TenantStatement<Row, audit::ActivityId, std::int32_t> kList{
    "activity.list",
    ACTIVITY_COLUMNS "WHERE a.tenant_id = $1 AND a.id < $2 ORDER BY a.id DESC LIMIT $3"};
constexpr tenancy::TenantStatement<Row, audit::ActivityId, std::int32_t, Uuid> kByTarget{
    "activity.by_target", ACTIVITY_COLUMNS
    "WHERE a.tenant_id = $1 AND a.target_id = $4 AND a.id < $2 ORDER BY a.id DESC LIMIT $3"};

/// The kinds of id that are not called as their target.
std::string prefix_of(const std::string& type) {
  if (type == "tenant") return "org";
  return type == "api_key" ? "key" : type;
}

std::string type_id(const std::string& type, const Uuid& id) {
  return prefix_of(type) + "_" + to_base32(id);
}

http::RawJson raw(const std::optional<pg::Json>& json) { return {json ? json->text : "null"}; }

/// Whether the credential may read the things of this type themselves: what they were is only for
/// those who may see what they are.
bool may_read(auth::PermissionSet own, const std::string& type) {
  using auth::Permission;
  if (type == "member") return own.has(Permission::members_read);
  if (type == "api_key") return own.has(Permission::api_keys_read);
  if (type == "tenant") return own.has(Permission::tenant_read);
  return own.has(Permission::data_read);
}

Async<Reply<Page<Activity>>> list(TenantRead& ctx) {
  const auto query = ctx.page_query();
  Uuid highest;
  highest.bytes.fill(0xff);
  const auto before =
      query.after ? *audit::ActivityId::parse(*query.after) : audit::ActivityId(highest);
  Page<Activity> page;
  std::vector<Row> rows;
  if (const auto target = ctx.query("target_id")) {
    const auto bar = target->rfind('_');
    const auto id = bar == std::string::npos
                        ? std::nullopt
                        : parse_base32(std::string_view(*target).substr(bar + 1));
    if (!id) co_return Reply<Page<Activity>>{std::move(page)};
    rows = co_await ctx.db.all(kByTarget, before, query.size + 1, *id);
  } else {
    rows = co_await ctx.db.all(kList, before, query.size + 1);
  }
  if (rows.size() > static_cast<std::size_t>(query.size)) {
    rows.pop_back();
    page.next_page_token = ctx.next_token(rows.back().id.str());
  }
  const auto own = co_await ctx.permissions();
  for (const auto& r : rows)
    page.items.push_back(
        {r.id, r.actor_type,
         r.actor_id ? std::optional(type_id(r.actor_type, *r.actor_id)) : std::nullopt, r.verb,
         r.target_type, type_id(r.target_type, r.target_id),
         raw(may_read(own, r.target_type) ? r.before : std::nullopt),
         raw(may_read(own, r.target_type) ? r.after : std::nullopt), r.request_id, r.created_at});
  co_return Reply<Page<Activity>>{std::move(page)};
}

}  // namespace

void add_routes(auth::Routes& r) {
  r.read("/v1/tenants/{tenant}/activity", auth::Permission::activity_read,
         {"listActivity",
          "Activity",
          "What happened, newest first",
          {{"target_id", "to this project, task, comment, member or key"},
           {"page_size", "1 to 200, 50 by default"},
           {"page_token", "next_page_token of the page before"}}},
         list);
}

}  // namespace coditect::activity
