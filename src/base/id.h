#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace coditect {

/// 128 bits, RFC 9562.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  friend auto operator<=>(const Uuid&, const Uuid&) = default;

  std::string_view view() const noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

/// RFC 9562 version 7: the time since 1970 to a quarter of a microsecond, then 62 random bits. The
/// tail is random, not a counter: a counter would show other tenants' volume.
Uuid make_uuid7(Timestamp at = now());

/// "01890a5d-ac96-774b-bcce-b302099a8057".
std::string to_string(const Uuid& id);
std::optional<Uuid> parse_uuid(std::string_view text);

/// 26 digits of Crockford's base32, lower case: the suffix of a TypeID
/// (https://github.com/jetify-com/typeid, spec 0.3).
std::string to_base32(const Uuid& id);
void append_base32(std::string& out, const Uuid& id);
std::optional<Uuid> parse_base32(std::string_view text);

/// A row id that knows what it identifies; outside it is a TypeID,
/// "task_01h455vb4pex5vsknk084sn02q". Tag has `static constexpr std::string_view prefix`.
template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(const Uuid& uuid) : uuid_(uuid) {}

  static Id make(Timestamp at = now()) { return Id(make_uuid7(at)); }

  /// nullopt when the text is no id of this kind.
  static std::optional<Id> parse(std::string_view text) {
    if (!text.starts_with(Tag::prefix)) return std::nullopt;
    text.remove_prefix(Tag::prefix.size());
    if (!text.starts_with('_')) return std::nullopt;
    const auto uuid = parse_base32(text.substr(1));
    if (!uuid) return std::nullopt;
    return Id(*uuid);
  }

  const Uuid& uuid() const noexcept { return uuid_; }
  std::string str() const { return std::string(Tag::prefix) + '_' + to_base32(uuid_); }

  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  Uuid uuid_;
};

}  // namespace coditect

template <>
struct std::hash<coditect::Uuid> {
  std::size_t operator()(const coditect::Uuid& id) const noexcept {
    return std::hash<std::string_view>()(id.view());
  }
};
