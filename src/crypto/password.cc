#include "crypto/password.h"

#include <argon2.h>

#include <algorithm>
#include <cstdio>

#include "base/bytes.h"
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

bool is_password_hash(const std::string& phc) {
  unsigned memory = 0, passes = 0, lanes = 0;
  int at = 0;
  if (phc.size() > 512 || std::sscanf(phc.c_str(), "$argon2id$v=19$m=%10u,t=%10u,p=%10u$%n",
                                      &memory, &passes, &lanes, &at) != 3)
    return false;
  const auto rest = std::string_view(phc).substr(static_cast<std::size_t>(at));
  const auto dollar = rest.find('$');
  const auto is_base64 = [](std::string_view text) {
    return text.size() >= 11 && std::ranges::all_of(text, [](char c) {
             return is_ascii_alnum(c) || c == '+' || c == '/';
           });
  };
  return at > 0 && dollar != rest.npos && is_base64(rest.substr(0, dollar)) &&
         is_base64(rest.substr(dollar + 1)) && lanes >= 1 && lanes <= 16 && memory >= 8 * lanes &&
         memory <= 1048576 && passes >= 1 && passes <= 100;
}

}  // namespace coditect::crypto
