#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "async/signal.h"
#include "pg/pool.h"
#include "tenancy/shard_map.h"

namespace coditect::tenancy {

/// Where the statements of a tenant are sent in a cell that is a Citus cluster.
enum class Route {
  worker,       ///< the worker that holds the tenant's rows
  coordinator,  ///< the coordinator, which forwards them: where workers cannot be reached
  other,        ///< a worker that does not hold them and forwards: to test that this works too
};
/// Throws `setting_invalid`.
Route route_of(const std::string& name);

/// The databases of one cell for one loop: a PostgreSQL server, or a Citus coordinator and its
/// workers, each with a pool of its own, so that a slow or lost worker takes no connections from
/// the tenants of the others.
class Cell {
 public:
  /// `settings` are the coordinator's; a worker gets the same with another address.
  Cell(async::Loop& loop, pg::PoolSettings settings, Route route, obs::Metrics& metrics);

  /// Where this tenant's statements go.
  pg::Pool& of(std::int64_t tenant);
  /// The server of database.url or cell.url.
  pg::Pool& coordinator() { return coordinator_; }

  /// Whether a server of the cell answers: the coordinator, or else any worker.
  Async<bool> answers(Deadline deadline);

  /// Sends tenants where the map says from now on; null: everything to the coordinator.
  void use(std::shared_ptr<const ShardMap> map);
  /// The map as the cluster has it; nullopt when the cell is no cluster. Asks the coordinator, or,
  /// when it is away, the workers, which all have a copy.
  Async<std::optional<ShardMap>> read_map(Deadline deadline);

  /// Is called when a connection was lost or could not be made.
  void on_trouble(std::function<void()> f);
  /// Closes idle connections whose server process has more than this memory: Citus 13.2.1 and
  /// later leak some with each run of a plan that is used again. The number closed.
  Async<int> shed_memory(std::int64_t most_bytes, Deadline deadline);

  Async<> stop();

 private:
  pg::Pool& pool_of(const Node& node);

  async::Loop& loop_;
  const pg::PoolSettings settings_;
  const Route route_;
  obs::Metrics& metrics_;
  pg::Pool coordinator_;
  std::map<Node, std::unique_ptr<pg::Pool>> workers_;  ///< also those that have left
  std::shared_ptr<const ShardMap> map_;
  std::vector<pg::Pool*> routes_;  ///< by ShardMap::nodes()
  std::function<void()> on_trouble_;
};

/// Keeps the maps of all loops' cells up to date: every interval, and at once after trouble.
class CellWatch {
 public:
  /// `cell` is the one of this loop, which is asked.
  CellWatch(async::Loop& loop, Cell& cell, std::chrono::milliseconds interval,
            obs::Metrics& metrics);

  void add(async::Loop& loop, Cell& cell);
  /// Reads the map for the first time and goes on in the background. A cell that does not answer
  /// is asked again later.
  Async<> start();
  Async<> stop() { return tasks_.stop(); }

  /// Exports how many bytes each node holds, by a pool of a role that may ask; nothing where the
  /// cell
  /// is no cluster. It asks every node.
  Async<int> measure_sizes(pg::Pool& operators, Deadline deadline);

  /// Of the last map; for this loop only.
  const ShardMap* map() const { return map_.get(); }

 private:
  struct Target {
    async::Loop* loop;
    Cell* cell;
  };
  Async<> look();
  Async<> run();
  void publish(std::optional<ShardMap> found);

  async::Loop& loop_;
  Cell& cell_;
  const std::chrono::milliseconds interval_;
  obs::Metrics& metrics_;
  std::vector<Target> targets_;
  std::shared_ptr<const ShardMap> map_;
  asio::steady_timer timer_;
  bool trouble_ = false;
  std::map<Node, obs::Gauge*> shards_;
  std::map<std::string, obs::Gauge*> bytes_;
  obs::Counter& changes_;
  obs::Counter& failures_;
  async::TaskGroup tasks_;
};

}  // namespace coditect::tenancy
