#include "cluster/compare.h"

#include <fmt/format.h>

#include <algorithm>

namespace coditect::cluster {
namespace {

/// Rows of each table in a shard, as the node has them; nullopt where the table is gone.
std::vector<std::optional<std::int64_t>> count_rows(Cluster& cluster, const NodeInfo& node,
                                                    const std::vector<std::string>& tables) {
  auto db = cluster.on(node);
  std::vector<std::optional<std::int64_t>> out;
  for (const auto& table : tables) {
    if (!db.query("SELECT to_regclass($1)", {table})[0][0]) {
      out.push_back(std::nullopt);
      continue;
    }
    out.push_back(std::stoll(*db.query("SELECT count(*) FROM " + table)[0][0]));
  }
  return out;
}

std::vector<std::string> shard_names(const ShardGroup& group) {
  std::vector<std::string> out;
  for (const auto& t : group.tables) out.push_back(t.shard_name);
  return out;
}

}  // namespace

std::vector<Tally> tally(Cluster& cluster, const ShardGroup& before,
                         const std::vector<ShardGroup>& after) {
  std::vector<Tally> out(before.tables.size());
  const auto left = count_rows(cluster, before.node, shard_names(before));
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i].table = before.tables[i].name, out[i].source = left[i];
  for (const auto& piece : after) {
    const auto rows = count_rows(cluster, piece.node, shard_names(piece));
    auto db = cluster.on(piece.node);
    for (std::size_t k = 0; k < piece.tables.size(); ++k) {
      const auto at =
          std::ranges::find(before.tables, piece.tables[k].name, &ShardGroup::Table::name);
      if (at == before.tables.end()) continue;
      auto& t = out[static_cast<std::size_t>(at - before.tables.begin())];
      t.target += rows[k].value_or(0);
      t.deleted +=
          std::stoll(*db.query("SELECT coalesce(pg_stat_get_tuples_deleted(to_regclass($1)), 0)",
                               {piece.tables[k].shard_name})[0][0]);
    }
  }
  return out;
}

bool is_short(const Tally& t) { return t.source && t.target < *t.source; }

std::string losses(const std::vector<Tally>& tallies) {
  std::string out;
  for (const auto& t : tallies)
    if (is_short(t) && *t.source - t.target > t.deleted)
      out += fmt::format("{}{}: {} rows of {}, and {} were deleted since", out.empty() ? "" : ", ",
                         t.table, t.target, *t.source, t.deleted);
  return out;
}

}  // namespace coditect::cluster
