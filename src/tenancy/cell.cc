#include "tenancy/cell.h"

#include <algorithm>

#include "obs/log.h"
#include "pg/conninfo.h"
#include "pg/transaction.h"

namespace coditect::tenancy {
namespace {

using namespace std::chrono_literals;

/// Consecutive statements that nobody answered in time, before a worker is left alone: a frozen
/// server takes connections and statements, and heeds no statement_timeout.
constexpr int kBreakerAfter = 3;

const pg::Command kIsCluster{{}, "SELECT to_regclass('pg_catalog.pg_dist_shard') IS NOT NULL", {}};
// While a cell becomes a cluster, tables are distributed one after another: until the last one is,
// workers do not know them all. (Shards carry their table's policies, and a number in their name.)
const pg::Command kIsComplete{
    {},
    "SELECT NOT EXISTS (SELECT FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE "
    "p.polname "
    "= 'tenant_only' AND c.relname !~ '_[0-9]{4,}$' AND c.oid NOT IN (SELECT logicalrelid FROM "
    "pg_dist_partition))",
    {}};
const pg::Command kAnswer{{}, "SELECT 1", {}};
const pg::Command kShards{
    {},
    "SELECT s.shardid, s.shardminvalue::int, s.shardmaxvalue::int, n.nodename, n.nodeport FROM "
    "pg_dist_shard s JOIN pg_dist_placement p USING (shardid) JOIN pg_dist_node n USING (groupid) "
    "WHERE s.logicalrelid = to_regclass('public.tenant_state') AND n.noderole = 'primary' AND "
    "s.shardminvalue IS NOT NULL ORDER BY s.shardminvalue::int",
    {}};

const pg::Command kSizes{
    {},
    "SELECT nodename || ':' || nodeport, sum(shard_size)::bigint FROM citus_shards GROUP BY 1",
    {}};

struct SizeRow {
  std::string node;
  std::int64_t bytes = 0;
};
BOOST_DESCRIBE_STRUCT(SizeRow, (), (node, bytes))

struct ShardRow {
  std::int64_t id = 0;
  std::int32_t first = 0, last = 0;
  std::string host;
  std::int32_t port = 0;
};
BOOST_DESCRIBE_STRUCT(ShardRow, (), (id, first, last, host, port))

Async<std::optional<ShardMap>> read_from(pg::Pool& pool, Deadline deadline) {
  const auto is_cluster = co_await pg::read(pool, deadline, {}, kIsCluster);
  if (!*pg::decode_row<std::optional<bool>>(is_cluster.get(), 0)) co_return std::nullopt;
  const auto complete = co_await pg::read(pool, deadline, {}, kIsComplete);
  if (!*pg::decode_row<std::optional<bool>>(complete.get(), 0)) co_return std::nullopt;
  const auto result = co_await pg::read(pool, deadline, {}, kShards);
  const auto rows = pg::decode_rows<ShardRow>(result.get());
  if (rows.empty()) co_return std::nullopt;  // the tables are not distributed yet
  std::vector<Node> nodes;
  std::vector<Shard> shards;
  for (const auto& row : rows) {
    const Node node{row.host, row.port};
    auto at = std::ranges::find(nodes, node);
    if (at == nodes.end()) at = nodes.insert(at, node);
    shards.push_back({row.first, row.last, row.id, static_cast<std::size_t>(at - nodes.begin())});
  }
  co_return ShardMap(std::move(nodes), std::move(shards));
}

pg::PoolSettings at(pg::PoolSettings settings, const Node& node) {
  settings.conninfo = pg::with_options(
      settings.conninfo,
      {{"host", node.host}, {"hostaddr", ""}, {"port", std::to_string(node.port)}});
  settings.breaker_after = kBreakerAfter;
  return settings;
}

}  // namespace

Route route_of(const std::string& name) {
  if (name == "worker") return Route::worker;
  if (name == "coordinator") return Route::coordinator;
  if (name == "other") return Route::other;
  fail(Code::invalid_argument, "setting_invalid",
       "cell.route is worker, coordinator or other, not '" + name + "'");
}

Cell::Cell(async::Loop& loop, pg::PoolSettings settings, Route route, obs::Metrics& metrics)
    : loop_(loop),
      settings_(std::move(settings)),
      route_(route),
      metrics_(metrics),
      coordinator_(loop, settings_, metrics, "cell") {}

pg::Pool& Cell::of(std::int64_t tenant) {
  if (!map_ || route_ == Route::coordinator) return coordinator_;
  const auto holder = map_->node_of(tenant);
  if (route_ == Route::worker) return *routes_[holder];
  return *routes_[(holder + 1) % routes_.size()];
}

pg::Pool& Cell::pool_of(const Node& node) {
  auto& pool = workers_[node];
  if (!pool) {
    pool = std::make_unique<pg::Pool>(loop_, at(settings_, node), metrics_, "cell@" + node.name());
    pool->on_trouble(on_trouble_);
  }
  return *pool;
}

void Cell::use(std::shared_ptr<const ShardMap> map) {
  map_ = std::move(map);
  routes_.clear();
  if (map_)
    for (const auto& node : map_->nodes()) routes_.push_back(&pool_of(node));
  for (auto& [node, pool] : workers_)
    if (std::ranges::find(routes_, pool.get()) == routes_.end()) pool->drop_idle();
}

Async<std::optional<ShardMap>> Cell::read_map(Deadline deadline) {
  std::exception_ptr first;
  try {
    co_return co_await read_from(coordinator_, std::min(deadline, after(1s)));
  } catch (const Failure&) {  // the workers know it too
    first = std::current_exception();
  }
  const auto workers = routes_;
  for (auto* worker : workers) {
    try {
      co_return co_await read_from(*worker, std::min(deadline, after(1s)));
    } catch (const Failure&) {  // the next one, or the coordinator's own failure
    }
  }
  std::rethrow_exception(first);
}

Async<bool> Cell::answers(Deadline deadline) {
  auto pools = routes_;
  pools.insert(pools.begin(), &coordinator_);
  for (auto* pool : pools) {
    try {
      co_await pg::read(*pool, std::min(deadline, after(1s)), {}, kAnswer);
      co_return true;
    } catch (const Failure&) {  // the next one
    }
  }
  co_return false;
}

void Cell::on_trouble(std::function<void()> f) {
  on_trouble_ = std::move(f);
  coordinator_.on_trouble(on_trouble_);
  for (auto& [node, pool] : workers_) pool->on_trouble(on_trouble_);
}

Async<int> Cell::shed_memory(std::int64_t most_bytes, Deadline deadline) {
  int closed = 0;
  const auto workers = routes_;
  for (auto* worker : workers) {
    try {
      closed += co_await worker->shed_memory(most_bytes, std::min(deadline, after(1s)));
    } catch (const Failure& f) {  // one worker's trouble must not keep the others
      obs::log(obs::Level::debug, "cannot look at backend memory", {{"error", f.what()}});
    }
  }
  co_return closed;
}

Async<> Cell::stop() {
  co_await coordinator_.stop();
  for (auto& [node, pool] : workers_) co_await pool->stop();
}

CellWatch::CellWatch(async::Loop& loop, Cell& cell, std::chrono::milliseconds interval,
                     obs::Metrics& metrics)
    : loop_(loop),
      cell_(cell),
      interval_(interval),
      metrics_(metrics),
      timer_(loop.io()),
      changes_(metrics.counter("coditect_cell_map_changes_total",
                               "Times that tenants were found on other workers than before")),
      failures_(metrics.counter("coditect_cell_map_failures_total",
                                "Times that no server of the cell told where tenants are")),
      tasks_(loop.io()) {}

void CellWatch::add(async::Loop& loop, Cell& cell) {
  targets_.push_back({&loop, &cell});
  cell.on_trouble([this] {
    asio::post(loop_.io(), [this] {
      trouble_ = true;
      timer_.cancel();
    });
  });
}

Async<> CellWatch::start() {
  co_await look();
  tasks_.spawn("cell watch", run());
}

Async<> CellWatch::look() {
  try {
    publish(co_await cell_.read_map(after(3s)));
  } catch (const Failure& f) {  // the last map still serves: a stale one is only slower
    failures_.Increment();
    obs::log(obs::Level::warn, "cannot read where tenants are", {{"error", f.what()}});
  }
}

Async<> CellWatch::run() {
  for (;;) {
    timer_.expires_after(interval_);
    boost::system::error_code ec;
    if (!trouble_) co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return;
    // Trouble comes in swarms: one look for all of it.
    if (std::exchange(trouble_, false)) co_await async::sleep_for(std::min(interval_, 100ms));
    co_await look();
  }
}

Async<int> CellWatch::measure_sizes(pg::Pool& operators, Deadline deadline) {
  if (!map_) co_return 0;
  const auto result = co_await pg::read(operators, deadline, {}, kSizes);
  for (auto& [node, gauge] : bytes_) gauge->Set(0);
  for (const auto& row : pg::decode_rows<SizeRow>(result.get())) {
    auto& gauge = bytes_[row.node];
    if (gauge == nullptr)
      gauge =
          &metrics_.gauge("coditect_cell_bytes",
                          "Bytes of tenants' tables and indexes on the node, as the process with "
                          "the maintenance lease saw it last",
                          {{"node", row.node}});
    gauge->Set(static_cast<double>(row.bytes));
  }
  co_return 0;
}

void CellWatch::publish(std::optional<ShardMap> found) {
  if (map_ && found && *map_ == *found) return;
  if (!map_ && !found) return;
  map_ = found ? std::make_shared<const ShardMap>(std::move(*found)) : nullptr;
  changes_.Increment();
  for (auto& [node, gauge] : shards_) gauge->Set(0);
  if (map_) {
    for (const auto& shard : map_->shards()) {
      auto& gauge = shards_[map_->nodes()[shard.node]];
      if (gauge == nullptr)
        gauge = &metrics_.gauge("coditect_cell_shards", "Shards of tenants on the node",
                                {{"node", map_->nodes()[shard.node].name()}});
      gauge->Increment();
    }
  }
  obs::log(
      obs::Level::info, "where tenants are",
      {{"nodes", map_ ? map_->nodes().size() : 0}, {"shards", map_ ? map_->shards().size() : 0}});
  for (const auto& t : targets_)
    asio::post(t.loop->io(), [cell = t.cell, map = map_] { cell->use(map); });
}

}  // namespace coditect::tenancy
