#include "cluster/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <thread>

#include "base/error.h"

namespace coditect::cluster {
namespace {

using namespace std::chrono_literals;
using schema::Direct;

constexpr std::size_t kBuckets = 4096;
constexpr std::int64_t kKeysAtOnce = 500'000;  ///< held in memory, of each side
constexpr std::size_t kExamples = 3;

struct Bucket {
  std::int64_t rows = 0;
  std::int64_t digest = 0;  ///< all hashes of keys, by exclusive or
  bool operator==(const Bucket&) const = default;
};
using Digest = std::array<Bucket, kBuckets>;

/// A table of a shard on its node, seen as the 64-bit hashes of its keys. Two of n keys have the
/// same hash with a probability of n^2 / 2^65: 3e-8 for a million.
class Keys {
 public:
  Keys(Cluster& cluster, const NodeInfo& node, std::string table)
      : db_(cluster.on(node)), table_(std::move(table)) {
    const auto rows = db_.query(
        "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_index i JOIN "
        "pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE "
        "i.indisprimary "
        "AND i.indrelid = to_regclass($1)",
        {table_});
    key_ = rows[0][0] ? "ROW(" + *rows[0][0] + ")::text" : "t::text";  // no key: the whole row
  }

  bool exists() { return db_.query("SELECT to_regclass($1)", {table_})[0][0].has_value(); }

  void add_to(Digest& out) {
    for (const auto& row :
         db_.query(fmt::format("SELECT h & {}, count(*), bit_xor(h) FROM ({}) t GROUP BY 1",
                               kBuckets - 1, hashes()))) {
      auto& bucket = out[std::stoul(*row[0])];
      bucket.rows += std::stoll(*row[1]);
      bucket.digest ^= std::stoll(*row[2]);
    }
  }

  void add_to(std::set<std::int64_t>& out, const std::string& buckets) {
    for (const auto& row :
         db_.query(fmt::format("SELECT h FROM ({}) t WHERE h & {} = ANY($1::bigint[])", hashes(),
                               kBuckets - 1),
                   {buckets}))
      out.insert(std::stoll(*row[0]));
  }

  std::string text_of(std::int64_t hash) {
    const auto rows =
        db_.query(fmt::format("SELECT {} FROM {} t WHERE hashtextextended({}, 0) = $1::bigint",
                              key_, table_, key_),
                  {std::to_string(hash)});
    return rows.empty() ? "?" : rows[0][0].value_or("?");
  }

  std::int64_t deleted() {
    return std::stoll(*db_.query("SELECT coalesce(pg_stat_get_tuples_deleted(to_regclass($1)), 0)",
                                 {table_})[0][0]);
  }

 private:
  std::string hashes() const {
    return fmt::format("SELECT hashtextextended({}, 0) AS h FROM {} t", key_, table_);
  }

  Direct db_;
  std::string table_, key_;
};

std::string array_text(const std::vector<std::size_t>& values) {
  return fmt::format("{{{}}}", fmt::join(values, ","));
}

/// Keys of `source` that are in no copy, looked for in the buckets that differ.
void find_missing(Keys& source, std::vector<Keys>& copies, const Digest& left,
                  const std::vector<std::size_t>& differing, TableDiff& out) {
  for (std::size_t next = 0; next < differing.size();) {
    std::vector<std::size_t> some;
    for (std::int64_t rows = 0; next < differing.size() && rows < kKeysAtOnce; ++next) {
      some.push_back(differing[next]);
      rows += left[differing[next]].rows;
    }
    std::set<std::int64_t> there, here;
    source.add_to(there, array_text(some));
    for (auto& copy : copies) copy.add_to(here, array_text(some));
    for (const auto hash : there) {
      if (here.contains(hash)) continue;
      if (static_cast<std::size_t>(out.missing++) < kExamples)
        out.example += (out.example.empty() ? "" : ", ") + source.text_of(hash);
    }
  }
}

bool unexplained(const TableDiff& t) { return t.missing > t.deleted; }

/// What begin_move() wrote, as far as compare_rows() needs it.
ShardGroup shard_group_from(Cluster& cluster, const boost::json::object& detail) {
  ShardGroup out;
  out.id = detail.at("shard").to_number<std::int64_t>();
  out.first = detail.at("first").to_number<std::int32_t>();
  out.last = detail.at("last").to_number<std::int32_t>();
  out.node = cluster.node(std::to_string(detail.at("node").to_number<int>()));
  for (const auto& [table, name] : detail.at("tables").as_object())
    out.tables.push_back({std::string(table), std::string(name.as_string()), 0});
  return out;
}

}  // namespace

std::vector<TableDiff> compare_keys(Cluster& cluster, const ShardGroup& before,
                                    const std::vector<ShardGroup>& after) {
  std::vector<TableDiff> out;
  for (const auto& table : before.tables) {
    auto& diff = out.emplace_back();
    diff.table = table.name;
    Keys source(cluster, before.node, table.shard_name);
    diff.gone = !source.exists();
    std::vector<Keys> copies;
    for (const auto& piece : after)
      for (const auto& t : piece.tables)
        if (t.name == table.name) copies.emplace_back(cluster, piece.node, t.shard_name);
    Digest left{}, right{};
    if (!diff.gone) source.add_to(left);
    for (auto& copy : copies) copy.add_to(right);
    std::vector<std::size_t> differing;
    for (std::size_t b = 0; b < kBuckets; ++b) {
      diff.source += left[b].rows;
      diff.target += right[b].rows;
      if (left[b].rows > 0 && left[b] != right[b]) differing.push_back(b);
    }
    find_missing(source, copies, left, differing, diff);
    for (auto& copy : copies) diff.deleted += copy.deleted();
  }
  return out;
}

std::string losses(const std::vector<TableDiff>& tables) {
  std::string out;
  for (const auto& t : tables)
    if (unexplained(t))
      out +=
          fmt::format("{}{}: {} of {} rows are missing, and {} were deleted since; for example {}",
                      out.empty() ? "" : "; ", t.table, t.missing, t.source, t.deleted, t.example);
  return out;
}

void begin_move(Operation& op, const std::string& event, const ShardGroup& shard,
                boost::json::object detail) {
  boost::json::object tables;
  for (const auto& t : shard.tables) tables[t.name] = t.shard_name;
  detail["shard"] = shard.id;
  detail["first"] = shard.first;
  detail["last"] = shard.last;
  detail["bytes"] = shard.bytes;
  detail["from"] = shard.node.address();
  detail["node"] = shard.node.id;  // an address may change
  detail["tables"] = std::move(tables);
  op.event(event, detail);
}

void compare_rows(Cluster& cluster, Operation& op, const ShardGroup& before,
                  const std::vector<ShardGroup>& after, const Options& o) {
  auto tables = compare_keys(cluster, before, after);
  // A session tells the server of its deletes within a second, or ten when it has become idle.
  for (int i = 0; i < 8 && std::ranges::any_of(tables, unexplained); ++i) {
    std::this_thread::sleep_for(1500ms);
    tables = compare_keys(cluster, before, after);
  }
  boost::json::object detail;
  std::string gone;
  std::int64_t total = 0;
  for (const auto& t : tables) {
    detail[t.table] =
        boost::json::object{{"source", t.gone ? boost::json::value(nullptr) : t.source},
                            {"target", t.target},
                            {"missing", t.missing},
                            {"deleted_since", t.deleted}};
    total += t.source;
    if (t.gone) gone = t.table;
  }
  op.event("compared", detail);
  if (!gone.empty())
    fail(Code::internal, "nothing_to_compare",
         "what shard " + std::to_string(before.id) + " had of " + gone +
             " is gone before its rows could be compared");
  if (const auto missing = losses(tables); !missing.empty())
    fail(Code::internal, "rows_missing",
         "after the move of shard " + std::to_string(before.id) + ": " + missing +
             "; what was left on " + before.node.address() + " is kept until the next operation");
  o.report(
      fmt::format("shard {}: the keys of {} rows compared, none is missing", before.id, total));
  cluster.db().execute("CALL citus_cleanup_orphaned_resources()");
}

void settle(Cluster& cluster, Operation& op, const Options& o) {
  if (op.interrupted().empty()) return;
  const auto rows = cluster.db().query(
      "SELECT detail FROM coditect_cluster.events e WHERE event IN ('move', 'split') AND operation "
      "= "
      "ANY($1::bigint[]) AND NOT EXISTS (SELECT FROM coditect_cluster.events l WHERE l.operation = "
      "e.operation AND l.id > e.id AND l.event = 'compared') ORDER BY id",
      {op.interrupted_ids()});
  for (const auto& row : rows) {
    ShardGroup before;
    try {
      before = shard_group_from(cluster, boost::json::parse(*row[0]).as_object());
      cluster.on(before.node);
    } catch (const Failure& f) {  // the node is gone: only who says so may drop what others have
      const auto why = "what an interrupted operation left cannot be compared: " + f.error().detail;
      if (!o.force)
        fail(Code::failed_precondition, "cannot_compare", why + "; --force goes on all the same");
      o.report(why);
      continue;
    }
    std::vector<ShardGroup> after;
    for (auto& s : cluster.shards(false))
      if (s.first >= before.first && s.last <= before.last) after.push_back(std::move(s));
    const bool as_it_was = std::ranges::any_of(after, [&](const ShardGroup& s) {
      return s.id == before.id && s.node.id == before.node.id;
    });
    if (!as_it_was) compare_rows(cluster, op, before, after, o);
  }
  cluster.db().execute("CALL citus_cleanup_orphaned_resources()");
  o.report("cleaned up after an operation that was interrupted: " + op.interrupted());
}

}  // namespace coditect::cluster
