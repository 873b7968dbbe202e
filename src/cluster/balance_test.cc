#include "cluster/balance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace coditect::cluster {
namespace {

std::vector<double> weights_after(std::vector<BalanceShard> shards,
                                  const std::vector<bool>& takes) {
  for (const auto& m : balance(shards, takes)) shards[m.shard].worker = m.target;
  std::vector<double> out(takes.size());
  for (const auto& s : shards) out[s.worker] += s.weight;
  return out;
}

TEST(Balance, LeavesWorkersThatAreAlikeAlone) {
  EXPECT_TRUE(balance({{1, 0}, {1, 1}, {1, 2}}, {true, true, true}).empty());
  EXPECT_TRUE(balance({}, {true}).empty());
  EXPECT_TRUE(balance({{5, 0}}, {true, true}).empty()) << "to move the only shard helps nobody";
}

TEST(Balance, FillsANewWorkerWithItsShare) {
  std::vector<BalanceShard> shards;
  for (std::size_t i = 0; i < 64; ++i) shards.push_back({1, i % 3});
  EXPECT_EQ(balance(shards, {true, true, true, true}).size(), 16U);
  for (const auto w : weights_after(shards, {true, true, true, true})) {
    EXPECT_EQ(w, 16);
  }
}

TEST(Balance, EmptiesAWorkerThatTakesNone) {
  const auto after = weights_after({{3, 0}, {2, 0}, {4, 1}, {1, 2}}, {false, true, true});
  EXPECT_EQ(after[0], 0);
  EXPECT_EQ(after[1] + after[2], 10);
  EXPECT_TRUE(balance({{3, 0}}, {false}).empty()) << "there is nowhere to go";
}

TEST(Balance, NeverMakesTheFullestFullerNorRunsForEver) {
  std::mt19937 random(7);
  std::lognormal_distribution<double> sizes(0, 2);
  for (int round = 0; round < 200; ++round) {
    std::vector<BalanceShard> shards;
    for (int i = 0; i < 64; ++i) shards.push_back({sizes(random), random() % 5});
    std::vector<double> before(6);
    for (const auto& s : shards) before[s.worker] += s.weight;
    const auto after = weights_after(shards, std::vector<bool>(6, true));
    EXPECT_LE(std::ranges::max(after), std::ranges::max(before) + 1e-9);
  }
}

}  // namespace
}  // namespace coditect::cluster
