#include "cluster/cluster.h"

#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "pg/conninfo.h"
#include "tenancy/shard_map.h"

namespace coditect::cluster {
namespace {

constexpr const char* kLock = "hashtextextended('coditect cluster operation', 0)";

NodeInfo node_of(const schema::Direct::Row& row, std::size_t at) {
  return {std::stoi(*row[at]),     std::stoi(*row[at + 1]), *row[at + 2],
          std::stoi(*row[at + 3]), row[at + 4] == "t",      row[at + 5] == "t"};
}

constexpr const char* kNodeColumns =
    "n.nodeid, n.groupid, n.nodename, n.nodeport, n.isactive, n.shouldhaveshards";

std::string whoami() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  const char* user =
      std::getenv("SUDO_USER") != nullptr ? std::getenv("SUDO_USER") : std::getenv("USER");
  return std::string(user != nullptr ? user : std::to_string(getuid())) + "@" + host + ":" +
         std::to_string(getpid());
}

}  // namespace

Cluster::Cluster(std::string conninfo) : conninfo_(std::move(conninfo)), db_(conninfo_) {
  const auto has = [this](const char* name) {
    return db_.query("SELECT to_regclass($1)", {name})[0][0].has_value();
  };
  if (!has("pg_catalog.pg_dist_node") || !has("coditect_cluster.operations"))
    fail(Code::failed_precondition, "not_a_cluster",
         "the cell is no Citus cluster that 'coditect cluster init' has set up");
  // A move whose command has died ends within a second, and Citus undoes it.
  db_.execute("SET client_connection_check_interval = '1s'");
}

std::string Cluster::conninfo_of(const NodeInfo& node) const {
  if (node.is_coordinator()) return conninfo_;
  return pg::with_options(conninfo_, {{"host", node.host},
                                      {"hostaddr", ""},
                                      {"port", std::to_string(node.port)},
                                      {"connect_timeout", "3"}});
}

schema::Direct Cluster::on(const NodeInfo& node) const {
  schema::Direct db(conninfo_of(node));
  db.execute("SET citus.override_table_visibility = off");
  return db;
}

std::vector<NodeInfo> Cluster::nodes() {
  std::vector<NodeInfo> out;
  for (const auto& row : db_.query(std::string("SELECT ") + kNodeColumns +
                                   " FROM pg_dist_node n WHERE n.noderole = 'primary' ORDER BY "
                                   "n.groupid"))
    out.push_back(node_of(row, 0));
  return out;
}

std::vector<NodeInfo> Cluster::workers() {
  auto out = nodes();
  std::erase_if(out, [](const NodeInfo& n) { return n.is_coordinator(); });
  return out;
}

NodeInfo Cluster::node(const std::string& name) {
  std::string known;
  for (const auto& n : nodes()) {
    if (n.address() == name || std::to_string(n.id) == name) return n;
    known += (known.empty() ? "" : ", ") + n.address();
  }
  fail(Code::not_found, "node_not_found", "no node '" + name + "'; there are " + known);
}

std::vector<ShardGroup> Cluster::shards(bool sizes) {
  std::vector<ShardGroup> out;
  const std::string bytes =
      sizes ? "SELECT shardid, sum(shard_size)::bigint AS bytes FROM citus_shards GROUP BY shardid"
            : "SELECT 0::bigint AS shardid, 0::bigint AS bytes";
  for (const auto& row : db_.query(
           "WITH sizes AS (" + bytes +
           "), anchor AS (SELECT s.shardid, s.shardminvalue, s.shardmaxvalue FROM pg_dist_shard s "
           "WHERE s.logicalrelid = 'public.tenant_state'::regclass) SELECT a.shardid, "
           "a.shardminvalue, a.shardmaxvalue, coalesce(z.bytes, 0), s.logicalrelid::text, "
           "s.shardid, "
           "shard_name(s.logicalrelid, s.shardid), " +
           kNodeColumns +
           " FROM anchor a JOIN pg_dist_placement p ON p.shardid = a.shardid JOIN pg_dist_node n "
           "ON "
           "n.groupid = p.groupid AND n.noderole = 'primary' JOIN pg_dist_shard s ON "
           "s.shardminvalue = a.shardminvalue AND s.shardmaxvalue = a.shardmaxvalue JOIN "
           "pg_dist_partition t ON t.logicalrelid = s.logicalrelid AND t.colocationid = (SELECT "
           "colocationid FROM pg_dist_partition WHERE logicalrelid = "
           "'public.tenant_state'::regclass) LEFT JOIN sizes z ON z.shardid = s.shardid ORDER BY "
           "a.shardid, s.shardid")) {
    const auto id = std::stoll(*row[0]);
    if (out.empty() || out.back().id != id)
      out.push_back({id, std::stoi(*row[1]), std::stoi(*row[2]), node_of(row, 7), 0, {}});
    out.back().bytes += std::stoll(*row[3]);
    out.back().tables.push_back({*row[4], *row[6], std::stoll(*row[5])});
  }
  return out;
}

ShardGroup Cluster::shard(std::int64_t id) {
  for (auto& group : shards())
    if (std::ranges::find(group.tables, id, &ShardGroup::Table::shard_id) != group.tables.end())
      return group;
  fail(Code::not_found, "shard_not_found",
       "no shard " + std::to_string(id) + "; 'coditect cluster status --shards' lists them");
}

ShardGroup Cluster::shard_of_tenant(std::int64_t tenant) {
  const auto hash = tenancy::tenant_hash(tenant);
  for (auto& group : shards())
    if (group.first <= hash && hash <= group.last) return group;
  fail(Code::internal, "shard_not_found", "no shard has the tenant");
}

std::pair<std::string, int> parse_address(const std::string& text, const std::string& argument) {
  const auto colon = text.rfind(':');
  const auto host = text.substr(0, colon == text.npos ? text.size() : colon);
  const int port = colon == text.npos ? 5432 : std::atoi(text.c_str() + colon + 1);
  if (host.empty() || port <= 0 || port > 65535)
    fail(Code::invalid_argument, "invalid_address", argument + " is HOST:PORT, not '" + text + "'");
  return {host, port};
}

Operation::Operation(Cluster& cluster, const std::string& name,
                     const boost::json::object& arguments, Kind kind)
    : db_(cluster.conninfo()) {
  if (*db_.query(std::string("SELECT pg_try_advisory_lock(") + kLock + ")")[0][0] != "t") {
    const auto running = db_.query(
        "SELECT operation || ' (' || started_by || ', since ' || date_trunc('second', started_at) "
        "|| ')' FROM coditect_cluster.operations WHERE state = 'running' ORDER BY id DESC LIMIT 1");
    fail(Code::conflict, "operation_running",
         "another operation runs: " + (running.empty() ? "?" : *running[0][0]) +
             "; 'coditect cluster stop' ends it after its present step");
  }
  bool acknowledges = false;
  if (kind != Kind::harmless) {
    const auto missed = db_.query(
        "SELECT outcome FROM coditect_cluster.operations o WHERE outcome LIKE 'rows\\_missing%' "
        "AND "
        "NOT EXISTS (SELECT FROM coditect_cluster.events e WHERE e.event = 'acknowledged' AND "
        "e.operation > o.id) ORDER BY id DESC LIMIT 1");
    if (!missed.empty() && kind == Kind::careful)
      fail(Code::failed_precondition, "rows_missing_before",
           "an operation before this one missed rows: " + *missed[0][0] +
               "; this one drops what was left. --force begins all the same");
    acknowledges = !missed.empty();
    // Whoever had the lock is gone.
    for (const auto& row :
         db_.query("UPDATE coditect_cluster.operations SET state = 'interrupted', ended_at = now() "
                   "WHERE state = 'running' RETURNING operation || ' ' || arguments, id")) {
      interrupted_ += (interrupted_.empty() ? "" : "; ") + *row[0];
      interrupted_ids_ += (interrupted_ids_.empty() ? "" : ",") + *row[1];
    }
  }
  id_ =
      std::stoll(*db_.query("INSERT INTO coditect_cluster.operations (operation, arguments, "
                            "started_by) VALUES ($1, $2::jsonb, $3) RETURNING id",
                            {name, boost::json::serialize(arguments), whoami()})[0][0]);
  if (acknowledges) event("acknowledged");
}

Operation::~Operation() {
  if (ended_) return;
  try {
    end("failed", "");
  } catch (const Failure&) {  // the next operation calls it interrupted
  }
}

void Operation::event(const std::string& name, const boost::json::object& detail) {
  db_.query(
      "INSERT INTO coditect_cluster.events (operation, event, detail) VALUES ($1::bigint, $2, "
      "$3::jsonb)",
      {std::to_string(id_), name, boost::json::serialize(detail)});
}

bool Operation::stop_asked() {
  return *db_.query("SELECT stop_asked FROM coditect_cluster.operations WHERE id = $1::bigint",
                    {std::to_string(id_)})[0][0] == "t";
}

void Operation::end(const std::string& state, const std::string& outcome) {
  ended_ = true;
  db_.query(
      "UPDATE coditect_cluster.operations SET state = $2, ended_at = now(), outcome = $3 "
      "WHERE id = $1::bigint",
      {std::to_string(id_), state, outcome});
}

bool ask_to_stop(Cluster& cluster) {
  return !cluster.db()
              .query(
                  "UPDATE coditect_cluster.operations SET stop_asked = true WHERE state = "
                  "'running' AND NOT " +
                  std::string("pg_try_advisory_xact_lock(") + kLock + ") RETURNING id")
              .empty();
}

boost::json::array operations(Cluster& cluster, int most) {
  boost::json::array out;
  for (const auto& row : cluster.db().query(
           "SELECT row_to_json(o) FROM (SELECT o.*, (SELECT coalesce(json_agg(json_build_object("
           "'at', e.at, 'event', e.event, 'detail', e.detail) ORDER BY e.id), '[]') FROM "
           "coditect_cluster.events e WHERE e.operation = o.id) AS events FROM "
           "coditect_cluster.operations o ORDER BY o.id DESC LIMIT $1::int) o",
           {std::to_string(most)}))
    out.push_back(boost::json::parse(*row[0]));
  return out;
}

}  // namespace coditect::cluster
