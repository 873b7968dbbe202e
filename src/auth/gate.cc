#include "auth/gate.h"

#include "base/bytes.h"
#include "crypto/digest.h"
#include "tenancy/tenant_mint.h"

namespace coditect::auth {
namespace {

using namespace std::chrono_literals;
using tenancy::GlobalStatement;
using tenancy::TenantRecord;
using tenancy::TenantState;
using tenancy::TenantStatement;

struct KeyRow {
  std::string secret_key;
  pg::Bytes secret_hash;
  std::vector<std::string> scopes;
};
BOOST_DESCRIBE_STRUCT(KeyRow, (), (secret_key, secret_hash, scopes))

constexpr TenantStatement<KeyRow, ApiKeyId> kFindKey{
    "auth.find_api_key",
    "SELECT k.secret_key, k.secret_hash, k.scopes FROM api_keys k WHERE k.tenant_id = $1 AND k.id "
    "= $2 "
    "AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())"};

struct SessionRow {
  SessionId id;
  UserId user;
  std::string email;
  Timestamp last_seen_at;
};
BOOST_DESCRIBE_STRUCT(SessionRow, (), (id, user, email, last_seen_at))

constexpr GlobalStatement<SessionRow, pg::Bytes, Timestamp> kFindSession{
    "auth.find_session",
    "SELECT s.id, s.user_id, u.email, s.last_seen_at FROM sessions s JOIN users u ON u.id = "
    "s.user_id "
    "WHERE s.token_hash = $1 AND s.expires_at > now() AND s.last_seen_at > $2 AND u.disabled_at IS "
    "NULL"};
constexpr GlobalStatement<pg::NoRow, SessionId, Timestamp> kSeen{
    "auth.session_seen", "UPDATE sessions SET last_seen_at = $2 WHERE id = $1"};

// One statement for a tenant of others, a missing one and one's own: they take the same time.
constexpr GlobalStatement<TenantRecord, UserId, std::string> kUsersTenant{
    "auth.users_tenant",
    "SELECT t.id, t.public_id, t.slug, t.cell, t.state, t.epoch FROM user_tenants ut JOIN tenants "
    "t ON t.id = ut.tenant_id "
    "WHERE ut.user_id = $1 AND t.slug = $2 AND t.state <> 'purged'"};

struct MemberRow {
  MemberId id;
  Role role;
};
BOOST_DESCRIBE_STRUCT(MemberRow, (), (id, role))

constexpr TenantStatement<MemberRow, UserId> kFindMember{
    "auth.find_member",
    "SELECT m.id, m.role FROM members m WHERE m.tenant_id = $1 AND m.user_id = $2 AND m.state = "
    "'active'"};

struct OperatorRow {
  std::string name;
  std::string secret_key;
  pg::Bytes secret_hash;
};
BOOST_DESCRIBE_STRUCT(OperatorRow, (), (name, secret_key, secret_hash))

constexpr GlobalStatement<OperatorRow, OperatorId> kFindOperator{
    "auth.find_operator",
    "SELECT name, secret_key, secret_hash FROM operators WHERE id = $1 AND revoked_at IS NULL"};

[[noreturn]] void no_credential() {
  fail(Code::unauthenticated, "invalid_credentials",
       "send a valid API key in Authorization: Bearer, or a session cookie");
}
[[noreturn]] void no_tenant() {
  fail(Code::not_found, "tenant_not_found", "there is no such organization");
}

std::optional<std::string_view> bearer_of(const http::Request& request) {
  const auto* header = request.header("authorization");
  if (header == nullptr) return std::nullopt;
  if (header->size() < 7 || to_lower_ascii(header->substr(0, 7)) != "bearer ") no_credential();
  return std::string_view(*header).substr(7);
}

std::optional<std::string> cookie(const http::Request& request, std::string_view name) {
  const auto* header = request.header("cookie");
  if (header == nullptr) return std::nullopt;
  std::string_view rest = *header;
  while (!rest.empty()) {
    const auto pair = trim(rest.substr(0, rest.find(';')));
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('='))
      return std::string(pair.substr(name.size() + 1));
    const auto semicolon = rest.find(';');
    rest.remove_prefix(semicolon == rest.npos ? rest.size() : semicolon + 1);
  }
  return std::nullopt;
}

PermissionSet scopes_of(const std::vector<std::string>& names) {
  std::vector<Permission> list;
  for (const auto& name : names) {
    Permission p{};
    if (boost::describe::enum_from_string(name.c_str(), p))
      list.push_back(p);  // one that is gone grants nothing
  }
  return PermissionSet(list);
}

bool is_changing(const http::Request& request) {
  return request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
}

}  // namespace

std::string session_cookie_name(const Settings& settings) {
  return settings.cookie_secure ? "__Host-coditect" : "coditect_session";
}

Gate::Gate(Services& services)
    : s_(services), keys_(65536, 1s), sessions_(65536, 1s), members_(65536, 1s) {}

void Gate::forget_session(const std::string& token_hash) { sessions_.erase(token_hash); }

Async<TenantAccess> Gate::tenant(const http::Request& request, const std::string& slug,
                                 bool while_inactive) {
  const auto bearer = bearer_of(request);
  auto access =
      bearer ? co_await by_api_key(request, *bearer, slug) : co_await by_session(request, slug);
  if (access.record.state == TenantState::provisioning) no_tenant();
  if (!while_inactive) {
    if (access.record.state == TenantState::suspended)
      fail(Code::permission_denied, "tenant_suspended",
           "the organization is suspended; ask the operator of this service");
    if (access.record.state != TenantState::active)
      fail(Code::permission_denied, "tenant_deleted",
           "the organization is deleted; an owner can bring it back for 30 days");
  }
  co_return access;
}

Async<TenantAccess> Gate::by_api_key(const http::Request& request, std::string_view bearer,
                                     const std::string& slug) {
  const auto token = ApiKeyToken::parse(bearer);
  if (!token) no_credential();
  const auto record = co_await s_.tenants.by_public_id(token->tenant, request.deadline);
  if (!record) no_credential();
  const auto digest = crypto::sha256(bearer);
  const Tenant tenant = tenancy::TenantMint::mint(record->id);
  auto* entry = keys_.find(digest);
  if (entry == nullptr || entry->tenant != record->id) {
    const auto row =
        co_await TenantDb(s_.cell, tenant, request.deadline).maybe_one(kFindKey, token->key);
    if (!row || !is_secret(s_.keys, token->secret, row->secret_key, row->secret_hash.value))
      no_credential();
    keys_.put(digest, {record->id, token->key.uuid(), scopes_of(row->scopes)});
    entry = keys_.find(digest);
  }
  if (record->slug != slug) no_tenant();
  co_return TenantAccess{
      tenant, *record, {Principal::Type::api_key, entry->key, entry->permissions}};
}

Async<UserAccess> Gate::user(const http::Request& request) {
  const auto token = cookie(request, session_cookie_name(s_.settings));
  if (!token || bearer_of(request))
    fail(Code::unauthenticated, "session_required", "sign in with POST /v1/sessions");
  const auto hash = session_hash(Secret(*token));
  const auto* entry = sessions_.find(hash);
  if (entry == nullptr) {
    const auto row =
        co_await GlobalDb(s_.directory, request.deadline)
            .maybe_one(kFindSession, pg::Bytes{hash}, now() - s_.settings.session_idle);
    if (!row)
      fail(Code::unauthenticated, "session_required",
           "the session has ended; sign in with POST /v1/sessions");
    if (now() - row->last_seen_at > 60s) {  // once a minute is enough for the idle limit
      auto tx = GlobalDb(s_.directory, request.deadline).begin();
      tx.defer(kSeen, row->id, now());
      co_await tx.commit();
    }
    sessions_.put(hash, {{row->user, row->id, row->email}});
    entry = sessions_.find(hash);
  }
  const auto access = entry->access;
  check_browser(request, access.session);
  co_return access;
}

/// Cross-site request forgery: a page of another site can make a browser send the cookie, but can
/// neither read the token nor set the Origin.
void Gate::check_browser(const http::Request& request, const SessionId& session) const {
  if (!is_changing(request)) return;
  if (const auto* site = request.header("sec-fetch-site"); site != nullptr && *site == "cross-site")
    fail(Code::permission_denied, "cross_site_request", "the request comes from another site");
  if (const auto* origin = request.header("origin")) {
    const auto* host = request.header("host");
    const bool same =
        s_.settings.origin.empty()
            ? host != nullptr && (*origin == "http://" + *host || *origin == "https://" + *host)
            : *origin == s_.settings.origin;
    if (!same)
      fail(Code::permission_denied, "cross_site_request", "the request comes from another site");
  }
  const auto* csrf = request.header("x-csrf-token");
  if (csrf == nullptr || !is_csrf_token(s_.keys, session, *csrf))
    fail(Code::permission_denied, "csrf_token_missing",
         "send the session's csrf_token in X-CSRF-Token");
}

Async<TenantAccess> Gate::by_session(const http::Request& request, const std::string& slug) {
  if (!cookie(request, session_cookie_name(s_.settings))) no_credential();
  const auto access = co_await user(request);
  const auto key = access.session.str() + " " + slug;
  const auto record =
      co_await GlobalDb(s_.directory, request.deadline).maybe_one(kUsersTenant, access.user, slug);
  if (!record) no_tenant();
  const Tenant tenant = tenancy::TenantMint::mint(record->id);
  const auto* entry = members_.find(key);
  if (entry == nullptr) {
    const auto row =
        co_await TenantDb(s_.cell, tenant, request.deadline).maybe_one(kFindMember, access.user);
    if (!row) no_tenant();
    members_.put(key, {row->id, row->role});
    entry = members_.find(key);
  }
  co_return TenantAccess{
      tenant,
      *record,
      {Principal::Type::member, entry->member.uuid(), permissions_of(entry->role)}};
}

Async<OperatorAccess> Gate::operators(const http::Request& request) {
  const auto bearer = bearer_of(request);
  const auto token = bearer ? OperatorToken::parse(*bearer) : std::nullopt;
  if (!token) no_credential();
  const auto row =
      co_await GlobalDb(s_.directory, request.deadline).maybe_one(kFindOperator, token->id);
  if (!row || !is_secret(s_.keys, token->secret, row->secret_key, row->secret_hash.value))
    no_credential();
  co_return OperatorAccess{token->id, row->name};
}

}  // namespace coditect::auth
