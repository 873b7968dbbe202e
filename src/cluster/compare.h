#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coditect::cluster {

/// Rows of one table after the move of its shard.
struct Tally {
  std::string table;
  std::optional<std::int64_t> source;  ///< left behind, where nobody writes any more; none: gone
  std::int64_t target = 0;             ///< in the copies, where work goes on
  std::int64_t deleted = 0;            ///< from the copies, as the server counts
};

/// Whether a copy has fewer rows than were left: lost, or deleted since.
bool is_short(const Tally& t);
/// What is missing that no delete explains, in words; empty: nothing.
std::string losses(const std::vector<Tally>& tallies);

}  // namespace coditect::cluster
