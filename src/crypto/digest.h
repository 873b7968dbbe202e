#pragma once
#include <cstddef>
#include <string>
#include <string_view>

/// Hashes and random bytes, by OpenSSL.
namespace coditect::crypto {

std::string random_bytes(std::size_t size);
/// Base62 text of `digits` digits, each uniform.
std::string random_base62(std::size_t digits);

std::string sha256(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
/// RFC 5869 with SHA-256 and no salt; 32 bytes.
std::string hkdf_sha256(std::string_view key, std::string_view info);
/// Compares in a time that does not depend on the contents.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace coditect::crypto
