#include "base/id.h"

#include <sys/random.h>

#include "base/bytes.h"
#include "base/check.h"

namespace coditect {
namespace {

constexpr std::string_view kCrockford = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr auto kValueOf = [] {  // -1: not a digit
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < kCrockford.size(); ++i)
    table[static_cast<unsigned char>(kCrockford[i])] = static_cast<std::int8_t>(i);
  return table;
}();
__extension__ using Bits128 = unsigned __int128;

/// Random bytes in blocks: a system call per id would be half its cost.
void random_tail(std::uint8_t* out, std::size_t size) {
  thread_local std::array<std::uint8_t, 640> block;
  thread_local std::size_t used = block.size();
  if (block.size() - used < size) {
    CHECK(getrandom(block.data(), block.size(), 0) == static_cast<ssize_t>(block.size()));
    used = 0;
  }
  std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(used), size, out);
  used += size;
}

}  // namespace

Uuid make_uuid7(Timestamp at) {
  Uuid id;
  const auto ms = static_cast<std::uint64_t>(
      std::chrono::floor<std::chrono::milliseconds>(at).time_since_epoch().count());
  for (int i = 0; i < 6; ++i)
    id.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  random_tail(id.bytes.data() + 6, 10);
  // Method 3 of section 6.2: the 12 bits after the version are the fraction of the millisecond, so
  // that ids sort as their times do.
  const auto us = std::chrono::floor<std::chrono::microseconds>(at).time_since_epoch().count();
  const auto fraction = static_cast<unsigned>((us % 1000) * 4096 / 1000);
  id.bytes[6] = static_cast<std::uint8_t>(0x70 | fraction >> 8);
  id.bytes[7] = static_cast<std::uint8_t>(fraction & 255);
  id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

std::string to_string(const Uuid& id) {
  auto hex = to_hex(id.view());
  for (const std::size_t at : {8u, 13u, 18u, 23u}) hex.insert(at, 1, '-');
  return hex;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::string hex;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash != (text[i] == '-')) return std::nullopt;
    if (!dash) hex += text[i];
  }
  const auto bytes = from_hex(to_lower_ascii(hex));
  if (!bytes) return std::nullopt;
  Uuid id;
  std::copy(bytes->begin(), bytes->end(), id.bytes.begin());
  return id;
}

std::string to_base32(const Uuid& id) {
  std::string out;
  append_base32(out, id);
  return out;
}

void append_base32(std::string& out, const Uuid& id) {
  Bits128 bits = 0;
  for (const auto byte : id.bytes) bits = bits << 8 | byte;
  std::array<char, 26> text;
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, bits >>= 5)
    *digit = kCrockford[static_cast<std::size_t>(bits & 31)];
  out.append(text.data(), text.size());
}

std::optional<Uuid> parse_base32(std::string_view text) {
  if (text.size() != 26 || text[0] > '7') return std::nullopt;
  Bits128 bits = 0;
  for (const char digit : text) {
    const int value = kValueOf[static_cast<unsigned char>(digit)];
    if (value < 0) return std::nullopt;
    bits = bits << 5 | static_cast<unsigned>(value);
  }
  Uuid id;
  for (auto byte = id.bytes.rbegin(); byte != id.bytes.rend(); ++byte, bits >>= 8)
    *byte = static_cast<std::uint8_t>(bits);
  return id;
}

}  // namespace coditect
