#include "redis/slots.h"

#include <algorithm>
#include <charconv>

namespace coditect::redis {
namespace {

constexpr auto kCrc16 = [] {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021 : 0);
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}();

std::optional<int> number(std::string_view text, int least, int most) {
  int n = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (bad != std::errc() || end != text.data() + text.size() || n < least || n > most)
    return std::nullopt;
  return n;
}

bool is_slot(const Reply& r) {
  return r.kind == Reply::Kind::integer && r.integer >= 0 && r.integer < kSlots;
}

/// The first node of an entry is the master: [host, port, id, ...].
std::optional<Address> node(const Reply& r, const Address& asked) {
  if (r.kind != Reply::Kind::array || r.items.size() < 2) return std::nullopt;
  const auto& port = r.items[1];
  if (port.kind != Reply::Kind::integer || port.integer < 1 || port.integer > 65535)
    return std::nullopt;
  const auto& host = r.items[0];
  if (host.kind != Reply::Kind::text && !host.is_null()) return std::nullopt;
  const bool unknown = host.is_null() || host.text.empty() || host.text == "?";
  return Address{unknown ? asked.host : host.text, static_cast<int>(port.integer)};
}

}  // namespace

int slot_of(std::string_view key) {
  if (const auto open = key.find('{'); open != key.npos) {
    const auto close = key.find('}', open + 1);
    if (close != key.npos && close != open + 1) key = key.substr(open + 1, close - open - 1);
  }
  unsigned crc = 0;
  for (const char c : key)
    crc = ((crc << 8) & 0xffff) ^ kCrc16[((crc >> 8) ^ static_cast<unsigned char>(c)) & 0xff];
  return static_cast<int>(crc % kSlots);
}

std::optional<SlotMap> SlotMap::from(const Reply& reply, const Address& asked) {
  if (reply.kind != Reply::Kind::array) return std::nullopt;
  SlotMap out;
  for (const auto& entry : reply.items) {
    if (entry.kind != Reply::Kind::array || entry.items.size() < 3 || !is_slot(entry.items[0]) ||
        !is_slot(entry.items[1]) || entry.items[0].integer > entry.items[1].integer)
      return std::nullopt;
    const auto master = node(entry.items[2], asked);
    if (!master) return std::nullopt;
    if (out.masters_.size() >= kMostMasters) return std::nullopt;
    const auto index = out.index_of(*master);
    std::fill(out.owner_.begin() + entry.items[0].integer,
              out.owner_.begin() + entry.items[1].integer + 1, index);
  }
  if (out.masters_.empty()) return std::nullopt;
  return out;
}

std::uint16_t SlotMap::index_of(const Address& master) {
  const auto it = std::ranges::find(masters_, master);
  const auto index = static_cast<std::uint16_t>(it - masters_.begin());
  if (it == masters_.end()) masters_.push_back(master);
  return index;
}

const Address* SlotMap::master_of(int slot) const {
  const auto index = owner_[static_cast<std::size_t>(slot)];
  return index == kNobody ? nullptr : &masters_[index];
}

void SlotMap::set(int slot, const Address& master) {
  if (masters_.size() >= kMostMasters) return;  // the next full map tells
  owner_[static_cast<std::size_t>(slot)] = index_of(master);
}

bool SlotMap::complete() const { return std::ranges::find(owner_, kNobody) == owner_.end(); }

std::optional<Redirect> Redirect::from(std::string_view error, const Address& asked) {
  Redirect out{};
  if (error.starts_with("MOVED "))
    out.kind = Kind::moved;
  else if (error.starts_with("ASK "))
    out.kind = Kind::ask;
  else
    return std::nullopt;
  error.remove_prefix(error.find(' ') + 1);
  const auto space = error.find(' ');
  if (space == error.npos) return std::nullopt;
  const auto slot = number(error.substr(0, space), 0, kSlots - 1);
  const auto where = error.substr(space + 1);
  const auto colon = where.rfind(':');  // an IPv6 address has colons of its own
  if (!slot || colon == where.npos) return std::nullopt;
  const auto port = number(where.substr(colon + 1), 1, 65535);
  if (!port) return std::nullopt;
  out.slot = *slot;
  const auto host = where.substr(0, colon);
  out.to = {host.empty() || host == "?" ? asked.host : std::string(host), *port};
  return out;
}

}  // namespace coditect::redis
