#include "tenancy/shard_map.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"

namespace coditect::tenancy {
namespace {

/// hash_bytes_uint32() of PostgreSQL: Bob Jenkins' final mix over one word.
std::uint32_t hash_word(std::uint32_t k) {
  std::uint32_t a = 0x9e3779b9U + 4 + 3923095;
  std::uint32_t b = a, c = a;
  a += k;
  c ^= b, c -= std::rotl(b, 14);
  a ^= c, a -= std::rotl(c, 11);
  b ^= a, b -= std::rotl(a, 25);
  c ^= b, c -= std::rotl(b, 16);
  a ^= c, a -= std::rotl(c, 4);
  b ^= a, b -= std::rotl(a, 14);
  c ^= b, c -= std::rotl(b, 24);
  return c;
}

}  // namespace

std::int32_t tenant_hash(std::int64_t tenant) {
  // So that an int and a bigint of the same value hash alike.
  const auto low = static_cast<std::uint32_t>(tenant);
  const auto high = static_cast<std::uint32_t>(static_cast<std::uint64_t>(tenant) >> 32);
  return std::bit_cast<std::int32_t>(hash_word(low ^ (tenant >= 0 ? high : ~high)));
}

ShardMap::ShardMap(std::vector<Node> nodes, std::vector<Shard> shards)
    : nodes_(std::move(nodes)), shards_(std::move(shards)) {
  std::ranges::sort(shards_, {}, &Shard::first);
  auto next = std::int64_t{std::numeric_limits<std::int32_t>::min()};
  for (const auto& s : shards_) {
    if (s.first != next || s.last < s.first || s.node >= nodes_.size())
      fail(Code::internal, "shard_map_malformed",
           "shard " + std::to_string(s.id) + " does not follow the one before it");
    next = std::int64_t{s.last} + 1;
  }
  if (next != std::int64_t{std::numeric_limits<std::int32_t>::max()} + 1)
    fail(Code::internal, "shard_map_malformed", "the shards do not hold every hash");
}

const Shard& ShardMap::shard_of(std::int64_t tenant) const {
  const auto after = std::ranges::upper_bound(shards_, tenant_hash(tenant), {}, &Shard::first);
  return *std::prev(after);
}

}  // namespace coditect::tenancy
