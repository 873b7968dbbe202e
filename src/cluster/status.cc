#include "cluster/status.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "base/error.h"
#include "pg/conninfo.h"

namespace coditect::cluster {
namespace {

using schema::Direct;
namespace json = boost::json;

/// A query's rows as JSON objects, made by the server.
json::array rows_of(Direct& db, const std::string& sql) {
  return json::parse(
             *db.query("SELECT coalesce(json_agg(r), '[]')::text FROM (" + sql + ") r")[0][0])
      .as_array();
}

void look_at(Direct& db, json::object& node) {
  const auto facts = rows_of(
      db,
      "SELECT current_setting('server_version') AS postgres, split_part(citus_version(), ' ', 2) "
      "AS citus, pg_is_in_recovery() AS standby, (SELECT count(*) FROM "
      "pg_stat_activity WHERE backend_type = 'client backend') AS connections, "
      "current_setting('max_connections')::int AS max_connections, "
      "current_setting('citus.stat_tenants_track') = 'all' AS counts_tenants");
  for (const auto& [key, value] : facts[0].as_object()) node[key] = value;
  node["standbys"] = rows_of(
      db,
      "SELECT application_name AS name, client_addr AS address, state, sync_state, "
      "pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS lag_bytes, extract(epoch FROM "
      "replay_lag)::float8 AS lag_seconds FROM pg_stat_replication WHERE application_name NOT LIKE "
      "'citus_shard_%' AND NOT pg_is_in_recovery()");
  node["prepared"] =
      rows_of(db,
              "SELECT gid, extract(epoch FROM now() - prepared)::int AS seconds FROM "
              "pg_prepared_xacts WHERE database = current_database()");
  node["long_transactions"] = rows_of(
      db,
      "SELECT pid, usename AS role, state, extract(epoch FROM now() - xact_start)::int AS seconds "
      "FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client "
      "backend' AND xact_start < now() - interval '5 s' AND pid <> pg_backend_pid()");
  node["leftovers"] = std::stoll(*db.query("SELECT count(*) FROM pg_dist_cleanup")[0][0]);
}

/// By the planner's statistics, which know the most common tenants of each shard: no scan.
void add_tenants_by_size(Direct& db, std::map<std::int64_t, std::pair<double, double>>& tenants) {
  for (const auto& row : db.query(
           "SELECT v.tenant, sum(v.share * c.reltuples), sum(v.share * "
           "pg_total_relation_size(c.oid)) FROM pg_stats s JOIN pg_class c ON c.relname = "
           "s.tablename AND c.relnamespace = 'public'::regnamespace AND c.reltuples > 0 CROSS JOIN "
           "LATERAL unnest(s.most_common_vals::text::bigint[], s.most_common_freqs) AS v(tenant, "
           "share) WHERE s.schemaname = 'public' AND s.attname = 'tenant_id' AND s.tablename ~ "
           "'_[0-9]{4,}$' GROUP BY 1 ORDER BY 3 DESC LIMIT 1000")) {
    auto& known = tenants[std::stoll(*row[0])];
    known.first += std::stod(*row[1]);
    known.second += std::stod(*row[2]);
  }
}

json::array biggest(const std::map<std::int64_t, std::pair<double, double>>& tenants, int most) {
  std::vector<std::pair<std::int64_t, std::pair<double, double>>> sorted(tenants.begin(),
                                                                         tenants.end());
  std::ranges::sort(sorted, std::greater(), [](const auto& t) { return t.second.second; });
  json::array out;
  for (const auto& [id, size] : sorted) {
    if (std::ssize(out) == most) break;
    out.push_back(json::object{{"tenant_id", id},
                               {"rows", static_cast<std::int64_t>(size.first)},
                               {"bytes", static_cast<std::int64_t>(size.second)}});
  }
  return out;
}

void track_tenants(Cluster& cluster, bool on) {
  for (const auto& node : cluster.nodes()) {
    try {
      auto db = cluster.on(node);
      db.execute(std::string("ALTER SYSTEM SET citus.stat_tenants_track = ") +
                 (on ? "'all'" : "'none'"));
      db.execute("SELECT pg_reload_conf()");
    } catch (const Failure&) {  // a node that is away counts nothing; status tells of it
    }
  }
}

std::string bytes_text(const json::value& bytes) {
  const auto b = bytes.to_number<double>();
  return b < 10e6 ? fmt::format("{:.0f} kB", b / 1024) : fmt::format("{:.1f} MB", b / (1 << 20));
}

/// The tenant's slug, where somebody has added it.
std::string named(const json::value& tenant) {
  if (tenant.as_object().contains("slug")) return std::string(tenant.at("slug").as_string());
  const auto& id = tenant.at("tenant_id");
  return id.is_string() ? std::string(id.as_string()) : json::serialize(id);
}

void add_warnings(json::object& status) {
  json::array warnings;
  const auto warn = [&warnings](const std::string& text) {
    warnings.push_back(json::string(text));
  };
  std::string version;
  for (const auto& value : status["nodes"].as_array()) {
    const auto& n = value.as_object();
    const std::string address(n.at("address").as_string());
    if (!n.at("up").as_bool()) {
      warn(address + " does not answer: its tenants are not served");
      continue;
    }
    const std::string citus(n.at("citus").as_string());
    if (version.empty()) version = citus;
    if (citus != version) warn(address + " has Citus " + citus + ", others " + version);
    if (!n.at("active").as_bool()) warn(address + " is disabled");
    if (n.at("counts_tenants").as_bool())
      warn(address +
           " counts tenants' statements, which costs a sixth of its throughput: 'cluster "
           "status --load 1' ends it");
    for (const auto& p : n.at("prepared").as_array())
      if (p.at("seconds").to_number<int>() > 60)
        warn(address + " has a prepared transaction that nobody ends: it holds locks");
    for (const auto& t : n.at("long_transactions").as_array())
      warn(
          fmt::format("{} has a transaction of {} s (process {}): moves and migrations wait for it",
                      address, t.at("seconds").to_number<int>(), t.at("pid").to_number<int>()));
    if (n.at("connections").to_number<int>() * 10 > n.at("max_connections").to_number<int>() * 9)
      warn(address + " has nearly all of its max_connections in use");
    if (n.at("leftovers").to_number<int>() > 0 && n.at("role") == "coordinator")
      warn("leftovers of moves wait to be dropped; the next operation does it");
  }
  if (status["skew"].to_number<double>() > 1.3)
    warn("the workers' sizes differ: see 'coditect cluster rebalance --dry-run'");
  status["warnings"] = std::move(warnings);
}

}  // namespace

json::array busiest_tenants(Cluster& cluster, double seconds, int most,
                            const std::function<bool()>& stopped) {
  track_tenants(cluster, true);
  struct Off {  // whatever fails in between
    Cluster& c;
    ~Off() { track_tenants(c, false); }
  } const off{cluster};
  cluster.db().execute("SELECT citus_stat_tenants_reset()");
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end && !stopped())
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  auto found = rows_of(
      cluster.db(),
      "SELECT tenant_attribute AS tenant_id, sum(query_count_in_this_period + "
      "query_count_in_last_period) AS queries, round(sum(cpu_usage_in_this_period + "
      "cpu_usage_in_last_period)::numeric, 3)::float8 AS cpu_seconds FROM citus_stat_tenants GROUP "
      "BY 1 ORDER BY 3 DESC, 2 DESC LIMIT " +
          std::to_string(most));
  return found;
}

json::object status(Cluster& cluster, int top_tenants, bool with_shards) {
  json::object out;
  json::array nodes, shard_list;
  std::map<std::int64_t, std::pair<double, double>> tenants;
  std::vector<ShardGroup> shards;
  std::string sizes_problem;
  try {
    shards = cluster.shards();
  } catch (const Failure&) {  // sizes need every node: without them the rest is still told
    shards = cluster.shards(false);
    sizes_problem = "sizes are not known while a node does not answer";
  }
  double largest = 0, all = 0;
  int takers = 0;
  for (const auto& n : cluster.nodes()) {
    json::object node{{"address", n.address()},
                      {"id", n.id},
                      {"role", n.is_coordinator() ? "coordinator" : "worker"},
                      {"active", n.active},
                      {"takes_shards", n.takes_shards},
                      {"up", true}};
    std::int64_t bytes = 0, count = 0;
    for (const auto& s : shards)
      if (s.node.id == n.id) bytes += s.bytes, ++count;
    node["shards"] = count;
    node["bytes"] = bytes;
    if (!n.is_coordinator() && n.takes_shards) {
      largest = std::max(largest, static_cast<double>(bytes));
      all += static_cast<double>(bytes);
      ++takers;
    }
    try {
      auto db = cluster.on(n);
      look_at(db, node);
      add_tenants_by_size(db, tenants);
    } catch (const Failure& f) {  // the others are told of all the same
      node["up"] = false;
      node["problem"] = f.error().detail;
    }
    nodes.push_back(std::move(node));
  }
  if (with_shards)
    for (const auto& s : shards)
      shard_list.push_back(json::object{{"shard", s.id},
                                        {"node", s.node.address()},
                                        {"first", s.first},
                                        {"last", s.last},
                                        {"bytes", s.bytes}});
  out["nodes"] = std::move(nodes);
  out["skew"] = all > 0 ? largest / (all / takers) : 1.0;
  if (with_shards) out["shards"] = std::move(shard_list);
  out["tenants_by_size"] = biggest(tenants, top_tenants);
  auto latest = operations(cluster, 1);
  if (!latest.empty()) out["operation"] = std::move(latest.front());
  add_warnings(out);
  if (!sizes_problem.empty()) out["warnings"].as_array().push_back(json::string(sizes_problem));
  return out;
}

std::string status_text(const json::object& s) {
  std::string out =
      fmt::format("{:<24} {:<12} {:<5} {:<16} {:>7} {:>11} {:>12} {:>9}\n", "node", "role", "up",
                  "versions", "shards", "size", "connections", "prepared");
  for (const auto& value : s.at("nodes").as_array()) {
    const auto& n = value.as_object();
    const bool up = n.at("up").as_bool();
    out += fmt::format(
        "{:<24} {:<12} {:<5} {:<16} {:>7} {:>11} {:>12} {:>9}\n",
        std::string(n.at("address").as_string()),
        std::string(n.at("role").as_string()) +
            (n.at("takes_shards").as_bool() || n.at("role") == "coordinator" ? "" : "*"),
        up ? "yes" : "NO",
        up ? std::string(
                 n.at("postgres").as_string().subview(0, n.at("postgres").as_string().find(' '))) +
                 " / " + std::string(n.at("citus").as_string())
           : "-",
        n.at("shards").to_number<int>(), bytes_text(n.at("bytes")),
        up ? fmt::format("{}/{}", n.at("connections").to_number<int>(),
                         n.at("max_connections").to_number<int>())
           : "-",
        up ? std::to_string(n.at("prepared").as_array().size()) : "-");
    if (!up) continue;
    for (const auto& standby : n.at("standbys").as_array())
      out += fmt::format(
          "  standby {} {} {}: {} behind\n", std::string(standby.at("name").as_string()),
          std::string(standby.at("state").as_string()),
          std::string(standby.at("sync_state").as_string()),
          standby.at("lag_bytes").is_null() ? "?" : bytes_text(standby.at("lag_bytes")));
  }
  out += fmt::format("\nskew {:.2f} (largest worker through mean)\n",
                     s.at("skew").to_number<double>());
  if (s.contains("shards")) {
    out += "\nshards\n";
    for (const auto& shard : s.at("shards").as_array())
      out += fmt::format(
          "  {:<8} {:<24} {:>11}  hashes {} to {}\n", shard.at("shard").to_number<std::int64_t>(),
          std::string(shard.at("node").as_string()), bytes_text(shard.at("bytes")),
          shard.at("first").to_number<std::int64_t>(), shard.at("last").to_number<std::int64_t>());
  }
  if (!s.at("tenants_by_size").as_array().empty()) out += "\nlargest tenants (by statistics)\n";
  for (const auto& t : s.at("tenants_by_size").as_array())
    out += fmt::format("  {:<20} {:>12} rows {:>11}\n", named(t),
                       t.at("rows").to_number<std::int64_t>(), bytes_text(t.at("bytes")));
  if (const auto* busy = s.if_contains("tenants_by_load")) {
    out += "\nbusiest tenants\n";
    for (const auto& t : busy->as_array())
      out += fmt::format("  {:<20} {:>12} queries {:>8.3f} s of CPU\n", named(t),
                         t.at("queries").to_number<std::int64_t>(),
                         t.at("cpu_seconds").to_number<double>());
  }
  if (s.contains("operation")) {
    const auto& op = s.at("operation").as_object();
    out += fmt::format("\nlast operation: {} {} ({}, {})\n",
                       std::string(op.at("operation").as_string()),
                       json::serialize(op.at("arguments")), std::string(op.at("state").as_string()),
                       std::string(op.at("started_by").as_string()));
  }
  for (const auto& w : s.at("warnings").as_array())
    out += "warning: " + std::string(w.as_string()) + "\n";
  return out;
}

}  // namespace coditect::cluster
