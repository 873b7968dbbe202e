#include "domain/accounts/handlers.h"

#include "audit/activity.h"
#include "auth/email.h"
#include "auth/idempotency.h"
#include "crypto/digest.h"
#include "domain/accounts/provisioning.h"
#include "tenancy/tenant_mint.h"

namespace coditect::accounts {
namespace {

using namespace std::chrono_literals;
using auth::OpenContext;
using auth::Reply;
using auth::UserContext;
using tenancy::GlobalStatement;
using tenancy::TenantStatement;

struct Account {
  auth::UserId id;
  std::optional<std::string> password_hash;
};
BOOST_DESCRIBE_STRUCT(Account, (), (id, password_hash))

constexpr GlobalStatement<Account, std::string> kFindAccount{
    "accounts.find",
    "SELECT id, password_hash FROM users WHERE email = $1 AND disabled_at IS NULL"};
constexpr GlobalStatement<pg::NoRow, auth::SessionId, pg::Bytes, auth::UserId, Timestamp, Timestamp>
    kAddSession{"accounts.add_session",
                "INSERT INTO sessions (id, token_hash, user_id, created_at, last_seen_at, "
                "expires_at) VALUES ($1, $2, $3, $4, $4, $5)"};
constexpr GlobalStatement<pg::Bytes, auth::SessionId> kEndSession{
    "accounts.end_session", "DELETE FROM sessions WHERE id = $1 RETURNING token_hash"};
constexpr GlobalStatement<TenantView, auth::UserId> kMyTenants{
    "accounts.my_tenants",
    "SELECT t.public_id, t.slug, t.name, t.state FROM user_tenants ut JOIN tenants t ON t.id = "
    "ut.tenant_id "
    "WHERE ut.user_id = $1 AND t.state IN ('active', 'suspended', 'deleted') ORDER BY t.slug LIMIT "
    "200"};
constexpr GlobalStatement<pg::NoRow, auth::UserId, std::int64_t, Timestamp> kJoin{
    "accounts.join",
    "INSERT INTO user_tenants (user_id, tenant_id, created_at) VALUES ($1, $2, $3) ON CONFLICT "
    "(user_id, tenant_id) DO NOTHING"};

struct Invitation {
  std::string email;
  std::string key;
  pg::Bytes hash;
  std::string role;
};
BOOST_DESCRIBE_STRUCT(Invitation, (), (email, key, hash, role))
constexpr TenantStatement<Invitation, auth::MemberId> kFindInvitation{
    "accounts.find_invitation",
    "SELECT m.email, m.invitation_key, m.invitation_hash, m.role FROM members m WHERE m.tenant_id "
    "= $1 AND m.id = $2 AND m.state = 'invited' "
    "AND m.invitation_expires_at > now()"};
constexpr TenantStatement<pg::NoRow, auth::MemberId, auth::UserId, Timestamp, pg::Bytes> kAccept{
    "accounts.accept_invitation",
    "UPDATE members AS m SET user_id = $3, state = 'active', invitation_key = NULL, "
    "invitation_hash = NULL, "
    "invitation_expires_at = NULL, version = version + 1, updated_at = $4 WHERE m.tenant_id = $1 "
    "AND m.id = $2 "
    "AND m.state = 'invited' AND m.invitation_hash = $5 AND m.invitation_expires_at > $4"};
constexpr TenantStatement<auth::MemberId, auth::UserId> kIsMember{
    "accounts.is_member",
    "SELECT m.id FROM members m WHERE m.tenant_id = $1 AND m.user_id = $2 AND m.state = 'active'"};
constexpr GlobalStatement<pg::NoRow, auth::UserId, std::int64_t> kLeave{
    "accounts.leave", "DELETE FROM user_tenants WHERE user_id = $1 AND tenant_id = $2"};

struct TenantName {
  std::string name;
};
BOOST_DESCRIBE_STRUCT(TenantName, (), (name))
constexpr GlobalStatement<TenantName, std::int64_t> kTenantName{
    "accounts.tenant_name", "SELECT name FROM tenants WHERE id = $1"};

template <class T>
T or_throw(Result<T> result) {
  if (!result) throw Failure(std::move(result.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// The part of an address that one customer usually controls: an IPv4 address, an IPv6 /64.
std::string address_block(const std::string& remote) {
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(remote, ec);
  if (ec || address.is_v4()) return remote;
  const auto bytes = address.to_v6().to_bytes();
  return to_string(
             Uuid{{bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]}})
      .substr(0, 18);
}

/// Throws when the subject has had its share of the minute.
Async<> throttle_one(auth::Context& ctx, std::string name, int amount, std::string subject) {
  const tenancy::LimitPolicy policy{std::move(name), amount, 60s};
  const auto decision =
      co_await ctx.services.limiter.take(policy, std::move(subject), ctx.request.tracer);
  if (!decision.allowed)
    throw Failure({Code::rate_limited,
                   "too_many_attempts",
                   "wait before the next try",
                   {},
                   std::chrono::ceil<std::chrono::seconds>(decision.retry_after)});
}

Async<> throttle(auth::Context& ctx, std::string name, int per_address, int global) {
  co_await throttle_one(ctx, name + "_address", per_address, address_block(ctx.request.remote));
  co_await throttle_one(ctx, name + "_global", global, "all");
}

Plan make_plan(auth::UserId user, std::string email, const NewOrganization& organization,
               const std::string& request_id) {
  const auto tenant = TenantPublicId::make();
  const auto key = auth::ApiKeyId::make();
  return {user,
          std::move(email),
          tenant,
          organization.name.value,
          organization.slug.value,
          auth::MemberId::make(),
          key,
          auth::ApiKeyToken::make(tenant, key).text().reveal(),
          make_uuid7(),
          request_id};
}

Reply<SignedUp> to_reply(const Provisioning::Outcome& outcome) {
  const auto& p = outcome.plan;
  Reply<SignedUp> reply{{{p.user, p.email},
                         {p.tenant, p.slug, p.name, tenancy::TenantState::active},
                         {p.key, p.key_text}},
                        201};
  reply.headers.push_back({"Location", "/v1/tenants/" + p.slug});
  reply.headers.push_back({"Cache-Control", "no-store"});
  if (outcome.replayed) reply.headers.push_back({"Idempotent-Replayed", "true"});
  return reply;
}

/// A client that gives no key still gets one tenant when it repeats itself: who and what stand in.
RequestScope scope_of(const http::Request& request, const std::string& principal,
                      const std::string& slug) {
  const auto key = auth::idempotency_key(request);
  const auto text = request.method + " " + std::string(request.path()) + "\n" + principal + "\n" +
                    (key ? "key " + *key : "slug " + slug);
  return {crypto::sha256(text), request.body, key.has_value()};
}

Async<Reply<SignedUp>> sign_up(OpenContext& ctx, Signup body) {
  const auto email = or_throw(auth::valid_email(body.email.value));
  or_throw(valid_slug(body.organization.slug.value));
  or_throw(valid_password(body.password, email));
  co_await throttle(ctx, "signup", ctx.services.settings.signup_per_address,
                    ctx.services.settings.signup_global);
  Provisioning provisioning(ctx.services);
  const auto scope = scope_of(ctx.request, email, body.organization.slug.value);
  if (const auto earlier = co_await provisioning.resume(scope, ctx.request.deadline))
    co_return to_reply(*earlier);
  const auto hash = [&body, cost = ctx.services.settings.argon2()] {
    return crypto::hash_password(body.password, cost);
  };
  auto password_hash = co_await async::blocking(ctx.services.hashing, hash);
  auto plan = make_plan(auth::UserId::make(), email, body.organization, ctx.request.id);
  co_return to_reply(co_await provisioning.run(scope, std::move(plan), std::move(password_hash),
                                               ctx.request.deadline));
}

Async<Reply<SignedUp>> create_tenant(UserContext& ctx, NewOrganization body) {
  if (const auto ok = valid_slug(body.slug.value); !ok) {
    auto e = ok.error();
    e.fields[0].pointer = "/slug";
    throw Failure(std::move(e));
  }
  co_await throttle_one(ctx, "signup_user", ctx.services.settings.signup_per_address,
                        ctx.user.user.str());
  Provisioning provisioning(ctx.services);
  const auto scope = scope_of(ctx.request, ctx.user.user.str(), body.slug.value);
  if (const auto earlier = co_await provisioning.resume(scope, ctx.request.deadline))
    co_return to_reply(*earlier);
  auto plan = make_plan(ctx.user.user, ctx.user.email, body, ctx.request.id);
  co_return to_reply(
      co_await provisioning.run(scope, std::move(plan), std::nullopt, ctx.request.deadline));
}

std::string cookie(const auth::Settings& settings, const std::string& value,
                   std::chrono::seconds age) {
  return auth::session_cookie_name(settings) + "=" + value +
         "; Path=/; HttpOnly; SameSite=Lax; Max-Age=" + std::to_string(age.count()) +
         (settings.cookie_secure ? "; Secure" : "");
}

Async<Reply<SignedIn>> sign_in(OpenContext& ctx, Login body) {
  const auto& settings = ctx.services.settings;
  co_await throttle(ctx, "login", settings.login_per_address, settings.login_global);
  const auto email = auth::valid_email(body.email.value);
  // Guessing one account's password from many addresses; the subject is hashed, for Redis keeps it.
  if (email)
    co_await throttle_one(ctx, "login_account", settings.login_per_account,
                          to_hex(crypto::sha256(*email)).substr(0, 32));
  std::optional<Account> account;
  if (email)
    account = co_await GlobalDb(ctx.services.directory, ctx.request.deadline, ctx.request.tracer)
                  .maybe_one(kFindAccount, *email);
  // An unknown address costs one hash as well: the time says nothing.
  const bool known = account && account->password_hash;
  const auto check = [&]() -> bool {
    if (known) return crypto::verify_password(body.password, *account->password_hash);
    crypto::hash_password(body.password, settings.argon2());
    return false;
  };
  if (!co_await async::blocking(ctx.services.hashing, check))
    fail(Code::unauthenticated, "invalid_login", "the e-mail address or the password is wrong");
  const auto token = auth::make_session_token();
  const auto id = auth::SessionId::make();
  const auto expires = now() + settings.session_lifetime;
  auto tx = GlobalDb(ctx.services.directory, ctx.request.deadline, ctx.request.tracer).begin();
  tx.defer(kAddSession, id, pg::Bytes{auth::session_hash(token)}, account->id, now(), expires);
  co_await tx.commit();
  Reply<SignedIn> reply{
      {{id, expires}, {account->id, *email}, auth::csrf_token(ctx.services.keys, id)}, 201};
  reply.headers.push_back({"Set-Cookie", cookie(settings, token.reveal(),
                                                std::chrono::duration_cast<std::chrono::seconds>(
                                                    settings.session_lifetime))});
  reply.headers.push_back({"Cache-Control", "no-store"});
  co_return reply;
}

Async<Reply<auth::Nothing>> sign_out(UserContext& ctx) {
  auto tx = GlobalDb(ctx.services.directory, ctx.request.deadline, ctx.request.tracer).begin();
  const auto hash = co_await tx.maybe_one(kEndSession, ctx.user.session);
  co_await tx.commit();
  if (hash) ctx.gate.forget_session(hash->value);
  Reply<auth::Nothing> reply{};
  reply.headers.push_back(
      {"Set-Cookie", cookie(ctx.services.settings, "", std::chrono::seconds(0))});
  co_return reply;
}

Async<Reply<Me>> me(UserContext& ctx) {
  auto tenants = co_await GlobalDb(ctx.services.directory, ctx.request.deadline, ctx.request.tracer)
                     .all(kMyTenants, ctx.user.user);
  co_return Reply<Me>{{{ctx.user.user, ctx.user.email},
                       std::move(tenants),
                       auth::csrf_token(ctx.services.keys, ctx.user.session)}};
}

[[noreturn]] void no_invitation() {
  fail(Code::not_found, "invitation_not_found",
       "the invitation is unknown, used, expired or for another e-mail address");
}

Async<Reply<TenantView>> accept_invitation(UserContext& ctx, AcceptInvitation body) {
  auto& s = ctx.services;
  const auto token = auth::InvitationToken::parse(body.token.reveal());
  if (!token) no_invitation();
  const auto record =
      co_await s.tenants.by_public_id(token->tenant, ctx.request.deadline, ctx.request.tracer);
  if (!record || record->state != tenancy::TenantState::active) no_invitation();
  const TenantDb db(s.cell, tenancy::TenantMint::mint(record->id), ctx.request.deadline);
  const auto invitation = co_await db.maybe_one(kFindInvitation, token->member);
  if (!invitation || invitation->email != ctx.user.email ||
      !auth::is_secret(s.keys, token->secret, invitation->key, invitation->hash.value))
    no_invitation();
  // The index first: without the member it grants nothing, and a repetition finishes the rest.
  auto directory = GlobalDb(s.directory, ctx.request.deadline, ctx.request.tracer).begin();
  directory.defer(kJoin, ctx.user.user, record->id, now());
  co_await directory.commit();
  auto tx = db.begin();
  if (co_await tx.execute(kAccept, token->member, ctx.user.user, now(), invitation->hash) == 0) {
    co_await tx.rollback();
    if (!co_await db.maybe_one(kIsMember, ctx.user.user)) {
      auto undo = GlobalDb(s.directory, ctx.request.deadline, ctx.request.tracer).begin();
      undo.defer(kLeave, ctx.user.user, record->id);
      co_await undo.commit();
    }
    no_invitation();
  }
  audit::record(tx, {.actor = {"member", token->member.uuid()},
                     .verb = "member.joined",
                     .target = {"member", token->member.uuid()},
                     .after = "{\"role\":\"" + invitation->role + "\"}",
                     .request_id = ctx.request.id});
  co_await tx.commit();
  const auto name = co_await GlobalDb(s.directory, ctx.request.deadline, ctx.request.tracer)
                        .maybe_one(kTenantName, record->id);
  co_return Reply<TenantView>{
      {record->public_id, record->slug, name ? name->name : "", record->state}};
}

}  // namespace

void add_routes(auth::Routes& routes) {
  routes.open("POST", "/v1/signup",
              {.id = "signUp",
               .tag = "Accounts",
               .summary = "Create a user, an organization and its first API key",
               .status = 201,
               .own_idempotency = true},
              sign_up);
  routes.open("POST", "/v1/sessions",
              {"signIn", "Accounts", "Sign in: a cookie and a CSRF token", {}, 201}, sign_in);
  routes.user("DELETE", "/v1/sessions/current", {"signOut", "Accounts", "Sign out"}, sign_out);
  routes.user("GET", "/v1/me", {"getMe", "Accounts", "The signed-in user and their organizations"},
              me);
  routes.user("POST", "/v1/tenants",
              {.id = "createTenant",
               .tag = "Accounts",
               .summary = "Create a further organization",
               .status = 201,
               .own_idempotency = true},
              create_tenant);
  routes.user("POST", "/v1/invitations/accept",
              {"acceptInvitation", "Accounts", "Join an organization with an invitation's token"},
              accept_invitation);
}

}  // namespace coditect::accounts
