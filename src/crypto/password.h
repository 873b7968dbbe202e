#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace coditect::crypto {

/// Argon2id (RFC 9106). The defaults are the OWASP minimum: 19 MiB, 2 passes, 1 lane.
struct Argon2Cost {
  std::uint32_t memory_kib = 19456;
  std::uint32_t passes = 2;
};

/// The PHC string, with a random 16-byte salt. Blocks for tens of milliseconds: call it in a
/// blocking pool.
std::string hash_password(const Secret& password, Argon2Cost cost);
/// Whether the password gives this PHC string; false for a string that is none. Blocks likewise.
bool verify_password(const Secret& password, const std::string& phc);

/// Whether the text is an Argon2id PHC string of a cost that one may pay at each sign-in: up to 1
/// GiB, 100 passes.
bool is_password_hash(const std::string& phc);

}  // namespace coditect::crypto
