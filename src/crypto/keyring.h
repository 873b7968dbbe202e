#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/secret.h"

namespace coditect::crypto {

/// Named 256-bit master keys. The first seals and signs; all of them open and verify, so a key is
/// rotated by putting a new one in front and dropping the old one when nothing uses it any more.
/// Each purpose ("cursor", "api_key", ...) gets its own key by HKDF.
class Keyring {
 public:
  /// "k2:<base64>,k1:<base64>"; each key is 32 bytes, each id is 1 to 16 letters and digits.
  static Result<Keyring> parse(const Secret& text);
  /// A new ring with one random key, in the form that parse() reads.
  static Secret generate();

  /// AES-256-GCM with a random nonce. The associated data must be given again to open.
  std::string seal(std::string_view purpose, std::string_view plain,
                   std::string_view associated) const;
  /// nullopt when forged, damaged, sealed for another purpose or by a key that is gone.
  std::optional<std::string> open(std::string_view purpose, std::string_view sealed,
                                  std::string_view associated) const;

  struct Mac {
    std::string key_id;
    std::string bytes;  ///< HMAC-SHA-256, 32 bytes
  };
  Mac mac(std::string_view purpose, std::string_view text) const;
  /// The bytes of the MAC under each key, newest first.
  std::vector<std::string> all_macs(std::string_view purpose, std::string_view text) const;
  bool verify(std::string_view purpose, std::string_view text, const Mac& mac) const;

 private:
  struct Key {
    std::string id;
    std::string bytes;
  };
  const Key* find(std::string_view id) const;
  std::string derive(const Key& key, std::string_view purpose) const;
  struct Derived;

  std::vector<Key> keys_;
  std::shared_ptr<Derived> derived_;  ///< keys by purpose, made at first use
};

}  // namespace coditect::crypto
