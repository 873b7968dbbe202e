#include <gmock/gmock.h>
#include <boost/asio/local/stream_protocol.hpp>

#include <limits>

#include "pg/conninfo.h"
#include "tenancy/db.h"
#include "testing/two_tenants.h"

namespace coditect::tenancy {
namespace {

using namespace std::chrono_literals;
using testing::Databases;

constexpr auto kMin = std::numeric_limits<std::int32_t>::min();
constexpr auto kMax = std::numeric_limits<std::int32_t>::max();
constexpr TenantStatement<std::int64_t> kCount{
    "test.count", "SELECT count(*) FROM tasks t WHERE t.tenant_id = $1"};

class CellTest : public testing::TwoTenantsTest {
 protected:
  pg::PoolSettings settings() { return pool_settings(Databases::get().cell_as("coditect_app")); }
  /// Whose shards are cut between the two tenants: each node has one of them.
  static std::shared_ptr<const ShardMap> map(Node acme, Node globex) {
    return std::make_shared<const ShardMap>(std::vector{std::move(acme), std::move(globex)},
                                            std::vector<Shard>{{kMin, 0, 1, 0}, {1, kMax, 2, 1}});
  }
  Node server() {
    const auto conninfo = Databases::get().cell_as("coditect_app");
    return {pg::option_of(conninfo, "host"), std::stoi(pg::option_of(conninfo, "port"))};
  }
  std::int64_t count(Cell& cell, std::int64_t tenant) {
    return *run(TenantDb(cell, testing::tenant(tenant), after(5s)).maybe_one(kCount));
  }
  std::string failure(Cell& cell, std::int64_t tenant) {
    try {
      count(cell, tenant);
      return "";
    } catch (const Failure& f) {
      return std::string(f.error().reason);
    }
  }
};

TEST_F(CellTest, HashesTenantsAsTheServerDoes) {
  std::string values = "{1,2,0,-1,9223372036854775807,-9223372036854775808,4294967296,4294967295";
  std::uint64_t x = 88172645463325252ULL;
  for (int i = 0; i < 20000; ++i) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    values += "," + std::to_string(static_cast<std::int64_t>(x >> (i % 60)));
  }
  int compared = 0;
  for (const auto& row :
       admin_->query("SELECT v, hashint8(v) FROM unnest($1::bigint[]) v", {values + "}"})) {
    EXPECT_EQ(tenant_hash(std::stoll(*row[0])), std::stoll(*row[1])) << *row[0];
    ++compared;
  }
  EXPECT_EQ(compared, 20008);
}

TEST_F(CellTest, SendsEachTenantToItsNode) {
  Cell cell(loop_, settings(), Route::worker, metrics_);
  EXPECT_EQ(&cell.of(testing::kAcme), &cell.coordinator());
  cell.use(map(server(), {"127.0.0.1", 1}));
  EXPECT_NE(&cell.of(testing::kAcme), &cell.coordinator());
  EXPECT_EQ(count(cell, testing::kAcme), kTasks_);
  EXPECT_EQ(failure(cell, testing::kGlobex), "database_connection_lost")
      << "nobody listens on port 1";
  EXPECT_EQ(count(cell, testing::kAcme), kTasks_) << "one node's loss is not the other's";
  cell.use(nullptr);
  EXPECT_EQ(count(cell, testing::kGlobex), kTasks_);
  run(cell.stop());
}

TEST_F(CellTest, CanGoThroughTheCoordinatorOrAWrongWorker) {
  Cell wrong(loop_, settings(), Route::other, metrics_);
  wrong.use(map({"127.0.0.1", 1}, server()));
  EXPECT_EQ(count(wrong, testing::kAcme), kTasks_);
  EXPECT_EQ(failure(wrong, testing::kGlobex), "database_connection_lost");
  Cell through(loop_, settings(), Route::coordinator, metrics_);
  through.use(map({"127.0.0.1", 1}, {"127.0.0.1", 1}));
  EXPECT_EQ(count(through, testing::kAcme), kTasks_);
  EXPECT_THROW(route_of("Worker"), Failure);
  run(wrong.stop());
  run(through.stop());
}

TEST_F(CellTest, ReadsNoMapFromAServerWithoutCitus) {
  Cell cell(loop_, settings(), Route::worker, metrics_);
  EXPECT_FALSE(run(cell.read_map(after(5s))).has_value());
  EXPECT_TRUE(run(cell.answers(after(5s))));
  run(cell.stop());
}

TEST_F(CellTest, TellsOfTroubleAndAsksTheWorkersWhenTheCoordinatorIsAway) {
  auto lost = settings();
  lost.conninfo = pg::with_options(lost.conninfo, {{"host", "127.0.0.1"}, {"port", "1"}});
  Cell cell(loop_, lost, Route::worker, metrics_);
  int trouble = 0;
  cell.on_trouble([&trouble] { ++trouble; });
  EXPECT_THROW(run(cell.read_map(after(2s))), Failure);
  EXPECT_FALSE(run(cell.answers(after(2s))));
  EXPECT_GE(trouble, 1);
  cell.use(map(server(), server()));
  EXPECT_FALSE(run(cell.read_map(after(2s))).has_value()) << "the worker answers: no cluster";
  EXPECT_TRUE(run(cell.answers(after(2s))));
  run(cell.stop());
}

/// Takes connections and never says a word, as a frozen server does.
class Silent {
 public:
  explicit Silent(asio::io_context& io) : acceptor_(io, {asio::ip::make_address("127.0.0.1"), 0}) {}
  Node node() { return {"127.0.0.1", acceptor_.local_endpoint().port()}; }

 private:
  asio::ip::tcp::acceptor acceptor_;
};

TEST_F(CellTest, LeavesAWorkerAloneThatDoesNotAnswer) {
  auto quick = settings();
  quick.connect_timeout = 150ms;
  Cell cell(loop_, quick, Route::worker, metrics_);
  Silent silent(loop_.io());
  cell.use(map(server(), silent.node()));
  // Until the breaker opens each costs its time; then none does.
  for (int i = 0; i < 100 && failure(cell, testing::kGlobex) != "database_unavailable"; ++i)
    run(async::sleep_for(20ms));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(failure(cell, testing::kGlobex), "database_unavailable");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 100ms);
  EXPECT_THAT(metrics_.text(),
              ::testing::ContainsRegex("coditect_db_away.pool=\"cell@127.0.0.1:[0-9]+\". 1"));
  EXPECT_EQ(count(cell, testing::kAcme), kTasks_) << "the other worker's tenants feel nothing";
  run(cell.stop());
}

TEST_F(CellTest, ClosesConnectionsWhoseServerProcessHasGrown) {
  admin_->execute("GRANT EXECUTE ON FUNCTION pg_get_backend_memory_contexts() TO coditect_app");
  admin_->execute("GRANT SELECT ON pg_backend_memory_contexts TO coditect_app");
  Cell cell(loop_, settings(), Route::worker, metrics_);
  cell.use(map(server(), server()));
  EXPECT_EQ(count(cell, testing::kAcme), kTasks_);
  EXPECT_EQ(run(cell.shed_memory(1LL << 40, after(5s))), 0);
  EXPECT_EQ(run(cell.shed_memory(1000, after(5s))), 1);
  EXPECT_EQ(count(cell, testing::kAcme), kTasks_);
  run(cell.stop());
}

TEST(CitusErrors, HaveConstraintNamesWithoutShards) {
  const auto e = pg::SqlError::of(
      "23505", "", "duplicate key value violates unique constraint \"projects_pkey_102045\"");
  EXPECT_EQ(e.constraint, "projects_pkey");
  EXPECT_EQ(pg::SqlError::of("23505", "members_email_102008", "x").constraint, "members_email");
  EXPECT_EQ(pg::SqlError::of("42601", "", "no constraint \"x_102008\" here").constraint, "");
}

TEST(CitusErrors, AreTheTenantsTroubleNotTheConnections) {
  const auto commit = pg::error_of(pg::SqlError::of(
      "XX000", "", "could not commit transaction for shard 102008 on any active node"));
  EXPECT_EQ(commit.code, Code::unavailable);
  EXPECT_EQ(commit.reason, "commit_outcome_unknown");
  for (const char* state : {"08006", "57P01"}) {
    const auto e =
        pg::SqlError::of(state, "", "connection to the remote node 10.0.0.7:5432 failed");
    EXPECT_FALSE(pg::is_stale(e)) << "the connection stays";
    const auto error = pg::error_of(e);
    EXPECT_EQ(error.code, Code::unavailable);
    EXPECT_TRUE(error.detail_is_private) << "no host in an answer";
    EXPECT_GT(error.retry_after.count(), 0);
  }
}

}  // namespace
}  // namespace coditect::tenancy
