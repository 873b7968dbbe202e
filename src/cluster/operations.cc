#include "cluster/operations.h"

#include <algorithm>
#include <future>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "base/error.h"
#include "cluster/balance.h"
#include "cluster/compare.h"
#include "pg/conninfo.h"
#include "tenancy/shard_map.h"

namespace coditect::cluster {
namespace {

using namespace std::chrono_literals;
using schema::Direct;

std::string megabytes(std::int64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string named(const ShardGroup& s) {
  return fmt::format("shard {} ({}, {} tables)", s.id, megabytes(s.bytes), s.tables.size());
}

Operation::Kind kind(const Options& o) {
  return o.force ? Operation::Kind::forced : Operation::Kind::careful;
}

const char* mode(const Options& o) { return o.block_writes ? "block_writes" : "force_logical"; }

void require_clear(Cluster& cluster, const std::vector<NodeInfo>& nodes, const Options& o) {
  const auto found = blockers(cluster, nodes);
  for (const auto& line : found) o.report("in the way: " + line);
  if (found.empty() || o.force || o.dry_run) return;
  fail(Code::failed_precondition, "blocked",
       found.front() + (found.size() > 1 ? fmt::format(" (and {} more)", found.size() - 1) : "") +
           "; --force begins all the same");
}

/// Runs the statement, whose connection's client must stay alive, and reports about how far it is.
/// Asked to stop, it cancels the statement, which Citus then undoes.
void run_with_progress(Cluster& cluster, const std::string& sql, const std::string& what,
                       std::int64_t bytes, const std::vector<NodeInfo>& targets, const Options& o) {
  const auto sizes = [&] {
    std::int64_t all = 0;
    std::set<int> seen;
    for (const auto& t : targets)
      if (seen.insert(t.id).second)
        all +=
            std::stoll(*cluster.on(t).query("SELECT pg_database_size(current_database())")[0][0]);
    return all;
  };
  const auto size_before = sizes();
  Direct worker(cluster.conninfo());
  worker.execute("SET client_connection_check_interval = '1s'");
  const auto pid = *worker.query("SELECT pg_backend_pid()")[0][0];
  auto done = std::async(std::launch::async, [&worker, &sql] { worker.execute(sql); });
  const auto start = std::chrono::steady_clock::now();
  bool cancelled = false;
  std::int64_t copied = 0;
  while (done.wait_for(500ms) != std::future_status::ready) {
    if (!cancelled && o.stopped()) {
      cluster.db().query("SELECT pg_cancel_backend($1::int)", {pid});
      cancelled = true;
    }
    // Nothing of Citus tells of both moves and splits: what the targets have grown by does.
    try {
      copied = std::clamp<std::int64_t>(sizes() - size_before, 0, bytes);
    } catch (const Failure&) {  // only the display: the move goes on, and so does its comparison
    }
    const double took =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double share = bytes > 0 ? static_cast<double>(copied) / static_cast<double>(bytes) : 0;
    o.progress(what, copied, bytes, share > 0.02 ? took / share - took : -1);
  }
  try {
    done.get();
  } catch (const Failure&) {  // what it had made goes now, not in ten minutes
    cluster.db().execute("CALL citus_cleanup_orphaned_resources()");
    if (!cancelled) throw;
    fail(Code::conflict, "stopped", what + ": stopped and undone");
  }
}

void run_move(Cluster& cluster, Operation& op, const Move& move, const Options& o) {
  const auto& s = move.shard;
  begin_move(op, "move", s, {{"to", move.target.address()}});
  const auto start = std::chrono::steady_clock::now();
  run_with_progress(cluster,
                    fmt::format("SELECT citus_move_shard_placement({}, {}, {}, '{}')", s.id,
                                s.node.id, move.target.id, mode(o)),
                    named(s), s.bytes, {move.target}, o);
  o.report(fmt::format(
      "{} moved from {} to {} in {:.1f} s", named(s), s.node.address(), move.target.address(),
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()));
  compare_rows(cluster, op, s, {cluster.shard(s.id)}, o);
}

void say_plan(const std::vector<Move>& moves, const Options& o) {
  std::int64_t bytes = 0;
  for (const auto& m : moves) {
    o.report(
        fmt::format("{}: {} -> {}", named(m.shard), m.shard.node.address(), m.target.address()));
    bytes += m.shard.bytes;
  }
  o.report(fmt::format(
      "{} moves, {}. {}", moves.size(), megabytes(bytes),
      o.block_writes
          ? "Writers of a shard wait while it is copied"
          : "Writers of a shard wait at the end of its move, as a rule 0.1 to 0.3 s, or as long as "
            "the longest transaction that writes to it; readers and other shards do not wait"));
}

/// The work of an operation, whose failure goes into the log.
void logged(Operation& op, const std::function<void()>& work) {
  try {
    work();
  } catch (const Failure& f) {  // written down, then passed on
    op.end(f.error().reason == "stopped" ? "stopped" : "failed", f.what());
    throw;
  }
}

/// Runs what `plan` says until nothing is left to do; the plan is made anew after each move, so
/// that a stop, a crash or another node in between costs nothing.
bool run_all(Cluster& cluster, Operation& op, const std::function<std::vector<Move>()>& plan,
             const Options& o) {
  for (int done = 0;; ++done) {
    std::vector<Move> moves;
    logged(op, [&] { moves = plan(); });
    if (moves.empty()) return true;
    if (o.stopped() || op.stop_asked()) {
      o.report(fmt::format("stopped after {} moves; the same command goes on", done));
      op.end("stopped", fmt::format("{} moves done", done));
      return false;
    }
    logged(op, [&] {
      require_clear(cluster, {moves.front().shard.node, moves.front().target}, o);
      run_move(cluster, op, moves.front(), o);
    });
  }
}

std::vector<NodeInfo> emptiest_first(Cluster& cluster, const NodeInfo& but) {
  std::vector<std::pair<std::int64_t, NodeInfo>> loads;
  const auto shards = cluster.shards();
  for (const auto& n : cluster.workers()) {
    if (n.id == but.id || !n.active || !n.takes_shards) continue;
    std::int64_t bytes = 0;
    for (const auto& s : shards)
      if (s.node.id == n.id) bytes += s.bytes;
    loads.emplace_back(bytes, n);
  }
  if (loads.empty())
    fail(Code::failed_precondition, "no_other_worker",
         "this needs another worker than " + but.address() +
             ", because Citus never ends a split onto the shard's own node while rows are written "
             "(citus issue 6790); add one with 'coditect cluster add-node'");
  std::ranges::sort(loads, {}, [](const auto& l) { return std::pair(l.first, l.second.id); });
  std::vector<NodeInfo> out;
  for (auto& [bytes, n] : loads) out.push_back(std::move(n));
  return out;
}

void run_split(Cluster& cluster, const std::string& name, const boost::json::object& arguments,
               const ShardGroup& shard, const std::vector<std::int32_t>& points,
               const std::vector<NodeInfo>& targets, const Options& o) {
  auto first = shard.first;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const auto last = i < points.size() ? points[i] : shard.last;
    o.report(fmt::format("hashes {} to {} -> {}", first, last, targets[i].address()));
    first = last + 1;
  }
  std::vector<NodeInfo> involved = targets;
  involved.push_back(shard.node);
  require_clear(cluster, involved, o);
  if (o.dry_run) return;
  Operation op(cluster, name, arguments, kind(o));
  logged(op, [&] { settle(cluster, op, o); });
  std::string point_list, node_list;
  for (const auto p : points) point_list += fmt::format("{}'{}'", point_list.empty() ? "" : ",", p);
  for (const auto& t : targets)
    node_list += fmt::format("{}{}", node_list.empty() ? "" : ",", t.id);
  logged(op, [&] {
    begin_move(op, "split", shard, {{"points", point_list}});
    run_with_progress(cluster,
                      fmt::format("SELECT citus_split_shard_by_split_points({}, ARRAY[{}], "
                                  "ARRAY[{}], '{}')",
                                  shard.id, point_list, node_list, mode(o)),
                      named(shard), shard.bytes, targets, o);
    std::vector<ShardGroup> pieces;
    for (auto& s : cluster.shards())
      if (s.first >= shard.first && s.last <= shard.last) pieces.push_back(std::move(s));
    compare_rows(cluster, op, shard, pieces, o);
  });
  op.end("done", fmt::format("{} shards", targets.size()));
}

}  // namespace

std::vector<std::string> blockers(Cluster& cluster, const std::vector<NodeInfo>& nodes) {
  std::vector<std::string> out;
  for (const auto& n : nodes) {
    try {
      auto db = cluster.on(n);
      for (const auto& row :
           db.query("SELECT pid, usename, extract(epoch FROM now() - xact_start)::int FROM "
                    "pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT "
                    "NULL AND "
                    "xact_start < now() - $1::interval AND pid <> pg_backend_pid()",
                    {std::to_string(kLongTransaction.count()) + " s"}))
        out.push_back(
            fmt::format("{}: process {} of {} has been writing in one transaction for {} "
                        "s; the move waits for it, and all who write to the shard wait "
                        "for the move",
                        n.address(), *row[0], row[1].value_or("?"), *row[2]));
      for (const auto& row : db.query(
               "SELECT gid, extract(epoch FROM now() - prepared)::int FROM pg_prepared_xacts WHERE "
               "database = current_database() AND prepared < now() - interval '30 s'"))
        out.push_back(fmt::format("{}: the prepared transaction '{}' has held its locks for {} s",
                                  n.address(), *row[0], *row[1]));
      if (*db.query("SHOW wal_level")[0][0] != "logical")
        out.push_back(n.address() + ": wal_level is not logical: only --block-writes can move");
      if (*db.query("SELECT (SELECT count(*) FROM pg_replication_slots) >= "
                    "current_setting('max_replication_slots')::int - 2")[0][0] == "t")
        out.push_back(n.address() + ": max_replication_slots are nearly all in use");
    } catch (const Failure& f) {  // it is a blocker, too
      out.push_back(n.address() + " does not answer: " + f.error().detail);
    }
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

void move_shard(Cluster& cluster, std::int64_t shard, const std::string& node, const Options& o) {
  const Move move{cluster.shard(shard), cluster.node(node)};
  if (move.target.is_coordinator())
    fail(Code::invalid_argument, "invalid_target", "NODE is a worker, not the coordinator");
  if (move.target.id == move.shard.node.id) {
    o.report(named(move.shard) + " is on " + node + " already");
    return;
  }
  say_plan({move}, o);
  require_clear(cluster, {move.shard.node, move.target}, o);
  if (o.dry_run) return;
  Operation op(cluster, "move", {{"shard", shard}, {"node", node}}, kind(o));
  logged(op, [&] { settle(cluster, op, o); });
  logged(op, [&] { run_move(cluster, op, move, o); });
  op.end("done", "");
}

std::vector<Move> plan_balance(Cluster& cluster, Balance by) {
  auto workers = cluster.workers();
  std::erase_if(workers, [](const NodeInfo& n) { return !n.active; });
  std::vector<bool> takes;
  for (const auto& n : workers) takes.push_back(n.takes_shards);
  std::vector<ShardGroup> shards;
  std::vector<BalanceShard> weights;
  for (auto& s : cluster.shards()) {
    const auto at = std::ranges::find(workers, s.node.id, &NodeInfo::id);
    if (at == workers.end()) continue;
    const double weight = by == Balance::shards ? 1.0 : static_cast<double>(s.bytes);
    weights.push_back({weight, static_cast<std::size_t>(at - workers.begin())});
    shards.push_back(std::move(s));
  }
  std::vector<Move> out;
  for (const auto& m : balance(std::move(weights), takes))
    out.push_back({shards[m.shard], workers[m.target]});
  return out;
}

bool rebalance(Cluster& cluster, Balance by, const Options& o) {
  const auto moves = plan_balance(cluster, by);
  if (moves.empty()) {
    o.report("the workers are alike: nothing to move");
    return true;
  }
  say_plan(moves, o);
  if (o.dry_run) return true;
  Operation op(cluster, "rebalance", {{"by", by == Balance::size ? "size" : "shards"}}, kind(o));
  logged(op, [&] { settle(cluster, op, o); });
  if (!run_all(cluster, op, [&] { return plan_balance(cluster, by); }, o)) return false;
  op.end("done", fmt::format("{} moves", moves.size()));
  return true;
}

void isolate(Cluster& cluster, std::int64_t tenant, const std::string& node, const Options& o) {
  const auto shard = cluster.shard_of_tenant(tenant);
  const auto hash = tenancy::tenant_hash(tenant);
  if (shard.first == hash && shard.last == hash) {
    o.report(fmt::format("it has shard {} on {} for itself", shard.id, shard.node.address()));
    return;
  }
  const auto others = emptiest_first(cluster, shard.node);
  const auto own = node.empty() ? others.front() : cluster.node(node);
  if (own.id == shard.node.id || own.is_coordinator())
    fail(Code::invalid_argument, "invalid_target",
         "--node must be another worker than " + shard.node.address() +
             ", which has the tenant now");
  std::vector<std::int32_t> points;
  std::vector<NodeInfo> targets;
  std::size_t next = others.size() > 1 && others.front().id == own.id ? 1 : 0;
  if (shard.first < hash) {
    points.push_back(hash - 1);
    targets.push_back(others[next++ % others.size()]);
  }
  targets.push_back(own);
  if (hash < shard.last) {
    points.push_back(hash);
    targets.push_back(others[next % others.size()]);
  }
  o.report(named(shard) + " on " + shard.node.address() + " is cut; the tenant gets " +
           own.address());
  run_split(cluster, "isolate", {{"tenant", tenant}, {"shard", shard.id}}, shard, points, targets,
            o);
}

void split(Cluster& cluster, std::int64_t id, int pieces, const Options& o) {
  const auto shard = cluster.shard(id);
  const auto width = std::int64_t{shard.last} - shard.first + 1;
  if (pieces < 2 || width < pieces)
    fail(
        Code::invalid_argument, "invalid_pieces",
        "--pieces is 2 or more, and at most the " + std::to_string(width) + " hashes of the shard");
  const auto others = emptiest_first(cluster, shard.node);
  std::vector<std::int32_t> points;
  std::vector<NodeInfo> targets;
  for (int i = 0; i < pieces; ++i) {
    targets.push_back(others[static_cast<std::size_t>(i) % others.size()]);
    if (i + 1 < pieces)
      points.push_back(static_cast<std::int32_t>(shard.first + width * (i + 1) / pieces - 1));
  }
  o.report(named(shard) + " on " + shard.node.address() + " is cut into " + std::to_string(pieces));
  run_split(cluster, "split", {{"shard", id}, {"pieces", pieces}}, shard, points, targets, o);
}

void add_node(Cluster& cluster, const std::string& administrator, const Options& o) {
  Setup setup;
  setup.coordinator = cluster.conninfo();
  setup.cell = pg::option_of(cluster.conninfo(), "dbname");
  for (const auto& row :
       cluster.db().query("SELECT rolename, authinfo FROM pg_dist_authinfo WHERE nodeid = 0"))
    setup.passwords.emplace(*row[0], Secret(pg::option_of(*row[1], "password")));
  setup.workers = {administrator};
  setup.dry_run = o.dry_run;
  if (o.dry_run) {
    add(setup, o.report);
    o.report("the server can be a node");
    return;
  }
  Operation op(
      cluster, "add-node",
      {{"node", pg::option_of(administrator, "host") + ":" + pg::option_of(administrator, "port")}},
      Operation::Kind::harmless);
  logged(op, [&] { add(setup, o.report); });
  op.end("done", "");
}

bool remove_node(Cluster& cluster, const std::string& name, const Options& o) {
  const auto node = cluster.node(name);
  if (node.is_coordinator())
    fail(Code::invalid_argument, "invalid_target", "the coordinator cannot be removed");
  int takers = 0;
  for (const auto& n : cluster.workers()) takers += n.id != node.id && n.active && n.takes_shards;
  if (takers == 0)
    fail(Code::failed_precondition, "last_worker",
         "it is the only worker that takes shards: its tenants would have no place");
  const auto plan = [&cluster, id = node.id] {
    auto moves = plan_balance(cluster, Balance::size);
    std::erase_if(moves, [id](const Move& m) { return m.shard.node.id != id; });
    return moves;
  };
  if (o.dry_run) {
    int shards = 0;
    std::int64_t bytes = 0;
    for (const auto& s : cluster.shards())
      if (s.node.id == node.id) ++shards, bytes += s.bytes;
    o.report(fmt::format("would move {} shards ({}) away and take {} out", shards, megabytes(bytes),
                         node.address()));
    require_clear(cluster, {node}, o);
    return true;
  }
  Operation op(cluster, "remove-node", {{"node", node.address()}}, kind(o));
  logged(op, [&] { settle(cluster, op, o); });
  cluster.db().query("SELECT citus_set_node_property($1, $2::int, 'shouldhaveshards', false)",
                     {node.host, std::to_string(node.port)});
  if (!run_all(cluster, op, plan, o)) return false;
  const auto left = cluster.db().query(
      "SELECT count(*) FROM pg_dist_placement p JOIN pg_dist_shard s USING (shardid) WHERE "
      "p.groupid = $1::int AND s.shardminvalue IS NOT NULL",
      {std::to_string(node.group)});
  if (*left[0][0] != "0")
    fail(Code::failed_precondition, "placements_left",
         *left[0][0] + " shards of other tables are on " + node.address() + " still");
  cluster.db().execute("CALL citus_cleanup_orphaned_resources()");
  cluster.db().query("SELECT citus_remove_node($1, $2::int)",
                     {node.host, std::to_string(node.port)});
  o.report(node.address() + " is out of the cluster");
  op.end("done", "");
  return true;
}

void failover(Cluster& cluster, const std::string& name, const std::string& address,
              const Options& o) {
  const auto node = cluster.node(name);
  const auto [host, port] = parse_address(address, "ADDRESS");
  auto replacement = node;
  replacement.host = host;
  replacement.port = port;
  replacement.group = std::max(node.group, 1);  // also a new coordinator is reached by its address
  auto db = cluster.on(replacement);
  if (*db.query("SELECT pg_is_in_recovery()")[0][0] == "t")
    fail(Code::failed_precondition, "still_a_standby",
         address + " is a standby: promote it first (SELECT pg_promote())");
  std::string missing;
  int found = 0;
  for (const auto& s : cluster.shards(false)) {
    if (s.node.id != node.id) continue;
    for (const auto& t : s.tables) {
      if (db.query("SELECT to_regclass($1)", {t.shard_name})[0][0])
        ++found;
      else if (missing.empty())
        missing = t.shard_name;
    }
  }
  if (!missing.empty())
    fail(Code::failed_precondition, "not_its_copy",
         address + " has not what " + node.address() + " had: " + missing + " is missing");
  o.report(fmt::format("{} has all {} shard tables of {}", address, found, node.address()));
  if (o.dry_run) return;
  Operation op(cluster, "failover", {{"node", node.address()}, {"address", address}},
               Operation::Kind::harmless);
  // The name by which it reaches itself came with the copy; init() set it.
  if (db.query("SHOW citus.local_hostname")[0][0] == node.host && node.host != host) {
    db.execute("ALTER SYSTEM SET citus.local_hostname = " + db.quote_text(host));
    db.execute("SELECT pg_reload_conf()");
  }
  cluster.db().query("SELECT citus_update_node($1::int, $2, $3::int, true, 1000)",
                     {std::to_string(node.id), host, std::to_string(port)});
  o.report(address + " is in the place of " + node.address());
  op.end("done", "");
}

std::string restore_point(Cluster& cluster, const std::string& name, const Options& o) {
  if (name.empty() || name.size() > 63)
    fail(Code::invalid_argument, "invalid_name", "NAME has 1 to 63 characters");
  for (const auto& n : cluster.nodes()) cluster.on(n).query("SELECT 1");
  if (o.dry_run) return "";
  Operation op(cluster, "restore-point", {{"name", name}}, Operation::Kind::harmless);
  const auto lsn = *cluster.db().query("SELECT citus_create_restore_point($1)", {name})[0][0];
  op.end("done", lsn);
  return lsn;
}

}  // namespace coditect::cluster
