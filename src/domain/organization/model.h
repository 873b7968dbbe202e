#pragma once
#include "auth/credential.h"
#include "auth/permission.h"
#include "http/json.h"
#include "tenancy/directory.h"

namespace coditect::organization {

struct Organization {
  TenantPublicId id;
  std::string slug;
  std::string name;
  tenancy::TenantState state;
  std::string state_reason;
  Timestamp created_at;
  std::optional<Timestamp> deleted_at;
  std::optional<Timestamp> purge_after;
};
BOOST_DESCRIBE_STRUCT(Organization, (),
                      (id, slug, name, state, state_reason, created_at, deleted_at, purge_after))

struct PatchOrganization {
  http::Field<http::Text<1, 120>> name;
};
BOOST_DESCRIBE_STRUCT(PatchOrganization, (), (name))

enum class MemberState { invited, active };
BOOST_DESCRIBE_ENUM(MemberState, invited, active)

struct Member {
  auth::MemberId id;
  std::string email;
  auth::Role role;
  MemberState state;
  Timestamp created_at;
};
BOOST_DESCRIBE_STRUCT(Member, (), (id, email, role, state, created_at))

struct AddMember {
  http::Text<3, 254> email;
  auth::Role role;
};
BOOST_DESCRIBE_STRUCT(AddMember, (), (email, role))

struct AddedMember {
  Member member;
  std::string invitation_token;  ///< shown once; for POST /v1/invitations/accept
  Timestamp invitation_expires_at;
};
BOOST_DESCRIBE_STRUCT(AddedMember, (), (member, invitation_token, invitation_expires_at))

struct PatchMember {
  http::Field<auth::Role> role;
};
BOOST_DESCRIBE_STRUCT(PatchMember, (), (role))

struct ApiKey {
  auth::ApiKeyId id;
  std::string name;
  std::string prefix;
  std::vector<std::string> scopes;
  Timestamp created_at;
  std::optional<Timestamp> expires_at;
  std::optional<Timestamp> revoked_at;
};
BOOST_DESCRIBE_STRUCT(ApiKey, (), (id, name, prefix, scopes, created_at, expires_at, revoked_at))

struct CreateApiKey {
  http::Text<1, 120> name;
  std::optional<http::List<auth::Permission, 20>> scopes;
  std::optional<Timestamp> expires_at;
};
BOOST_DESCRIBE_STRUCT(CreateApiKey, (), (name, scopes, expires_at))

struct CreatedApiKey {
  ApiKey api_key;
  std::string secret;  ///< shown once
};
BOOST_DESCRIBE_STRUCT(CreatedApiKey, (), (api_key, secret))

}  // namespace coditect::organization
