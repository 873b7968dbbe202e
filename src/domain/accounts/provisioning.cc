#include "domain/accounts/provisioning.h"

#include "audit/activity.h"
#include "obs/log.h"
#include "tenancy/tenant_mint.h"

namespace coditect::accounts {
namespace {

using namespace std::chrono_literals;
using tenancy::GlobalStatement;
using tenancy::TenantStatement;

constexpr std::string_view kPlanPurpose = "provisioning_plan", kBodyPurpose = "provisioning_body";
constexpr auto kKept = 24h;

struct Record {
  std::string body_key;
  pg::Bytes body_mac;
  pg::Bytes plan;
  std::optional<std::int32_t> status;
  std::optional<std::int64_t> tenant;
};
BOOST_DESCRIBE_STRUCT(Record, (), (body_key, body_mac, plan, status, tenant))

constexpr GlobalStatement<Record, pg::Bytes> kFind{
    "provisioning.find",
    "SELECT body_key, body_mac, plan, status, tenant_id FROM request_records WHERE id = $1 AND "
    "expires_at > now()"};
constexpr GlobalStatement<pg::NoRow, pg::Bytes> kDropExpired{
    "provisioning.drop_expired",
    "DELETE FROM request_records WHERE id = $1 AND expires_at <= now()"};
constexpr GlobalStatement<pg::NoRow, pg::Bytes, std::string, pg::Bytes, pg::Bytes, Timestamp,
                          Timestamp>
    kClaim{"provisioning.claim",
           "INSERT INTO request_records (id, body_key, body_mac, plan, created_at, expires_at) "
           "VALUES ($1, $2, $3, $4, $5, $6)"};
constexpr GlobalStatement<auth::UserId, auth::UserId, std::string, std::string, Timestamp> kAddUser{
    "provisioning.add_user",
    "INSERT INTO users (id, email, password_hash, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT "
    "(email) DO NOTHING RETURNING id"};
constexpr GlobalStatement<std::int64_t, TenantPublicId, std::string, std::string, Timestamp>
    kAddTenant{"provisioning.add_tenant",
               "INSERT INTO tenants (public_id, slug, name, cell, state, created_at, updated_at) "
               "VALUES ($1, $2, $3, 'cell-1', 'provisioning', $4, $4) "
               "ON CONFLICT (slug) DO NOTHING RETURNING id"};
constexpr GlobalStatement<pg::NoRow, auth::UserId, std::int64_t, Timestamp> kAddUserTenant{
    "provisioning.add_user_tenant",
    "INSERT INTO user_tenants (user_id, tenant_id, created_at) VALUES ($1, $2, $3) ON CONFLICT "
    "(user_id, tenant_id) DO NOTHING"};
constexpr GlobalStatement<pg::NoRow, pg::Bytes, std::int64_t> kNoteTenant{
    "provisioning.note_tenant", "UPDATE request_records SET tenant_id = $2 WHERE id = $1"};
constexpr GlobalStatement<pg::NoRow, std::int64_t> kActivate{
    "provisioning.activate",
    "UPDATE tenants SET state = 'active', cell_epoch = 1, updated_at = now() WHERE id = $1 AND "
    "state = 'provisioning'"};
constexpr GlobalStatement<pg::NoRow, pg::Bytes> kDone{
    "provisioning.done", "UPDATE request_records SET status = 201 WHERE id = $1"};

constexpr TenantStatement<pg::NoRow> kAddState{
    "provisioning.add_state",
    "INSERT INTO tenant_state (tenant_id, state, epoch) VALUES ($1, 'active', 1) ON CONFLICT "
    "(tenant_id) DO NOTHING"};
constexpr TenantStatement<pg::NoRow, auth::MemberId, auth::UserId, std::string, Timestamp>
    kAddOwner{"provisioning.add_owner",
              "INSERT INTO members (tenant_id, id, user_id, email, role, state, created_at, "
              "updated_at) VALUES ($1, $2, $3, $4, 'owner', 'active', $5, $5) "
              "ON CONFLICT (tenant_id, id) DO NOTHING"};
constexpr TenantStatement<pg::NoRow, auth::ApiKeyId, std::string, pg::Bytes,
                          std::vector<std::string>, auth::MemberId, Timestamp>
    kAddKey{"provisioning.add_key",
            "INSERT INTO api_keys (tenant_id, id, name, secret_key, secret_hash, scopes, "
            "created_by, created_at) VALUES ($1, $2, 'first key', $3, $4, $5, $6, $7) "
            "ON CONFLICT (tenant_id, id) DO NOTHING"};

struct Left {
  pg::Bytes id;
  pg::Bytes plan;
  std::int64_t tenant = 0;
};
BOOST_DESCRIBE_STRUCT(Left, (), (id, plan, tenant))
constexpr GlobalStatement<Left> kLeft{
    "provisioning.left",
    "SELECT r.id, r.plan, t.id FROM request_records r JOIN tenants t ON t.id = r.tenant_id WHERE "
    "t.state = 'provisioning' AND t.updated_at < now() - interval '15 seconds' LIMIT 100"};

std::string pack(const Plan& p) {
  return boost::json::serialize(boost::json::object{{"user", p.user.str()},
                                                    {"email", p.email},
                                                    {"tenant", p.tenant.str()},
                                                    {"name", p.name},
                                                    {"slug", p.slug},
                                                    {"member", p.member.str()},
                                                    {"key", p.key.str()},
                                                    {"key_text", p.key_text},
                                                    {"activity", to_string(p.activity)},
                                                    {"request_id", p.request_id}});
}

Plan unpack(const std::string& text) {
  const auto value = boost::json::parse(text);
  const auto get = [&value](const char* name) { return std::string(value.at(name).as_string()); };
  return {*auth::UserId::parse(get("user")),
          get("email"),
          *TenantPublicId::parse(get("tenant")),
          get("name"),
          get("slug"),
          *auth::MemberId::parse(get("member")),
          *auth::ApiKeyId::parse(get("key")),
          get("key_text"),
          *parse_uuid(get("activity")),
          get("request_id")};
}

std::vector<std::string> all_scopes() {
  std::vector<std::string> out;
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<auth::Permission>>(
      [&out](auto d) { out.emplace_back(d.name); });
  return out;
}

[[noreturn]] void in_flight() {
  fail(Code::conflict, "idempotency_key_in_flight",
       "the first of these requests is not finished; try again");
}

}  // namespace

Async<std::optional<Provisioning::Outcome>> Provisioning::resume(const RequestScope& scope,
                                                                 Deadline deadline) {
  const auto record =
      co_await GlobalDb(s_.directory, deadline).maybe_one(kFind, pg::Bytes{scope.id});
  if (!record || !record->tenant) co_return std::nullopt;
  const bool same =
      s_.keys.verify(kBodyPurpose, scope.body, {record->body_key, record->body_mac.value});
  if (!scope.is_explicit && (!same || record->status))
    co_return std::nullopt;  // the rules of a fresh request decide
  if (!same)
    fail(Code::unprocessable, "idempotency_key_reused",
         "this Idempotency-Key was used with another body");
  const auto text = s_.keys.open(kPlanPurpose, record->plan.value, scope.id);
  if (!text)
    fail(Code::conflict, "idempotency_record_unreadable",
         "the answer was sealed with a key that is gone");
  const auto plan = unpack(*text);
  if (!record->status) co_await finish(scope.id, *record->tenant, plan, deadline);
  co_return Outcome{plan, true};
}

Async<Provisioning::Outcome> Provisioning::run(const RequestScope& scope, Plan plan,
                                               std::optional<std::string> password_hash,
                                               Deadline deadline) {
  const auto body = s_.keys.mac(kBodyPurpose, scope.body);
  const auto at = now();
  auto tx = GlobalDb(s_.directory, deadline).begin();
  tx.defer(kDropExpired, pg::Bytes{scope.id});
  tx.set_lock_timeout(50ms);
  tx.defer(kClaim, pg::Bytes{scope.id}, body.key_id, pg::Bytes{body.bytes},
           pg::Bytes{s_.keys.seal(kPlanPurpose, pack(plan), scope.id)}, at, at + kKept);
  tx.set_lock_timeout(2000ms);
  if (auto error = co_await tx.try_flush()) {
    co_await tx.rollback();
    if (error->state == "55P03") in_flight();
    if (error->state != "23505") throw pg::SqlFailure(std::move(*error));
    // Somebody was faster: theirs is the plan.
    if (auto other = co_await resume(scope, deadline)) co_return std::move(*other);
    fail(Code::conflict, "email_taken", "this e-mail address or slug is in use");
  }
  if (password_hash && !co_await tx.maybe_one(kAddUser, plan.user, plan.email, *password_hash, at))
    fail(Code::conflict, "email_taken",
         "there is an account with this e-mail address; sign in and use POST /v1/tenants");
  const auto tenant = co_await tx.maybe_one(kAddTenant, plan.tenant, plan.slug, plan.name, at);
  if (!tenant)
    throw Failure({Code::conflict,
                   "slug_taken",
                   "this slug is in use or was",
                   {{"/organization/slug", "taken", "is taken; choose another"}}});
  tx.defer(kAddUserTenant, plan.user, *tenant, at);
  tx.defer(kNoteTenant, pg::Bytes{scope.id}, *tenant);
  co_await tx.commit();
  co_await finish(scope.id, *tenant, plan, deadline);
  co_return Outcome{std::move(plan), false};
}

Async<> Provisioning::finish(const std::string& scope_id, std::int64_t tenant, const Plan& plan,
                             Deadline deadline) {
  const auto token = auth::ApiKeyToken::parse(plan.key_text);
  const auto mac = auth::secret_mac(s_.keys, token->secret);
  const auto at = now();
  auto cell = TenantDb(s_.cell, tenancy::TenantMint::mint(tenant), deadline)
                  .begin(TenantDb::Fence::unfenced);
  cell.defer(kAddState);
  cell.defer(kAddOwner, plan.member, plan.user, plan.email, at);
  cell.defer(kAddKey, plan.key, mac.key_id, pg::Bytes{mac.bytes}, all_scopes(), plan.member, at);
  audit::record(cell, {.actor = {"member", plan.member.uuid()},
                       .verb = "tenant.created",
                       .target = {"tenant", plan.tenant.uuid()},
                       .after = http::to_json(TenantView{plan.tenant, plan.slug, plan.name,
                                                         tenancy::TenantState::active}),
                       .request_id = plan.request_id,
                       .id = audit::ActivityId(plan.activity)});
  co_await cell.commit();
  auto directory = GlobalDb(s_.directory, deadline).begin();
  directory.defer(kActivate, tenant);
  directory.defer(kDone, pg::Bytes{scope_id});
  co_await directory.commit();
}

Async<int> Provisioning::sweep(Deadline deadline) {
  const auto left = co_await GlobalDb(s_.directory, deadline).all(kLeft);
  int finished = 0;
  for (const auto& item : left) {
    const auto text = s_.keys.open(kPlanPurpose, item.plan.value, item.id.value);
    if (!text) {
      obs::log(obs::Level::error, "a signup cannot be finished: its sealing key is gone",
               {{"tenant_id", item.tenant}});
      continue;
    }
    co_await finish(item.id.value, item.tenant, unpack(*text), deadline);
    ++finished;
  }
  if (finished > 0)
    obs::log(obs::Level::info, "finished signups that were left half done", {{"count", finished}});
  co_return finished;
}

}  // namespace coditect::accounts
