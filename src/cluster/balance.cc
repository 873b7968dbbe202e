#include "cluster/balance.h"

#include <algorithm>

namespace coditect::cluster {
namespace {

constexpr double kTolerated = 0.1;  ///< of the mean weight of a worker
/// A move is worth its trouble when it takes at least this part of the difference away.
constexpr double kMostOfGap = 0.75;

struct State {
  std::vector<BalanceShard>& shards;
  const std::vector<bool>& takes;
  std::vector<double> weights;

  explicit State(std::vector<BalanceShard>& s, const std::vector<bool>& t)
      : shards(s), takes(t), weights(t.size()) {
    for (const auto& shard : shards) weights[shard.worker] += shard.weight;
  }
  /// The worker that is best by `better`, of those that take shards; takes.size(): none.
  std::size_t pick(const auto& better) const {
    auto best = takes.size();
    for (std::size_t w = 0; w < takes.size(); ++w)
      if (takes[w] && (best == takes.size() || better(weights[w], weights[best]))) best = w;
    return best;
  }
  std::size_t heaviest_on(std::size_t worker, double most) const {
    auto best = shards.size();
    for (std::size_t s = 0; s < shards.size(); ++s)
      if (shards[s].worker == worker && shards[s].weight <= most &&
          (best == shards.size() || shards[s].weight > shards[best].weight))
        best = s;
    return best;
  }
};

}  // namespace

std::vector<BalanceMove> balance(std::vector<BalanceShard> shards, const std::vector<bool>& takes) {
  State state(shards, takes);
  std::vector<BalanceMove> out;
  const auto takers = static_cast<double>(std::ranges::count(takes, true));
  if (takers == 0) return out;
  double all = 0;
  for (const auto w : state.weights) all += w;
  const double tolerated = all / takers * kTolerated;
  const auto move = [&](std::size_t shard, std::size_t target) {
    state.weights[shards[shard].worker] -= shards[shard].weight;
    state.weights[target] += shards[shard].weight;
    shards[shard].worker = target;
    out.push_back({shard, target});
  };
  for (std::size_t w = 0; w < takes.size(); ++w) {
    if (takes[w]) continue;
    for (auto s = state.heaviest_on(w, all); s < shards.size(); s = state.heaviest_on(w, all))
      move(s, state.pick(std::less()));
  }
  for (;;) {
    const auto target = state.pick(std::less()), source = state.pick(std::greater());
    const double gap = state.weights[source] - state.weights[target];
    if (gap <= tolerated) return out;
    // One that is as heavy as the gap would only turn it round.
    const auto s = state.heaviest_on(source, gap * kMostOfGap);
    if (s == shards.size()) return out;
    move(s, target);
  }
}

}  // namespace coditect::cluster
