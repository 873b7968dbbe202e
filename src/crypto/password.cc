#include "crypto/password.h"

#include <argon2.h>

#include "base/check.h"
#include "crypto/digest.h"

namespace coditect::crypto {

std::string hash_password(const Secret& password, Argon2Cost cost) {
  constexpr std::size_t kHash = 32, kSalt = 16;
  const auto salt = random_bytes(kSalt);
  std::string phc(argon2_encodedlen(cost.passes, cost.memory_kib, 1, kSalt, kHash, Argon2_id),
                  '\0');
  CHECK(argon2id_hash_encoded(cost.passes, cost.memory_kib, 1, password.reveal().data(),
                              password.reveal().size(), salt.data(), salt.size(), kHash, phc.data(),
                              phc.size()) == ARGON2_OK);
  phc.resize(phc.find('\0'));
  return phc;
}

bool verify_password(const Secret& password, const std::string& phc) {
  return argon2id_verify(phc.c_str(), password.reveal().data(), password.reveal().size()) ==
         ARGON2_OK;
}

}  // namespace coditect::crypto
