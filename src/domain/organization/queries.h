#pragma once
#include "domain/organization/model.h"
#include "tenancy/statement.h"

namespace coditect::organization {

using tenancy::GlobalStatement;
using tenancy::TenantStatement;

struct OrganizationRow : Organization {
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(OrganizationRow, (Organization), (version))

inline constexpr GlobalStatement<OrganizationRow, std::int64_t> kOrganization{
    "organization.get",
    "SELECT public_id, slug, name, state, state_reason, created_at, deleted_at, purge_after, "
    "version FROM tenants WHERE id = $1"};
inline constexpr GlobalStatement<OrganizationRow, std::int64_t> kLockOrganization{
    "organization.lock",
    "SELECT public_id, slug, name, state, state_reason, created_at, deleted_at, purge_after, "
    "version FROM tenants WHERE id = $1 FOR UPDATE"};
inline constexpr GlobalStatement<pg::NoRow, std::int64_t, std::string> kRename{
    "organization.rename",
    "UPDATE tenants SET name = $2, version = version + 1, updated_at = now() WHERE id = $1"};
inline constexpr GlobalStatement<pg::NoRow, std::int64_t, auth::UserId> kForgetUser{
    "organization.forget_user", "DELETE FROM user_tenants WHERE tenant_id = $1 AND user_id = $2"};

struct MemberRow : Member {
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(MemberRow, (Member), (version))

inline constexpr TenantStatement<MemberRow, auth::MemberId, std::int32_t> kListMembers{
    "members.list",
    "SELECT m.id, m.email, m.role, m.state, m.created_at, m.version FROM members m WHERE "
    "m.tenant_id = $1 AND m.state <> 'removed' AND m.id > $2 "
    "ORDER BY m.id LIMIT $3"};
inline constexpr TenantStatement<MemberRow, auth::MemberId> kGetMember{
    "members.get",
    "SELECT m.id, m.email, m.role, m.state, m.created_at, m.version FROM members m WHERE "
    "m.tenant_id = $1 AND m.id = $2 AND m.state <> 'removed'"};
inline constexpr TenantStatement<MemberRow, auth::MemberId> kLockMember{
    "members.lock",
    "SELECT m.id, m.email, m.role, m.state, m.created_at, m.version FROM members m WHERE "
    "m.tenant_id = $1 AND m.id = $2 AND m.state <> 'removed' FOR UPDATE"};
// Locks every owner: two owners who remove each other at once cannot both succeed.
inline constexpr TenantStatement<auth::MemberId> kLockOwners{
    "members.lock_owners",
    "SELECT m.id FROM members m WHERE m.tenant_id = $1 AND m.role = 'owner' AND m.state = 'active' "
    "ORDER BY m.id FOR UPDATE"};
inline constexpr TenantStatement<auth::MemberId, auth::MemberId, std::string, auth::Role,
                                 std::string, pg::Bytes, Timestamp, Timestamp>
    kInvite{"members.invite",
            "INSERT INTO members (tenant_id, id, email, role, state, invitation_key, "
            "invitation_hash, invitation_expires_at, created_at, updated_at) "
            "VALUES ($1, $2, $3, $4, 'invited', $5, $6, $7, $8, $8) ON CONFLICT (tenant_id, email) "
            "WHERE state <> 'removed' DO NOTHING RETURNING id"};
inline constexpr TenantStatement<pg::NoRow, auth::MemberId, auth::Role, Timestamp> kSetRole{
    "members.set_role",
    "UPDATE members AS m SET role = $3, version = version + 1, updated_at = $4 WHERE m.tenant_id = "
    "$1 AND m.id = $2"};
inline constexpr TenantStatement<std::optional<auth::UserId>, auth::MemberId, Timestamp>
    kRemoveMember{"members.remove",
                  "UPDATE members AS m SET state = 'removed', invitation_key = NULL, "
                  "invitation_hash = NULL, version = version + 1, updated_at = $3 "
                  "WHERE m.tenant_id = $1 AND m.id = $2 RETURNING m.user_id"};

inline constexpr TenantStatement<pg::NoRow, auth::MemberId, Timestamp> kRevokeKeysOf{
    "api_keys.revoke_of_member",
    "UPDATE api_keys AS k SET revoked_at = $3 WHERE k.tenant_id = $1 AND k.created_by = $2 AND "
    "k.revoked_at IS NULL"};

struct ApiKeyRow {
  auth::ApiKeyId id;
  std::string name;
  std::vector<std::string> scopes;
  Timestamp created_at;
  std::optional<Timestamp> expires_at;
  std::optional<Timestamp> revoked_at;
};
BOOST_DESCRIBE_STRUCT(ApiKeyRow, (), (id, name, scopes, created_at, expires_at, revoked_at))

inline constexpr TenantStatement<ApiKeyRow, auth::ApiKeyId, std::int32_t> kListKeys{
    "api_keys.list",
    "SELECT k.id, k.name, k.scopes, k.created_at, k.expires_at, k.revoked_at FROM api_keys k WHERE "
    "k.tenant_id = $1 AND k.id > $2 ORDER BY k.id LIMIT $3"};
inline constexpr TenantStatement<pg::NoRow, auth::ApiKeyId, std::string, std::string, pg::Bytes,
                                 std::vector<std::string>, std::optional<Uuid>, Timestamp,
                                 std::optional<Timestamp>>
    kAddKey{"api_keys.add",
            "INSERT INTO api_keys (tenant_id, id, name, secret_key, secret_hash, scopes, "
            "created_by, created_at, expires_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"};
inline constexpr TenantStatement<ApiKeyRow, auth::ApiKeyId, Timestamp> kRevokeKey{
    "api_keys.revoke",
    "UPDATE api_keys AS k SET revoked_at = coalesce(k.revoked_at, $3) WHERE k.tenant_id = $1 AND "
    "k.id = $2 "
    "RETURNING k.id, k.name, k.scopes, k.created_at, k.expires_at, k.revoked_at"};

}  // namespace coditect::organization
