#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "tenancy/shard_map.h"

namespace coditect::tenancy {
namespace {

constexpr auto kMin = std::numeric_limits<std::int32_t>::min();
constexpr auto kMax = std::numeric_limits<std::int32_t>::max();

// SELECT v, hashint8(v) on PostgreSQL 15; cell_dbtest compares many more with the server.
TEST(TenantHash, IsThatOfPostgres) {
  EXPECT_EQ(tenant_hash(1), -1905060026);
  EXPECT_EQ(tenant_hash(2), 1134484726);
  EXPECT_EQ(tenant_hash(0), -272711505);
}

TEST(ShardMap, FindsTheShardAtBothEndsOfEachRange) {
  const ShardMap map({{"a", 1}, {"b", 2}}, {{0, kMax, 102, 1}, {kMin, -1, 101, 0}});
  EXPECT_EQ(map.shard_of(1).id, 101);
  EXPECT_EQ(map.shard_of(2).id, 102);
  EXPECT_EQ(map.node_of(1), 0U);
  EXPECT_EQ(map.node_of(2), 1U);
}

TEST(ShardMap, FindsATenantInAShardOfItsOwn) {
  const auto h = tenant_hash(2);
  const ShardMap map({{"a", 1}, {"b", 2}},
                     {{kMin, h - 1, 1, 0}, {h, h, 2, 1}, {h + 1, kMax, 3, 0}});
  EXPECT_EQ(map.shard_of(2).id, 2);
  EXPECT_EQ(map.shard_of(1).id, 1);
}

std::string refusal(std::vector<Shard> shards) {
  try {
    const ShardMap map({{"a", 1}}, std::move(shards));
    return "";
  } catch (const Failure& f) {
    return std::string(f.error().reason);
  }
}

TEST(ShardMap, RefusesGapsOverlapsAndUnknownNodes) {
  EXPECT_EQ(refusal({{kMin, kMax, 1, 0}}), "");
  EXPECT_EQ(refusal({}), "shard_map_malformed");
  EXPECT_EQ(refusal({{kMin, 0, 1, 0}, {2, kMax, 2, 0}}), "shard_map_malformed");
  EXPECT_EQ(refusal({{kMin, 0, 1, 0}, {0, kMax, 2, 0}}), "shard_map_malformed");
  EXPECT_EQ(refusal({{kMin, 0, 1, 0}, {1, kMax - 1, 2, 0}}), "shard_map_malformed");
  EXPECT_EQ(refusal({{kMin + 1, kMax, 1, 0}}), "shard_map_malformed");
  EXPECT_EQ(refusal({{kMin, kMax, 1, 1}}), "shard_map_malformed");
}

}  // namespace
}  // namespace coditect::tenancy
