#pragma once
#include <chrono>
#include <functional>

#include "cluster/cluster.h"
#include "cluster/setup.h"

/// What changes a cluster. Every one: names what stands in its way before it begins, can be asked
/// what it would do, tells how far it is, and can be repeated after it was stopped or killed.
namespace coditect::cluster {

struct Options {
  bool dry_run = false;
  bool force = false;  ///< in spite of blockers that only make it slow
  /// How long a shard's writers may wait is up to the method: `force_logical` copies while they go
  /// on and stops them for a moment at the end; `block_writes` stops them all the time.
  bool block_writes = false;
  std::function<bool()> stopped = [] { return false; };  ///< asked between steps
  Report report;
  /// How far a move is; `left` < 0: not known yet.
  std::function<void(const std::string& what, std::int64_t done_bytes, std::int64_t all_bytes,
                     double left_seconds)>
      progress = [](const std::string&, std::int64_t, std::int64_t, double) {};
};

struct Move {
  ShardGroup shard;
  NodeInfo target;
};

/// Moves one shard with all its tables, and compares the rows.
void move_shard(Cluster& cluster, std::int64_t shard, const std::string& node, const Options& o);

enum class Balance {
  size,    ///< the same bytes on each worker
  shards,  ///< the same number of shards
};
/// The moves that would make the workers alike, the largest shards first; none: they are. Workers
/// that take no shards give all of theirs away.
std::vector<Move> plan_balance(Cluster& cluster, Balance by);
/// Moves until the workers are alike; true: they are, false: it was stopped.
bool rebalance(Cluster& cluster, Balance by, const Options& o);

/// Gives a tenant a shard of its own, on `node` or the emptiest other worker.
void isolate(Cluster& cluster, std::int64_t tenant, const std::string& node, const Options& o);
/// Cuts a shard into `pieces` of equal ranges, all on other workers.
void split(Cluster& cluster, std::int64_t shard, int pieces, const Options& o);

/// Prepares a server as init() did the others and adds it. `administrator` is a superuser's
/// connection string to it; credentials are those of the coordinator.
void add_node(Cluster& cluster, const std::string& administrator, const Options& o);
/// Moves every shard away and takes the node out; true: it is out, false: it was stopped.
bool remove_node(Cluster& cluster, const std::string& node, const Options& o);
/// Another server, with a copy of its data, takes a node's place.
void failover(Cluster& cluster, const std::string& node, const std::string& address,
              const Options& o);
/// A named point that all nodes can be restored to; the coordinator's position in its log.
std::string restore_point(Cluster& cluster, const std::string& name, const Options& o);

/// Writers that have been at it for longer than this hold up a move's end.
inline constexpr std::chrono::seconds kLongTransaction{5};
/// What would hold up a move from or to these nodes, in words; empty: nothing.
std::vector<std::string> blockers(Cluster& cluster, const std::vector<NodeInfo>& nodes);

}  // namespace coditect::cluster
