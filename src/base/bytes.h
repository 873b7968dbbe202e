#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// Text forms of bytes. Decoders are strict: one text for each value, no padding, no white space.
namespace coditect {

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);

/// RFC 4648 section 5, without padding.
std::string to_base64url(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);

/// RFC 4648 section 4, with padding: for keys in settings.
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

inline constexpr std::string_view kBase62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A fixed number of base62 digits, most significant first; nullopt when the text is no such
/// number.
std::string to_base62(std::uint32_t value, int digits);

/// CRC-32 (IEEE 802.3), the checksum of zlib and PNG.
std::uint32_t crc32(std::string_view bytes);

/// Whether the text is well-formed UTF-8 (RFC 3629) without U+0000.
bool is_valid_utf8(std::string_view text);
/// Number of code points of well-formed UTF-8.
std::size_t utf8_length(std::string_view text);

bool is_ascii_alnum(char c);
std::string to_lower_ascii(std::string_view text);
std::string_view trim(std::string_view text);

}  // namespace coditect
