// Credentials, sealed cursors, key rings, e-mail addresses.
#include "auth/credential.h"
#include "auth/email.h"
#include "base/bytes.h"
#include "testing/fuzz.h"

using namespace coditect;

FUZZ_TARGET {
  if (const auto token = auth::ApiKeyToken::parse(input)) CHECK(token->text().reveal() == input);
  if (const auto token = auth::InvitationToken::parse(input))
    CHECK(token->text().reveal() == input);
  if (const auto token = auth::OperatorToken::parse(input)) CHECK(token->text().reveal() == input);
  if (const auto email = auth::valid_email(input)) CHECK(*auth::valid_email(*email) == *email);
  static const auto ring = *crypto::Keyring::parse(crypto::Keyring::generate());
  CHECK(!ring.open("cursor", input, "scope"));
  auto sealed = ring.seal("cursor", input, "scope");
  CHECK(ring.open("cursor", sealed, "scope") == input);
  if (!input.empty()) {
    sealed[static_cast<unsigned char>(input[0]) % sealed.size()] ^= 1;
    CHECK(!ring.open("cursor", sealed, "scope"));
  }
  CHECK(!auth::is_csrf_token(ring, auth::SessionId::make(), input));
  (void)crypto::Keyring::parse(Secret(std::string(input)));
}
