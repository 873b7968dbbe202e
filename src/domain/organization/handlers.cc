#include "domain/organization/handlers.h"

#include "audit/activity.h"
#include "auth/email.h"
#include "domain/organization/queries.h"
#include "tenancy/lifecycle.h"

namespace coditect::organization {
namespace {

using auth::Nothing;
using auth::Page;
using auth::Permission;
using auth::Reply;
using auth::Role;
using auth::TenantAct;
using auth::TenantContext;
using auth::TenantRead;
using auth::TenantWrite;
using tenancy::TenantState;

constexpr auto kInvitationLifetime = std::chrono::hours(7 * 24);

audit::Actor actor(const TenantContext& ctx) {
  return {std::string(ctx.principal().type_name()), ctx.principal().id};
}

Async<OrganizationRow> read_organization(TenantContext& ctx) {
  auto row = co_await GlobalDb(ctx.services.directory, ctx.request.deadline, ctx.request.tracer)
                 .maybe_one(kOrganization, ctx.access.tenant.id());
  if (!row) fail(Code::not_found, "tenant_not_found");
  co_return *row;
}

Async<Reply<Organization>> get_organization(TenantRead& ctx) {
  auto row = co_await read_organization(ctx);
  co_return Reply<Organization>{row, 200, row.version};
}

Async<Reply<Organization>> patch_organization(TenantAct& ctx, PatchOrganization body) {
  auto tx = GlobalDb(ctx.services.directory, ctx.request.deadline, ctx.request.tracer).begin();
  const auto before = co_await tx.maybe_one(kLockOrganization, ctx.access.tenant.id());
  if (!before) fail(Code::not_found, "tenant_not_found");
  ctx.require_match(before->version);
  auto after = *before;
  if (body.name.present()) after.name = (*body.name).value;
  if (after.name == before->name) co_return Reply<Organization>{after, 200, after.version};
  // The trail's transaction holds the fence while the directory changes.
  auto cell =
      TenantDb(ctx.services.cell, ctx.access.tenant, ctx.request.deadline, ctx.request.tracer)
          .begin();
  audit::record(cell, {.actor = actor(ctx),
                       .verb = "tenant.updated",
                       .target = {"tenant", before->id.uuid()},
                       .before = http::to_json<Organization>(*before),
                       .after = http::to_json<Organization>(after),
                       .request_id = ctx.request.id});
  co_await cell.flush();
  tx.defer(kRename, ctx.access.tenant.id(), after.name);
  co_await tx.commit();
  co_await cell.commit();
  co_return Reply<Organization>{after, 200, after.version + 1};
}

Async<> change_state(TenantAct& ctx, TenantState from, TenantState to, std::string verb) {
  auto& s = ctx.services;
  tenancy::Lifecycle lifecycle(s.directory_operator, s.cell_operator, s.tenants);
  // Deletion is written to the trail while the tenant can still be written to, a return after it.
  const auto note = [&]() -> Async<> {
    auto cell =
        TenantDb(s.cell, ctx.access.tenant, ctx.request.deadline, ctx.request.tracer).begin();
    audit::record(cell, {.actor = actor(ctx),
                         .verb = verb,
                         .target = {"tenant", ctx.access.public_id.uuid()},
                         .request_id = ctx.request.id});
    co_await cell.commit();
  };
  if (to == TenantState::deleted) co_await note();
  const auto record = co_await lifecycle.change(ctx.access.tenant.id(), {from}, to,
                                                "by the organization", ctx.request.deadline);
  if (!record)
    fail(Code::conflict, "tenant_state_conflict",
         "the organization is not in a state that allows this");
  if (to == TenantState::active) co_await note();
}

Async<Reply<Organization>> delete_organization(TenantAct& ctx) {
  co_await change_state(ctx, TenantState::active, TenantState::deleted, "tenant.deleted");
  auto row = co_await read_organization(ctx);
  co_return Reply<Organization>{row, 200, row.version};
}

Async<Reply<Organization>> undelete_organization(TenantAct& ctx) {
  co_await change_state(ctx, TenantState::deleted, TenantState::active, "tenant.undeleted");
  auto row = co_await read_organization(ctx);
  co_return Reply<Organization>{row, 200, row.version};
}

/// The page of rows (one more than its size was read), with a token when there is a next one.
template <class View, class Row>
Page<View> to_page(const TenantContext& ctx, const TenantContext::PageQuery& query,
                   std::vector<Row>& rows) {
  Page<View> page;
  const bool more = rows.size() > static_cast<std::size_t>(query.size);
  if (more) {
    rows.pop_back();
    page.next_page_token = ctx.next_token(rows.back().id.str());
  }
  for (auto& row : rows) page.items.push_back(std::move(row));
  return page;
}

Async<Reply<Page<Member>>> list_members(TenantRead& ctx) {
  const auto query = ctx.page_query();
  const auto after = query.after ? *auth::MemberId::parse(*query.after) : auth::MemberId();
  auto rows = co_await ctx.db.all(kListMembers, after, query.size + 1);
  co_return Reply<Page<Member>>{to_page<Member>(ctx, query, rows)};
}

Async<Reply<Member>> get_member(TenantRead& ctx) {
  auto row = co_await ctx.db.maybe_one(kGetMember,
                                       ctx.path_id<auth::MemberId>("member", "member_not_found"));
  if (!row) fail(Code::not_found, "member_not_found");
  co_return Reply<Member>{*row, 200, row->version};
}

/// Nobody gives, or takes from another, a role that holds more than they do themselves.
Async<> require_rank(const TenantContext& ctx, Role role) {
  if (!(co_await ctx.permissions()).contains(auth::permissions_of(role)))
    fail(Code::permission_denied, "role_exceeds_own",
         "the role holds more than the credential does");
}

Async<Reply<AddedMember>> add_member(TenantWrite& ctx, AddMember body) {
  co_await require_rank(ctx, body.role);
  const auto valid = auth::valid_email(body.email.value);
  if (!valid) throw Failure(valid.error());
  const auto& email = *valid;
  const auto id = auth::MemberId::make();
  const auto token = auth::InvitationToken::make(ctx.access.public_id, id);
  const auto mac = auth::secret_mac(ctx.services.keys, token.secret);
  const auto created = now(), expires = created + kInvitationLifetime;
  if (!co_await ctx.tx.maybe_one(kInvite, id, email, body.role, mac.key_id, pg::Bytes{mac.bytes},
                                 expires, created))
    throw Failure({Code::conflict,
                   "member_exists",
                   "there is a member or an invitation with this e-mail address",
                   {{"/email", "taken", "is a member or invited already"}}});
  AddedMember answer{
      {id, email, body.role, MemberState::invited, created}, token.text().reveal(), expires};
  audit::record(ctx.tx, {.actor = actor(ctx),
                         .verb = "member.invited",
                         .target = {"member", id.uuid()},
                         .after = http::to_json(answer.member),
                         .request_id = ctx.request.id});
  co_return Reply<AddedMember>{std::move(answer), 201, 1, {{"Cache-Control", "no-store"}}};
}

/// Throws when the member is the last owner. Locks the owners.
Async<> keep_an_owner(TenantWrite& ctx, auth::MemberId leaving) {
  const auto owners = co_await ctx.tx.all(kLockOwners);
  if (owners.size() == 1 && owners[0] == leaving)
    fail(Code::conflict, "last_owner", "the last owner stays; make somebody else an owner first");
}

Async<Reply<Member>> patch_member(TenantWrite& ctx, PatchMember body) {
  const auto id = ctx.path_id<auth::MemberId>("member", "member_not_found");
  const auto before = co_await ctx.tx.maybe_one(kLockMember, id);
  if (!before) fail(Code::not_found, "member_not_found");
  ctx.require_match(before->version);
  auto after = *before;
  if (body.role.present()) after.role = *body.role;
  if (after.role == before->role) co_return Reply<Member>{after, 200, after.version};
  co_await require_rank(ctx, before->role);
  co_await require_rank(ctx, after.role);
  if (before->role == Role::owner && before->state == MemberState::active)
    co_await keep_an_owner(ctx, id);
  ctx.tx.defer(kSetRole, id, after.role, now());
  // Keys that hold more than their maker now may do go with the old role.
  if (!auth::permissions_of(after.role).contains(auth::permissions_of(before->role)))
    ctx.tx.defer(kRevokeKeysOf, id, now());
  audit::record(ctx.tx, {.actor = actor(ctx),
                         .verb = "member.updated",
                         .target = {"member", id.uuid()},
                         .before = http::to_json<Member>(*before),
                         .after = http::to_json<Member>(after),
                         .request_id = ctx.request.id});
  co_return Reply<Member>{after, 200, after.version + 1};
}

/// The directory's index of a user's organizations; without the member it grants nothing.
Async<> forget_user(pg::Pool& directory, std::int64_t tenant, auth::UserId user,
                    Deadline deadline) {
  auto tx = GlobalDb(directory, deadline).begin();
  tx.defer(kForgetUser, tenant, user);
  co_await tx.commit();
}

Async<Reply<Nothing>> remove_member(TenantWrite& ctx) {
  const auto id = ctx.path_id<auth::MemberId>("member", "member_not_found");
  const auto before = co_await ctx.tx.maybe_one(kLockMember, id);
  if (!before) fail(Code::not_found, "member_not_found");
  co_await require_rank(ctx, before->role);
  if (before->role == Role::owner && before->state == MemberState::active)
    co_await keep_an_owner(ctx, id);
  const auto user = co_await ctx.tx.maybe_one(kRemoveMember, id, now());
  ctx.tx.defer(kRevokeKeysOf, id, now());
  audit::record(ctx.tx, {.actor = actor(ctx),
                         .verb = "member.removed",
                         .target = {"member", id.uuid()},
                         .before = http::to_json<Member>(*before),
                         .request_id = ctx.request.id});
  if (user && *user)
    ctx.after_commit.push_back(
        forget_user(ctx.services.directory, ctx.access.tenant.id(), **user, ctx.request.deadline));
  co_return Reply<Nothing>{};
}

ApiKey to_view(const TenantContext& ctx, const ApiKeyRow& row) {
  const auth::ApiKeyToken token{ctx.access.public_id, row.id, {}};
  return {row.id,         row.name,       token.prefix(), row.scopes,
          row.created_at, row.expires_at, row.revoked_at};
}

Async<Reply<Page<ApiKey>>> list_keys(TenantRead& ctx) {
  const auto query = ctx.page_query();
  const auto after = query.after ? *auth::ApiKeyId::parse(*query.after) : auth::ApiKeyId();
  auto rows = co_await ctx.db.all(kListKeys, after, query.size + 1);
  auto page = to_page<ApiKeyRow>(ctx, query, rows);
  Page<ApiKey> out{{}, page.next_page_token};
  for (const auto& row : page.items) out.items.push_back(to_view(ctx, row));
  co_return Reply<Page<ApiKey>>{std::move(out)};
}

Async<Reply<CreatedApiKey>> create_key(TenantWrite& ctx, CreateApiKey body) {
  std::vector<Permission> scopes{Permission::data_read, Permission::data_write};
  if (body.scopes) scopes = body.scopes->items;
  http::FieldErrors errors;
  if (scopes.empty()) errors.push_back({"/scopes", "too_short", "must name at least one scope"});
  if (!(co_await ctx.permissions()).contains(auth::PermissionSet(scopes)))
    errors.push_back(
        {"/scopes", "exceeds_own", "must not hold more than the credential that creates the key"});
  if (body.expires_at && *body.expires_at <= now())
    errors.push_back({"/expires_at", "in_the_past", "must lie in the future"});
  if (!errors.empty())
    throw Failure({Code::invalid_argument, "validation_failed",
                   "the body breaks the rules named in errors", std::move(errors)});
  ApiKeyRow row{auth::ApiKeyId::make(), body.name.value, {}, now(), body.expires_at, {}};
  for (const auto p : scopes) row.scopes.emplace_back(boost::describe::enum_to_string(p, ""));
  const auto token = auth::ApiKeyToken::make(ctx.access.public_id, row.id);
  const auto mac = auth::secret_mac(ctx.services.keys, token.secret);
  ctx.tx.defer(kAddKey, row.id, row.name, mac.key_id, pg::Bytes{mac.bytes}, row.scopes,
               ctx.principal().id, row.created_at, row.expires_at);
  CreatedApiKey answer{to_view(ctx, row), token.text().reveal()};
  audit::record(ctx.tx, {.actor = actor(ctx),
                         .verb = "api_key.created",
                         .target = {"api_key", row.id.uuid()},
                         .after = http::to_json(answer.api_key),
                         .request_id = ctx.request.id});
  Reply<CreatedApiKey> reply{std::move(answer), 201};
  reply.headers.push_back({"Cache-Control", "no-store"});
  co_return reply;
}

Async<Reply<ApiKey>> revoke_key(TenantWrite& ctx) {
  const auto id = ctx.path_id<auth::ApiKeyId>("api_key", "api_key_not_found");
  const auto row = co_await ctx.tx.maybe_one(kRevokeKey, id, now());
  if (!row) fail(Code::not_found, "api_key_not_found");
  const auto view = to_view(ctx, *row);
  audit::record(ctx.tx, {.actor = actor(ctx),
                         .verb = "api_key.revoked",
                         .target = {"api_key", id.uuid()},
                         .after = http::to_json(view),
                         .request_id = ctx.request.id});
  co_return Reply<ApiKey>{view};
}

}  // namespace

void add_routes(auth::Routes& r) {
  const std::vector<auth::QueryParameter> page{
      {"page_size", "1 to 200, 50 by default"},
      {"page_token", "next_page_token of the page before"}};
  const std::string t = "/v1/tenants/{tenant}";
  r.read(t, Permission::tenant_read,
         {.id = "getTenant",
          .tag = "Organization",
          .summary = "The organization",
          .while_inactive = true},
         get_organization);
  r.act("PATCH", t, Permission::tenant_update,
        {"updateTenant", "Organization", "Rename the organization"}, patch_organization);
  r.act("DELETE", t, Permission::tenant_delete,
        {"deleteTenant", "Organization", "Delete the organization; it can come back for 30 days"},
        delete_organization);
  r.act("POST", t + "/undelete", Permission::tenant_delete,
        {.id = "undeleteTenant",
         .tag = "Organization",
         .summary = "Bring the deleted organization back",
         .while_inactive = true},
        undelete_organization);

  r.read(t + "/members", Permission::members_read,
         {"listMembers", "Members", "Members and invitations", page}, list_members);
  r.read(t + "/members/{member}", Permission::members_read, {"getMember", "Members", "One member"},
         get_member);
  r.write("POST", t + "/members", Permission::members_manage,
          {"addMember", "Members", "Invite somebody by e-mail address", {}, 201}, add_member);
  r.write("PATCH", t + "/members/{member}", Permission::members_manage,
          {"updateMember", "Members", "Change a member's role"}, patch_member);
  r.write("DELETE", t + "/members/{member}", Permission::members_manage,
          {"removeMember", "Members", "Remove a member or an invitation"}, remove_member);

  r.read(t + "/api-keys", Permission::api_keys_read,
         {"listApiKeys", "API keys", "The organization's API keys", page}, list_keys);
  r.write("POST", t + "/api-keys", Permission::api_keys_manage,
          {"createApiKey", "API keys", "Create an API key; its secret is shown once", {}, 201},
          create_key);
  r.write("DELETE", t + "/api-keys/{api_key}", Permission::api_keys_manage,
          {"revokeApiKey", "API keys", "Revoke an API key"}, revoke_key);
}

}  // namespace coditect::organization
