#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cluster/cluster.h"

namespace coditect::cluster {

/// Rows of one table after the move of its shard.
struct Tally {
  std::string table;
  std::optional<std::int64_t> source;  ///< left behind, where nobody writes any more; none: gone
  std::int64_t target = 0;             ///< in the copies, where work goes on
  std::int64_t deleted = 0;            ///< from the copies, as the server counts
};

/// Counts the rows that a move or split of `before` left, and those of the shards it made, `after`;
/// in the order of `before.tables`.
std::vector<Tally> tally(Cluster& cluster, const ShardGroup& before,
                         const std::vector<ShardGroup>& after);
/// Whether a copy has fewer rows than were left: lost, or deleted since.
bool is_short(const Tally& t);
/// What is missing that no delete explains, in words; empty: nothing.
std::string losses(const std::vector<Tally>& tallies);

}  // namespace coditect::cluster
