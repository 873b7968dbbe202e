#pragma once
#include <cstddef>
#include <vector>

/// Which shards to move so that workers are alike: the same for a real cluster and for a simulated
/// one.
namespace coditect::cluster {

struct BalanceShard {
  double weight = 0;       ///< bytes, or 1 for each
  std::size_t worker = 0;  ///< where it is
};
struct BalanceMove {
  std::size_t shard, target;
};

/// Largest first from the fullest worker to the emptiest, as long as the two differ by more than a
/// tenth of the mean and the move makes both better. A worker with `takes[w]` false gives all of
/// its shards away. Deterministic.
std::vector<BalanceMove> balance(std::vector<BalanceShard> shards, const std::vector<bool>& takes);

}  // namespace coditect::cluster
