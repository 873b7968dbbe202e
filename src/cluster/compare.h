#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/operations.h"

namespace coditect::cluster {

/// One table after the move of its shard, by primary key: what was left on the source, where nobody
/// writes any more, and the copies, where work goes on.
struct TableDiff {
  std::string table;
  bool gone = false;                    ///< from the source: there is nothing to compare with
  std::int64_t source = 0, target = 0;  ///< rows
  std::int64_t missing = 0;             ///< keys of the source that no copy has
  std::int64_t deleted = 0;             ///< from the copies, as the server counts
  std::string example;                  ///< keys that are missing, a few
};

/// What a move or split of `before` left, beside the shards it made; in the order of
/// `before.tables`. Both sides send a digest per 1/4096 of the keys, and keys only where those
/// differ.
std::vector<TableDiff> compare_keys(Cluster& cluster, const ShardGroup& before,
                                    const std::vector<ShardGroup>& after);
/// What is missing that no delete explains, in words; empty: nothing.
std::string losses(const std::vector<TableDiff>& tables);

/// Writes into the log what is about to be moved or split, so that settle() can compare after a
/// kill -9.
void begin_move(Operation& op, const std::string& event, const ShardGroup& shard,
                boost::json::object detail);
/// Compares, writes into the log, and drops what was left. Throws `rows_missing`, which keeps it.
void compare_rows(Cluster& cluster, Operation& op, const ShardGroup& before,
                  const std::vector<ShardGroup>& after, const Options& o);
/// Ends what an operation that was killed had begun: what Citus has not finished is undone, what it
/// has is compared. Throws as compare_rows().
void settle(Cluster& cluster, Operation& op, const Options& o);

}  // namespace coditect::cluster
