#include "auth/credential.h"

#include "base/bytes.h"
#include "crypto/digest.h"

namespace coditect::auth {
namespace {

constexpr std::size_t kSecretDigits = 43, kChecksumDigits = 6, kIdDigits = 26;
constexpr std::string_view kSecretPurpose = "credential", kCsrfPurpose = "csrf";

/// start + ids joined by '_' + '_' + secret + checksum of all before it.
Secret compose(std::string text, const Secret& secret) {
  text += '_' + secret.reveal();
  return Secret(text + to_base62(crc32(text), kChecksumDigits));
}

/// The ids and the secret of a composed text; false when its shape or checksum is wrong.
bool take_apart(std::string_view text, std::string_view start, std::initializer_list<Uuid*> ids,
                Secret& secret) {
  const std::size_t size =
      start.size() + ids.size() * (kIdDigits + 1) + 1 + kSecretDigits + kChecksumDigits;
  if (text.size() != size || !text.starts_with(start)) return false;
  const auto body = text.substr(0, size - kChecksumDigits);
  if (to_base62(crc32(body), kChecksumDigits) != text.substr(body.size())) return false;
  std::size_t at = start.size();
  for (Uuid* id : ids) {
    const auto parsed =
        text[at] == '_' ? parse_base32(text.substr(at + 1, kIdDigits)) : std::nullopt;
    if (!parsed) return false;
    *id = *parsed;
    at += kIdDigits + 1;
  }
  if (text[at] != '_') return false;
  secret = Secret(std::string(text.substr(at + 1, kSecretDigits)));
  return true;
}

Secret make_secret() { return Secret(crypto::random_base62(kSecretDigits)); }

}  // namespace

ApiKeyToken ApiKeyToken::make(TenantPublicId tenant, ApiKeyId key) {
  return {tenant, key, make_secret()};
}
std::string ApiKeyToken::prefix() const {
  return "ck_" + to_base32(tenant.uuid()) + "_" + to_base32(key.uuid());
}
Secret ApiKeyToken::text() const { return compose(prefix(), secret); }
std::optional<ApiKeyToken> ApiKeyToken::parse(std::string_view text) {
  Uuid tenant, key;
  Secret secret;
  if (!take_apart(text, "ck", {&tenant, &key}, secret)) return std::nullopt;
  return ApiKeyToken{TenantPublicId(tenant), ApiKeyId(key), std::move(secret)};
}

InvitationToken InvitationToken::make(TenantPublicId tenant, MemberId member) {
  return {tenant, member, make_secret()};
}
Secret InvitationToken::text() const {
  return compose("ci_" + to_base32(tenant.uuid()) + "_" + to_base32(member.uuid()), secret);
}
std::optional<InvitationToken> InvitationToken::parse(std::string_view text) {
  Uuid tenant, member;
  Secret secret;
  if (!take_apart(text, "ci", {&tenant, &member}, secret)) return std::nullopt;
  return InvitationToken{TenantPublicId(tenant), MemberId(member), std::move(secret)};
}

OperatorToken OperatorToken::make(OperatorId id) { return {id, make_secret()}; }
Secret OperatorToken::text() const { return compose("co_" + to_base32(id.uuid()), secret); }
std::optional<OperatorToken> OperatorToken::parse(std::string_view text) {
  Uuid id;
  Secret secret;
  if (!take_apart(text, "co", {&id}, secret)) return std::nullopt;
  return OperatorToken{OperatorId(id), std::move(secret)};
}

Secret make_session_token() { return Secret("cs_" + crypto::random_base62(kSecretDigits)); }
std::string session_hash(const Secret& token) { return crypto::sha256(token.reveal()); }

std::string csrf_token(const crypto::Keyring& keys, const SessionId& session) {
  const auto mac = keys.mac(kCsrfPurpose, session.str());
  return mac.key_id + "." + to_base64url(mac.bytes);
}

bool is_csrf_token(const crypto::Keyring& keys, const SessionId& session, std::string_view text) {
  const auto dot = text.find('.');
  if (dot == text.npos) return false;
  const auto bytes = from_base64url(text.substr(dot + 1));
  return bytes &&
         keys.verify(kCsrfPurpose, session.str(), {std::string(text.substr(0, dot)), *bytes});
}

crypto::Keyring::Mac secret_mac(const crypto::Keyring& keys, const Secret& secret) {
  return keys.mac(kSecretPurpose, secret.reveal());
}

std::vector<std::string> all_secret_macs(const crypto::Keyring& keys, const Secret& secret) {
  return keys.all_macs(kSecretPurpose, secret.reveal());
}

bool is_secret(const crypto::Keyring& keys, const Secret& secret, const std::string& key_id,
               const std::string& hash) {
  return keys.verify(kSecretPurpose, secret.reveal(), {key_id, hash});
}

}  // namespace coditect::auth
