#include "auth/gate.h"

#include "base/bytes.h"
#include "base/mutant.h"
#include "crypto/digest.h"
#include "tenancy/tenant_mint.h"

namespace coditect {

namespace auth {
/// Scopes as the column holds them; a name that is gone grants nothing.
struct Scopes {
  PermissionSet set;
};
}  // namespace auth

template <>
struct pg::Codec<auth::Scopes> {
  static auth::Scopes decode(std::string_view bytes) {
    std::vector<auth::Permission> list;
    for (const auto name : pg::array_elements(bytes))
      boost::mp11::mp_for_each<boost::describe::describe_enumerators<auth::Permission>>(
          [&](auto known) {
            if (name == known.name) list.push_back(known.value);
          });
    return {auth::PermissionSet(list)};
  }
};

}  // namespace coditect

namespace coditect::auth {
namespace {

using namespace std::chrono_literals;
using tenancy::GlobalStatement;
using tenancy::TenantRecord;
using tenancy::TenantState;
using tenancy::TenantStatement;

struct KeyRow {
  tenancy::TenantState state;
  std::int64_t epoch = 0;
  std::string secret_key;
  pg::Bytes secret_hash;
  Scopes scopes;
};
BOOST_DESCRIBE_STRUCT(KeyRow, (), (state, epoch, secret_key, secret_hash, scopes))

// The tenant's state and the key in one look.
constexpr TenantStatement<KeyRow, ApiKeyId> kCheckKey{
    "auth.check_key",
    "SELECT s.state, s.epoch, k.secret_key, k.secret_hash, k.scopes FROM tenant_state s JOIN "
    "api_keys k ON k.tenant_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS "
    "NULL OR k.expires_at > now()) WHERE s.tenant_id = $1"};

// The same as a fence: one row that divides by zero unless all is right, including the permission.
constexpr TenantStatement<KeyRow, ApiKeyId, std::vector<pg::Bytes>, std::string> kFenceKey{
    "auth.fence_key",
    "SELECT x.state, x.epoch, x.secret_key, x.secret_hash, x.scopes FROM (SELECT 1) AS one LEFT "
    "JOIN (SELECT s.state, s.epoch, k.secret_key, k.secret_hash, k.scopes FROM tenant_state s JOIN "
    "api_keys k ON k.tenant_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS "
    "NULL OR k.expires_at > now()) AND k.secret_hash = ANY ($3) AND $4 = ANY (k.scopes) WHERE "
    "s.tenant_id = $1 AND s.state = 'active' FOR SHARE OF s) AS x ON true WHERE 1 / (CASE WHEN "
    "x.state IS NULL THEN 0 ELSE 1 END) = 1"};

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

[[noreturn]] void inactive(TenantState state) {
  if (state == TenantState::suspended)
    fail(Code::permission_denied, "tenant_suspended",
         "the organization is suspended; ask the operator of this service");
  fail(Code::permission_denied, "tenant_deleted",
       "the organization is deleted; an owner can bring it back for 30 days");
}

void require(TenantState state, PermissionSet permissions, const Gate::Need& need) {
  if (state == TenantState::provisioning || state == TenantState::purged) no_tenant();
  if (!need.while_inactive && state != TenantState::active && !mutant("gate.state"))
    inactive(state);
  if (!permissions.has(need.permission) && !mutant("gate.permission"))
    fail(Code::permission_denied, "permission_denied",
         std::string("the credential lacks the permission ") +
             boost::describe::enum_to_string(need.permission, ""));
}

KnownKeys::Digest digest_of(std::string_view bearer) {
  KnownKeys::Digest out;
  if (mutant("gate.known_keys_by_length")) bearer = "the same for all";
  std::ranges::copy(crypto::sha256(bearer), out.begin());
  return out;
}

bool is_changing(const http::Request& request) {
  return request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
}

}  // namespace

std::optional<KnownKeys::Entry> KnownKeys::find(const Digest& digest,
                                                tenancy::TenantKnowledge& tenants) {
  const auto entry = entries_.find(digest);
  if (!entry || std::chrono::steady_clock::now() - entry->checked_at > kLife ||
      entry->checked_at <= tenants.last_gap())
    return std::nullopt;
  const auto change = tenants.change_of(entry->tenant);
  return change && change->at >= entry->checked_at ? std::nullopt : entry;
}

bool KnownKeys::may_hope() {
  const auto second = std::chrono::duration_cast<std::chrono::seconds>(
                          std::chrono::steady_clock::now().time_since_epoch())
                          .count();
  if (second_.exchange(second, std::memory_order_relaxed) != second)
    wrong_.store(0, std::memory_order_relaxed);
  return wrong_.load(std::memory_order_relaxed) < 50;
}

/// The look at an API key that travels with the request's first statement.
class KeyCheck : public tenancy::Companion {
 public:
  KeyCheck(Services& s, const TenantAccess& access, ApiKeyToken token,
           const KnownKeys::Digest& digest, const tenancy::TenantIdentity& identity,
           bool other_tenants_path, Gate::Need need)
      : s_(s),
        tenant_(access.tenant),
        token_(std::move(token)),
        digest_(digest),
        slug_(identity.slug),
        other_tenants_path_(other_tenants_path),
        need_(need),
        asked_at_(std::chrono::steady_clock::now()) {}

  pg::Command command() const override {
    const auto tenant = tenant_.id();
    return tenancy::detail::command(kCheckKey, &tenant, token_.key);
  }

  pg::Command fence() const override {
    const auto tenant = tenant_.id();
    std::vector<pg::Bytes> hashes;
    for (auto& mac : all_secret_macs(s_.keys, token_.secret)) hashes.push_back({std::move(mac)});
    return tenancy::detail::command(
        kFenceKey, &tenant, token_.key, hashes,
        std::string(boost::describe::enum_to_string(need_.permission, "")));
  }

  void inspect(const pg::Result& result) override {
    if (done_) return;
    const auto row = tenancy::detail::at_most_one<KeyRow>(result);
    if (!row || (!is_secret(s_.keys, token_.secret, row->secret_key, row->secret_hash.value) &&
                 !mutant("gate.secret"))) {
      s_.known_keys.was_wrong();
      no_credential();
    }
    auto state = row->state;
    // The directory decides; its word may have come here before it reached the cell.
    if (const auto change = s_.tenants.knowledge().change_of(tenant_.id());
        change && change->epoch > row->epoch)
      state = change->state;
    keep(*row, state);
    if (other_tenants_path_) no_tenant();
    require(state, row->scopes.set, need_);
    done_ = true;
  }

  void passed(const pg::Result& result) override {
    const auto row = tenancy::detail::at_most_one<KeyRow>(result);
    if (!row) return;  // a fence gives a row or an error
    keep(*row, row->state);
    done_ = true;
  }

  bool done() const override { return done_; }
  PermissionSet permissions() const { return permissions_; }

 private:
  void keep(const KeyRow& row, TenantState state) {
    s_.known_keys.put(digest_, {token_.tenant, token_.key.uuid(), tenant_.id(), slug_,
                                row.scopes.set, state, asked_at_});
    permissions_ = row.scopes.set;
  }

  Services& s_;
  const Tenant tenant_;
  const ApiKeyToken token_;
  const KnownKeys::Digest digest_;
  const std::uint64_t slug_;
  const bool other_tenants_path_;
  const Gate::Need need_;
  const std::chrono::steady_clock::time_point asked_at_;
  PermissionSet permissions_;
  bool done_ = false;
};

tenancy::Companion* companion_of(const TenantAccess& access) { return access.check.get(); }

std::string session_cookie_name(const Settings& settings) {
  return settings.cookie_secure ? "__Host-coditect" : "coditect_session";
}

Gate::Gate(Services& services) : s_(services), sessions_(65536, 1s), members_(65536, 1s) {}

void Gate::forget_session(const std::string& token_hash) { sessions_.erase(token_hash); }

Async<TenantAccess> Gate::tenant(const http::Request& request, const std::string& slug, Need need) {
  if (const auto bearer = bearer_of(request))
    co_return co_await by_api_key(request, *bearer, slug, need);
  co_return co_await by_session(request, slug, need);
}

Async<TenantAccess> Gate::by_api_key(const http::Request& request, std::string_view bearer,
                                     const std::string& slug, Need need) {
  auto& tenants = s_.tenants.knowledge();
  const auto digest = digest_of(bearer);
  const auto wanted = tenants.hash_of(slug);
  if (const auto known = s_.known_keys.find(digest, tenants)) {
    if (known->slug != wanted && !mutant("gate.path_tenant")) no_tenant();
    require(known->state, known->permissions, need);
    co_return TenantAccess{tenancy::TenantMint::mint(known->tenant),
                           known->public_id,
                           slug,
                           {Principal::Type::api_key, known->key},
                           known->permissions};
  }
  auto token = ApiKeyToken::parse(bearer);
  if (!token) no_credential();
  const auto identity =
      co_await s_.tenants.identity(token->tenant, request.deadline, request.tracer);
  if (!identity) no_credential();
  TenantAccess access{tenancy::TenantMint::mint(identity->id),
                      token->tenant,
                      slug,
                      {Principal::Type::api_key, token->key.uuid()},
                      {}};
#ifdef CODITECT_MUTANTS
  constexpr GlobalStatement<std::int64_t, std::string> kTold{
      "mutant.slug", "SELECT id FROM tenants WHERE slug = $1"};
  if (mutant("gate.says_forbidden") && identity->slug != wanted &&
      co_await GlobalDb(s_.directory, request.deadline, request.tracer).maybe_one(kTold, slug))
    fail(Code::permission_denied, "permission_denied");
#endif
  const bool other = identity->slug != wanted && !mutant("gate.path_tenant");
  access.check =
      std::make_shared<KeyCheck>(s_, access, std::move(*token), digest, *identity, other, need);
  // A change of state that was just told may not have reached the cell, whose fence lets a write
  // commit before anyone here could look at it: look first.
  if (other || need.at_once || !s_.known_keys.may_hope() || tenants.change_of(identity->id))
    co_await settle(access, request);
  co_return access;
}

Async<PermissionSet> Gate::settle(const TenantAccess& access, const http::Request& request) {
  if (!access.check) co_return access.permissions;
  if (!access.check->done())
    co_await TenantDb(s_.cell, access.tenant, request.deadline, request.tracer, access.check.get())
        .accompany();
  co_return access.check->permissions();
}

Async<UserAccess> Gate::user(const http::Request& request) {
  const auto token = cookie(request, session_cookie_name(s_.settings));
  if (!token || bearer_of(request))
    fail(Code::unauthenticated, "session_required", "sign in with POST /v1/sessions");
  const auto hash = session_hash(Secret(*token));
  const auto* entry = sessions_.find(hash);
  if (entry == nullptr) {
    const auto row =
        co_await GlobalDb(s_.directory, request.deadline, request.tracer)
            .maybe_one(kFindSession, pg::Bytes{hash}, now() - s_.settings.session_idle);
    if (!row)
      fail(Code::unauthenticated, "session_required",
           "the session has ended; sign in with POST /v1/sessions");
    if (now() - row->last_seen_at > 60s) {  // once a minute is enough for the idle limit
      auto tx = GlobalDb(s_.directory, request.deadline, request.tracer).begin();
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

Async<TenantAccess> Gate::by_session(const http::Request& request, const std::string& slug,
                                     Need need) {
  if (!cookie(request, session_cookie_name(s_.settings))) no_credential();
  const auto access = co_await user(request);
  const auto key = access.session.str() + " " + slug;
  const auto record = co_await GlobalDb(s_.directory, request.deadline, request.tracer)
                          .maybe_one(kUsersTenant, access.user, slug);
  if (!record) no_tenant();
  const Tenant tenant = tenancy::TenantMint::mint(record->id);
  const auto* entry = members_.find(key);
  if (entry == nullptr) {
    const auto row = co_await TenantDb(s_.cell, tenant, request.deadline, request.tracer)
                         .maybe_one(kFindMember, access.user);
    if (!row) no_tenant();
    members_.put(key, {row->id, row->role});
    entry = members_.find(key);
  }
  const auto permissions = permissions_of(entry->role);
  require(record->state, permissions, need);
  co_return TenantAccess{tenant,
                         record->public_id,
                         record->slug,
                         {Principal::Type::member, entry->member.uuid()},
                         permissions};
}

Async<OperatorAccess> Gate::operators(const http::Request& request) {
  const auto bearer = bearer_of(request);
  if (bearer && mutant("gate.operator")) co_return OperatorAccess{OperatorId::make(), "anyone"};
  const auto token = bearer ? OperatorToken::parse(*bearer) : std::nullopt;
  if (!token) no_credential();
  const auto row = co_await GlobalDb(s_.directory, request.deadline, request.tracer)
                       .maybe_one(kFindOperator, token->id);
  if (!row || !is_secret(s_.keys, token->secret, row->secret_key, row->secret_hash.value))
    no_credential();
  co_return OperatorAccess{token->id, row->name};
}

}  // namespace coditect::auth
