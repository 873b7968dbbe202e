#include <gtest/gtest.h>

#include "auth/credential.h"
#include "auth/email.h"
#include "auth/permission.h"

namespace coditect::auth {
namespace {

TEST(ApiKeyToken, RoundTripsAndRefusesEveryChangedCharacter) {
  const auto token = ApiKeyToken::make(TenantPublicId::make(), ApiKeyId::make());
  const auto text = token.text().reveal();
  const auto parsed = ApiKeyToken::parse(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->tenant, token.tenant);
  EXPECT_EQ(parsed->key, token.key);
  EXPECT_EQ(parsed->secret.reveal(), token.secret.reveal());
  EXPECT_TRUE(text.starts_with(token.prefix()));
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto changed = text;
    changed[i] = changed[i] == '0' ? '1' : '0';
    EXPECT_FALSE(ApiKeyToken::parse(changed)) << i;
    EXPECT_FALSE(ApiKeyToken::parse(text.substr(0, i)));
  }
  EXPECT_FALSE(ApiKeyToken::parse(text + "x"));
  EXPECT_FALSE(OperatorToken::parse(text));
  EXPECT_FALSE(InvitationToken::parse(text));
}

TEST(Csrf, IsBoundToItsSessionAndItsKey) {
  const auto keys = *crypto::Keyring::parse(crypto::Keyring::generate());
  const auto other = *crypto::Keyring::parse(crypto::Keyring::generate());
  const auto session = SessionId::make();
  const auto token = csrf_token(keys, session);
  EXPECT_TRUE(is_csrf_token(keys, session, token));
  EXPECT_FALSE(is_csrf_token(keys, SessionId::make(), token));
  EXPECT_FALSE(is_csrf_token(other, session, token));
  for (const char* bad : {"", ".", "x.y", "k."}) EXPECT_FALSE(is_csrf_token(keys, session, bad));
}

TEST(Roles, EachHoldsAllOfTheNext) {
  EXPECT_TRUE(permissions_of(Role::owner).contains(permissions_of(Role::admin)));
  EXPECT_TRUE(permissions_of(Role::admin).contains(permissions_of(Role::member)));
  EXPECT_TRUE(permissions_of(Role::member).contains(permissions_of(Role::viewer)));
  EXPECT_FALSE(permissions_of(Role::admin).contains(permissions_of(Role::owner)));
  EXPECT_FALSE(permissions_of(Role::viewer).has(Permission::data_write));
}

TEST(Email, IsLowerCaseAsciiWithADomain) {
  EXPECT_EQ(*valid_email(" Ada.L+x@Example.COM "), "ada.l+x@example.com");
  for (const char* bad : {"", "a", "@b.c", "a@", "a@b", "a@b..c", "a@.b.c", "a@b.c.", "a b@c.d",
                          "a@b@c.d", "É@x.com", "a@exämple.com", "a,b@c.d", "\"a\"@c.d"})
    EXPECT_FALSE(valid_email(bad)) << bad;
}

}  // namespace
}  // namespace coditect::auth
