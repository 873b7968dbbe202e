#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <initializer_list>

#include "base/bytes.h"
#include "base/check.h"

namespace coditect::crypto {
namespace {

constexpr std::size_t kBlock = 64;

/// SHA-256 whose algorithm and context are looked up once for a thread.
class Sha256 {
 public:
  static std::string hash(std::initializer_list<std::string_view> parts) {
    thread_local const Sha256 own;
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    CHECK(EVP_DigestInit_ex2(own.context_, own.algorithm_, nullptr) == 1);
    for (const auto part : parts)
      CHECK(EVP_DigestUpdate(own.context_, part.data(), part.size()) == 1);
    CHECK(EVP_DigestFinal_ex(own.context_, reinterpret_cast<unsigned char*>(out.data()), nullptr) ==
          1);
    return out;
  }
  ~Sha256() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(algorithm_);
  }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

 private:
  Sha256() : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
    CHECK(algorithm_ != nullptr && context_ != nullptr);
  }
  EVP_MD* algorithm_;
  EVP_MD_CTX* context_;
};

}  // namespace

std::string random_bytes(std::size_t size) {
  std::string out(size, '\0');
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(size)) == 1);
  return out;
}

std::string random_base62(std::size_t digits) {
  std::string out;
  while (out.size() < digits) {
    for (const char c : random_bytes(digits)) {
      const auto b = static_cast<unsigned char>(c);
      if (b < 248 && out.size() < digits) out += kBase62[b % 62];  // 248 = 4 * 62: no bias
    }
  }
  return out;
}

std::string sha256(std::string_view bytes) { return Sha256::hash({bytes}); }

// RFC 2104 over the digest above: OpenSSL's own looks its algorithm up by name at each call.
std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  std::array<char, kBlock> inner{}, outer{};
  const auto short_key = key.size() > kBlock ? sha256(key) : std::string(key);
  std::ranges::copy(short_key, inner.begin());
  outer = inner;
  for (char& c : inner) c ^= 0x36;
  for (char& c : outer) c ^= 0x5c;
  const auto first = Sha256::hash({{inner.data(), kBlock}, bytes});
  return Sha256::hash({{outer.data(), kBlock}, first});
}

std::string hkdf_sha256(std::string_view key, std::string_view info) {
  const auto extracted = hmac_sha256(std::string(SHA256_DIGEST_LENGTH, '\0'), key);
  return hmac_sha256(extracted, std::string(info) + '\x01');
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace coditect::crypto
