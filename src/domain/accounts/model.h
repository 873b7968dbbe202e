#pragma once
#include "auth/credential.h"
#include "auth/permission.h"
#include "http/json.h"
#include "tenancy/directory.h"

namespace coditect::accounts {

struct NewOrganization {
  http::Text<1, 120> name;
  http::Text<3, 40> slug;
};
BOOST_DESCRIBE_STRUCT(NewOrganization, (), (name, slug))

struct Signup {
  http::Text<3, 254> email;
  Secret password;
  NewOrganization organization;
};
BOOST_DESCRIBE_STRUCT(Signup, (), (email, password, organization))

struct Login {
  http::Text<3, 254> email;
  Secret password;
};
BOOST_DESCRIBE_STRUCT(Login, (), (email, password))

struct AcceptInvitation {
  Secret token;
};
BOOST_DESCRIBE_STRUCT(AcceptInvitation, (), (token))

struct UserView {
  auth::UserId id;
  std::string email;
};
BOOST_DESCRIBE_STRUCT(UserView, (), (id, email))

struct TenantView {
  TenantPublicId id;
  std::string slug;
  std::string name;
  tenancy::TenantState state;
};
BOOST_DESCRIBE_STRUCT(TenantView, (), (id, slug, name, state))

struct IssuedKey {
  auth::ApiKeyId id;
  std::string secret;  ///< shown once
};
BOOST_DESCRIBE_STRUCT(IssuedKey, (), (id, secret))

struct SignedUp {
  UserView user;
  TenantView tenant;
  IssuedKey api_key;
};
BOOST_DESCRIBE_STRUCT(SignedUp, (), (user, tenant, api_key))

struct SessionView {
  auth::SessionId id;
  Timestamp expires_at;
};
BOOST_DESCRIBE_STRUCT(SessionView, (), (id, expires_at))

struct SignedIn {
  SessionView session;
  UserView user;
  std::string csrf_token;
};
BOOST_DESCRIBE_STRUCT(SignedIn, (), (session, user, csrf_token))

struct Me {
  UserView user;
  std::vector<TenantView> tenants;
  std::string csrf_token;
};
BOOST_DESCRIBE_STRUCT(Me, (), (user, tenants, csrf_token))

Result<void> valid_slug(std::string_view slug);
/// NIST SP 800-63B: length, no known or guessable password, no rules of composition.
Result<void> valid_password(const Secret& password, std::string_view email);

}  // namespace coditect::accounts
