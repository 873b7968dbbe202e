#pragma once
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "schema/direct.h"

namespace coditect::cluster {

struct NodeInfo {
  int id = 0;
  int group = 0;  ///< 0: the coordinator
  std::string host;
  int port = 0;
  bool active = true;
  bool takes_shards = true;
  std::string address() const { return host + ":" + std::to_string(port); }
  bool is_coordinator() const { return group == 0; }
};

/// A range of hash(tenant_id) with all its tables: the unit of a move.
struct ShardGroup {
  std::int64_t id = 0;  ///< of its shard of tenant_state
  std::int32_t first = 0, last = 0;
  NodeInfo node;
  std::int64_t bytes = 0;  ///< of all tables
  struct Table {
    std::string name, shard_name;
    std::int64_t shard_id = 0;
  };
  std::vector<Table> tables;
};

/// The coordinator as coditect_cluster sees it. Blocking: for commands, not for the API.
class Cluster {
 public:
  /// `conninfo` reaches the cell's database on the coordinator as a superuser. Throws
  /// `not_a_cluster` where the extension or coditect's set-up is missing.
  explicit Cluster(std::string conninfo);

  schema::Direct& db() { return db_; }
  const std::string& conninfo() const { return conninfo_; }
  /// The way to the same database on another node.
  std::string conninfo_of(const NodeInfo& node) const;
  /// A session there that sees shards in the catalog, which Citus hides from clients.
  schema::Direct on(const NodeInfo& node) const;

  std::vector<NodeInfo> nodes();
  std::vector<NodeInfo> workers();
  /// "host:port", or a node's number. Throws `node_not_found`, naming those there are.
  NodeInfo node(const std::string& name);
  /// By the first shard's id; `sizes` asks every node for them.
  std::vector<ShardGroup> shards(bool sizes = true);
  /// Of any table's shard id. Throws `shard_not_found`.
  ShardGroup shard(std::int64_t id);
  ShardGroup shard_of_tenant(std::int64_t tenant);

 private:
  std::string conninfo_;
  schema::Direct db_;
};

/// "host:port" of an address; throws `invalid_address` naming the argument.
std::pair<std::string, int> parse_address(const std::string& text, const std::string& argument);

/// One command that changes the cluster: only one at a time, and each leaves a row in
/// coditect_cluster.operations and its events. What an earlier one left when it was killed is
/// settled first (compare.h).
class Operation {
 public:
  enum class Kind {
    harmless,  ///< drops nothing: what earlier ones left stays as it is
    careful,   ///< settles what earlier ones left, and does not begin after one that missed rows
    forced,    ///< begins all the same, which is written down
  };
  /// Throws `operation_running`, with what runs; and `rows_missing_before` after one that missed
  /// rows, whose source this one would drop.
  Operation(Cluster& cluster, const std::string& name, const boost::json::object& arguments,
            Kind kind);
  ~Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  void event(const std::string& name, const boost::json::object& detail = {});
  /// Whether `coditect cluster stop` asked it to.
  bool stop_asked();
  void end(const std::string& state, const std::string& outcome);
  /// What was found of an earlier operation that did not end; empty when it did.
  const std::string& interrupted() const { return interrupted_; }
  /// Their numbers, as the text of an array.
  std::string interrupted_ids() const { return "{" + interrupted_ids_ + "}"; }

 private:
  schema::Direct db_;  ///< of its own: events are there whatever becomes of the work
  std::int64_t id_ = 0;
  std::string interrupted_, interrupted_ids_;
  bool ended_ = false;
};

/// Asks the running operation to stop after its present step; false: none runs.
bool ask_to_stop(Cluster& cluster);
/// The latest operations, newest first, with their events.
boost::json::array operations(Cluster& cluster, int most);

}  // namespace coditect::cluster
