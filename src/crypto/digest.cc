#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/bytes.h"
#include "base/check.h"

namespace coditect::crypto {
namespace {

const unsigned char* data(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

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

std::string sha256(std::string_view bytes) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(data(bytes), bytes.size(), reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  unsigned size = 0;
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data(bytes), bytes.size(),
             reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr);
  return out;
}

std::string hkdf_sha256(std::string_view key, std::string_view info) {
  const auto extracted = hmac_sha256(std::string(SHA256_DIGEST_LENGTH, '\0'), key);
  return hmac_sha256(extracted, std::string(info) + '\x01');
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace coditect::crypto
