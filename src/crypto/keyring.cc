#include "crypto/keyring.h"

#include <openssl/evp.h>

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "base/bytes.h"
#include "base/check.h"
#include "crypto/digest.h"

namespace coditect::crypto {
namespace {

constexpr std::size_t kNonce = 12, kTag = 16, kKeyBytes = 32, kMaxId = 16;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

/// Looked up once: OpenSSL's own constant is looked up by name at each use.
const EVP_CIPHER* aes_256_gcm() {
  static const std::unique_ptr<EVP_CIPHER, void (*)(EVP_CIPHER*)> cipher(
      EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr), EVP_CIPHER_free);
  CHECK(cipher != nullptr);
  return cipher.get();
}

const unsigned char* in(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* out(std::string& s) { return reinterpret_cast<unsigned char*>(s.data()); }

}  // namespace

struct Keyring::Derived {
  std::shared_mutex mutex;
  std::map<std::string, std::string, std::less<>> by_name;  ///< key id, a space, purpose
};

Result<Keyring> Keyring::parse(const Secret& text) {
  Keyring ring;
  ring.derived_ = std::make_shared<Derived>();
  std::string_view rest = text.reveal();
  while (!rest.empty()) {
    const auto item = trim(rest.substr(0, rest.find(',')));
    rest.remove_prefix(
        std::min(rest.size(), rest.find(',') == rest.npos ? rest.size() : rest.find(',') + 1));
    const auto colon = item.find(':');
    const auto id = item.substr(0, colon);
    if (colon == item.npos || id.empty() || id.size() > kMaxId)
      return coditect::error(Code::invalid_argument, "keyring_malformed",
                             "each key reads id:base64, the id 1 to 16 letters and digits");
    for (const char c : id)
      if (!is_ascii_alnum(c))
        return coditect::error(Code::invalid_argument, "keyring_malformed",
                               "a key id has letters and digits only");
    const auto bytes = from_base64(item.substr(colon + 1));
    if (!bytes || bytes->size() != kKeyBytes)
      return coditect::error(Code::invalid_argument, "keyring_malformed",
                             "key '" + std::string(id) + "' is not 32 bytes in base64");
    if (ring.find(id) != nullptr)
      return coditect::error(Code::invalid_argument, "keyring_malformed",
                             "key '" + std::string(id) + "' is given twice");
    ring.keys_.push_back({std::string(id), *bytes});
  }
  if (ring.keys_.empty())
    return coditect::error(Code::invalid_argument, "keyring_malformed", "no key is given");
  return ring;
}

Secret Keyring::generate() {
  return Secret("k" + random_base62(5) + ":" + to_base64(random_bytes(kKeyBytes)));
}

const Keyring::Key* Keyring::find(std::string_view id) const {
  for (const auto& key : keys_)
    if (key.id == id) return &key;
  return nullptr;
}

std::string Keyring::derive(const Key& key, std::string_view purpose) const {
  const auto name = key.id + " " + std::string(purpose);
  {
    const std::shared_lock lock(derived_->mutex);
    const auto it = derived_->by_name.find(name);
    if (it != derived_->by_name.end()) return it->second;
  }
  auto made = hkdf_sha256(key.bytes, purpose);
  const std::unique_lock lock(derived_->mutex);
  derived_->by_name.emplace(name, made);
  return made;
}

std::string Keyring::seal(std::string_view purpose, std::string_view plain,
                          std::string_view associated) const {
  const Key& key = keys_.front();
  const auto derived = derive(key, purpose);
  const auto nonce = random_bytes(kNonce);
  std::string sealed(plain.size() + kTag, '\0');
  const Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  CHECK(EVP_EncryptInit_ex2(context.get(), aes_256_gcm(), in(derived), in(nonce), nullptr) == 1);
  CHECK(EVP_EncryptUpdate(context.get(), nullptr, &size, in(associated),
                          static_cast<int>(associated.size())) == 1);
  CHECK(EVP_EncryptUpdate(context.get(), out(sealed), &size, in(plain),
                          static_cast<int>(plain.size())) == 1);
  CHECK(EVP_EncryptFinal_ex(context.get(), out(sealed) + size, &size) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTag,
                            out(sealed) + plain.size()) == 1);
  return static_cast<char>(key.id.size()) + key.id + nonce + sealed;
}

std::optional<std::string> Keyring::open(std::string_view purpose, std::string_view sealed,
                                         std::string_view associated) const {
  if (sealed.empty()) return std::nullopt;
  const auto id_size = static_cast<std::size_t>(static_cast<unsigned char>(sealed[0]));
  if (id_size > kMaxId || sealed.size() < 1 + id_size + kNonce + kTag) return std::nullopt;
  const Key* key = find(sealed.substr(1, id_size));
  if (key == nullptr) return std::nullopt;
  const auto derived = derive(*key, purpose);
  const auto nonce = sealed.substr(1 + id_size, kNonce);
  const auto body = sealed.substr(1 + id_size + kNonce);
  std::string plain(body.size() - kTag, '\0');
  std::string tag(body.substr(plain.size()));
  const Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  CHECK(EVP_DecryptInit_ex2(context.get(), aes_256_gcm(), in(derived), in(nonce), nullptr) == 1);
  CHECK(EVP_DecryptUpdate(context.get(), nullptr, &size, in(associated),
                          static_cast<int>(associated.size())) == 1);
  CHECK(EVP_DecryptUpdate(context.get(), out(plain), &size, in(body),
                          static_cast<int>(plain.size())) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTag, out(tag)) == 1);
  if (EVP_DecryptFinal_ex(context.get(), out(plain) + size, &size) != 1) return std::nullopt;
  return plain;
}

Keyring::Mac Keyring::mac(std::string_view purpose, std::string_view text) const {
  const Key& key = keys_.front();
  return {key.id, hmac_sha256(derive(key, purpose), text)};
}

std::vector<std::string> Keyring::all_macs(std::string_view purpose, std::string_view text) const {
  std::vector<std::string> out;
  for (const auto& key : keys_) out.push_back(hmac_sha256(derive(key, purpose), text));
  return out;
}

bool Keyring::verify(std::string_view purpose, std::string_view text, const Mac& mac) const {
  const Key* key = find(mac.key_id);
  return key != nullptr &&
         equal_in_constant_time(hmac_sha256(derive(*key, purpose), text), mac.bytes);
}

}  // namespace coditect::crypto
