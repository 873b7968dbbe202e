#include "cluster/simulate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "cluster/balance.h"

namespace coditect::cluster {
namespace {

namespace json = boost::json;

/// What scripts/bench.sh rebalance saw on a real cluster of three workers and a fourth.
json::value measured_rebalance() {
  const std::string here = __FILE__;
  std::ifstream in(here.substr(0, here.rfind("/src/")) + "/bench/results/rebalance.json");
  std::ostringstream text;
  text << in.rdbuf();
  return json::parse(text.str());
}

/// The model: 64 shards of the policy dealt to three workers, all alike but the giant's; then a
/// fourth worker.
TEST(Simulation, BalancesAsTheRealClusterDid) {
  const auto real = measured_rebalance();
  std::vector<std::int64_t> real_counts;
  double giant = 0, others = 0;
  for (const auto& worker : real.at("shards").as_array()) {
    const auto count = worker.at(0).to_number<std::int64_t>();
    const auto bytes = worker.at(1).to_number<double>();
    real_counts.push_back(count);
    (count == std::int64_t{1} ? giant : others) += bytes;
  }
  ASSERT_GT(giant, 0) << "the giant ends alone on its worker";
  std::vector<BalanceShard> shards;
  for (std::size_t i = 0; i < 64; ++i) shards.push_back({others / 63, i % 3});
  shards[0].weight = giant;
  const auto moves = balance(shards, {true, true, true, true});
  for (const auto& m : moves) shards[m.shard].worker = m.target;
  std::vector<std::int64_t> counts(4);
  for (const auto& s : shards) ++counts[s.worker];
  std::ranges::sort(counts);
  std::ranges::sort(real_counts);
  for (std::size_t w = 0; w < 4; ++w) EXPECT_NEAR(counts[w], real_counts[w], 2);
  EXPECT_NEAR(static_cast<double>(moves.size()), real.at("moves").to_number<double>(), 2);
}

/// The speed of moves that the simulation assumes is what was measured, within its spread.
TEST(Simulation, MovesAsFastAsTheRealClusterDid) {
  const Simulation s;
  for (const auto& line : measured_rebalance().at("log").as_array()) {
    const std::string text(line.as_string());
    if (!text.contains(" moved from ")) continue;
    const double took = std::stod(text.substr(text.rfind(" in ") + 4));
    const double mib = std::stod(text.substr(text.find('(') + 1));
    const double assumed = s.move_seconds + mib * (1 << 20) / s.move_bytes_per_second;
    EXPECT_LT(took / assumed, 2) << text;
    EXPECT_GT(took / assumed, 0.4) << text;
  }
}

}  // namespace
}  // namespace coditect::cluster
