#pragma once
#include <optional>
#include <string>

#include "base/id.h"
#include "base/secret.h"
#include "crypto/keyring.h"
#include "tenancy/tenant.h"

/// The texts of credentials: pure functions.
namespace coditect::auth {

struct ApiKeyTag {
  static constexpr std::string_view prefix = "key";
};
using ApiKeyId = Id<ApiKeyTag>;
struct MemberTag {
  static constexpr std::string_view prefix = "member";
};
using MemberId = Id<MemberTag>;
struct UserTag {
  static constexpr std::string_view prefix = "user";
};
using UserId = Id<UserTag>;
struct SessionTag {
  static constexpr std::string_view prefix = "session";
};
using SessionId = Id<SessionTag>;
struct OperatorTag {
  static constexpr std::string_view prefix = "operator";
};
using OperatorId = Id<OperatorTag>;

/// "ck_<tenant>_<key>_<secret><checksum>": tenant and key are the 26 digits of their TypeIDs, the
/// secret is 43 base62 digits (256 bits), the checksum 6 (CRC-32). A scanner can recognise a leaked
/// one, and a mistyped one costs no look-up.
struct ApiKeyToken {
  TenantPublicId tenant;
  ApiKeyId key;
  Secret secret;

  static ApiKeyToken make(TenantPublicId tenant, ApiKeyId key);
  static std::optional<ApiKeyToken> parse(std::string_view text);
  Secret text() const;
  /// The part that may be shown: "ck_<tenant>_<key>".
  std::string prefix() const;
};

/// Invitations and operators carry tokens of the same shape with other beginnings.
struct InvitationToken {
  TenantPublicId tenant;
  MemberId member;
  Secret secret;

  static InvitationToken make(TenantPublicId tenant, MemberId member);
  static std::optional<InvitationToken> parse(std::string_view text);
  Secret text() const;
};

struct OperatorToken {
  OperatorId id;
  Secret secret;

  static OperatorToken make(OperatorId id);
  static std::optional<OperatorToken> parse(std::string_view text);
  Secret text() const;
};

/// "cs_<43 base62 digits>"; stored as its SHA-256.
Secret make_session_token();
std::string session_hash(const Secret& token);

/// The token that a browser sends back in X-CSRF-Token: derived, so that nothing is stored.
std::string csrf_token(const crypto::Keyring& keys, const SessionId& session);
bool is_csrf_token(const crypto::Keyring& keys, const SessionId& session, std::string_view text);

/// Keyed hash of a random secret as it is stored.
crypto::Keyring::Mac secret_mac(const crypto::Keyring& keys, const Secret& secret);
/// The MAC under each key of the ring: one of them is what was stored.
std::vector<std::string> all_secret_macs(const crypto::Keyring& keys, const Secret& secret);
bool is_secret(const crypto::Keyring& keys, const Secret& secret, const std::string& key_id,
               const std::string& hash);

}  // namespace coditect::auth
