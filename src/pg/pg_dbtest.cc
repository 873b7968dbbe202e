#include "pg/listener.h"
#include "pg/transaction.h"
#include "testing/loop_test.h"
#include "testing/servers.h"

namespace coditect::pg {
namespace {

using namespace std::chrono_literals;

class PgTest : public testing::LoopTest {
 protected:
  PoolSettings settings(int size = 2) {
    PoolSettings s;
    s.conninfo = testing::Servers::get().database_url;
    s.size = size;
    return s;
  }
  static Command command(std::string sql) { return {{}, std::move(sql), {}}; }
};

template <class T>
Async<std::string> reason_of(Async<T> work) {
  try {
    co_await std::move(work);
  } catch (const Failure& f) {
    co_return std::string(f.error().reason);
  }
  co_return "none";
}

TEST_F(PgTest, ValuesComeBackAsTheyWent) {
  Pool pool(loop_, settings(), metrics_, "t");
  const auto id = make_uuid7();
  const auto at = *parse_rfc3339("1969-12-31T23:59:59.000001Z");
  const auto day = *parse_iso_date("0001-01-01");
  const auto r = run(
      read(pool, after(5s), {},
           {"t.values", "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10",
            Params::of(true, std::int64_t{-7}, std::int32_t{INT32_MIN}, std::string("Zürich \n'"),
                       id, at, day, Bytes{std::string("\0\xff", 2)},
                       std::vector<std::string>{"a", "", "ü"}, std::optional<std::int64_t>())}));
  const auto* p = r.get();
  EXPECT_TRUE(decode_value<bool>(p, 0, 0));
  EXPECT_EQ(decode_value<std::int64_t>(p, 0, 1), -7);
  EXPECT_EQ(decode_value<std::int32_t>(p, 0, 2), INT32_MIN);
  EXPECT_EQ(decode_value<std::string>(p, 0, 3), "Zürich \n'");
  EXPECT_EQ(decode_value<Uuid>(p, 0, 4), id);
  EXPECT_EQ(decode_value<Timestamp>(p, 0, 5), at);
  EXPECT_EQ(decode_value<Date>(p, 0, 6), day);
  EXPECT_EQ(decode_value<Bytes>(p, 0, 7).value, std::string("\0\xff", 2));
  EXPECT_EQ(decode_value<std::vector<std::string>>(p, 0, 8),
            (std::vector<std::string>{"a", "", "ü"}));
  EXPECT_EQ(decode_value<std::optional<std::int64_t>>(p, 0, 9), std::nullopt);
  EXPECT_THROW(decode_value<std::int64_t>(p, 0, 9), Failure);
  run(pool.stop());
}

Async<> write_and_leave(Pool& pool) {
  Transaction tx(pool, after(5s), {});
  co_await tx.run({{}, "CREATE TABLE IF NOT EXISTS left_behind (n int)", {}});
}

TEST_F(PgTest, ATransactionThatIsNotCommittedIsRolledBackAndItsConnectionStaysGood) {
  Pool pool(loop_, settings(1), metrics_, "t");
  run(write_and_leave(pool));
  const auto r =
      run(read(pool, after(5s), {}, command("SELECT to_regclass('left_behind') IS NULL")));
  EXPECT_TRUE(decode_value<bool>(r.get(), 0, 0));
  run(pool.stop());
}

Async<> write_drop(Pool& pool) {
  Transaction tx(pool, after(5s), {});
  tx.defer({{}, "DROP TABLE guarded", {}});
  co_await tx.commit();
}

Async<std::string> fail_inside(Pool& pool) {
  Transaction tx(pool, after(5s), {});
  try {
    co_await tx.run({{}, "SELECT 1/0", {}});
  } catch (const SqlFailure& f) {
    co_return f.sql().state;
  }
  co_return "";
}

TEST_F(PgTest, AFailedStatementEndsTheTransactionNotTheConnection) {
  Pool pool(loop_, settings(1), metrics_, "t");
  EXPECT_EQ(run(fail_inside(pool)), "22012");
  const auto r = run(read(pool, after(5s), {}, command("SELECT 7::bigint")));
  EXPECT_EQ(decode_value<std::int64_t>(r.get(), 0, 0), 7);
  run(pool.stop());
}

TEST_F(PgTest, ADeadlineEndsTheStatementOnBothSidesAndTheConnectionIsNotReused) {
  Pool pool(loop_, settings(1), metrics_, "t");
  const auto before = run(read(pool, after(5s), {}, command("SELECT pg_backend_pid()")));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(run(reason_of(read(pool, after(300ms), {}, command("SELECT pg_sleep(30)")))),
            "database_timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
  run(async::sleep_for(1500ms));
  const auto left =
      run(read(pool, after(5s), {},
               command("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' "
                       "AND state = 'active' AND pid <> pg_backend_pid()")));
  EXPECT_EQ(decode_value<std::int64_t>(left.get(), 0, 0), 0);
  run(pool.stop());
}

/// A read with a local setting of its own, which it must see and nobody else.
Async<std::int64_t> read_own(Pool& pool, std::int64_t n, bool fails = false) {
  std::vector<Command> prelude;
  prelude.push_back({{}, "SET LOCAL test.own = '" + std::to_string(n) + "'", {}});
  Command command{"t.own", "SELECT current_setting('test.own')::bigint + 0 * $1", Params::of(n)};
  if (fails) command = {"t.fails", "SELECT 1 / ($1 - $1)", Params::of(n)};
  const auto r = co_await read(pool, after(5s), std::move(prelude), std::move(command));
  co_return decode_value<std::int64_t>(r.get(), 0, 0);
}

Async<int> many_reads(Pool& pool, int count, int every_fails, int& wrong) {
  int failed = 0, open = count;
  async::TaskGroup tasks(static_cast<asio::io_context&>(
      (co_await asio::this_coro::executor).target<asio::io_context::executor_type>()->context()));
  const auto one = [&](int n) -> Async<> {
    try {
      if (co_await read_own(pool, n, n % every_fails == 0) != n) ++wrong;
    } catch (const SqlFailure& f) {  // expected of those that divide by zero, and of no other
      if (f.sql().state == "22012" && n % every_fails == 0)
        ++failed;
      else
        ++wrong;
    }
    --open;
  };
  for (int n = 1; n <= count; ++n) tasks.spawn("read", one(n));
  while (open > 0) co_await async::sleep_for(5ms);
  co_await tasks.stop();
  co_return failed;
}

TEST_F(PgTest, ReadsThatShareAFlushKeepTheirSettingsResultsAndErrorsApart) {
  Pool pool(loop_, settings(2), metrics_, "t");
  int wrong = 0;
  run(many_reads(pool, 10, 1000, wrong));  // now the statement is known to be fast
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(run(many_reads(pool, 200, 7, wrong)), 200 / 7);
    EXPECT_EQ(wrong, 0);
  }
  run(pool.stop());
}

TEST_F(PgTest, AReadThatHoldsUpItsFlushDoesNotHoldUpTheOthers) {
  Pool pool(loop_, settings(3), metrics_, "t");
  // Fast so far; then one of them is slow for its argument.
  const auto one = [&](std::int64_t ms) -> Async<std::int64_t> {
    const auto r =
        co_await read(pool, after(5s), {},
                      {"t.sometimes", "SELECT $1 FROM pg_sleep($1 / 1000.0)", Params::of(ms)});
    co_return decode_value<std::int64_t>(r.get(), 0, 0);
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(run(one(0)), 0);
  auto slow = asio::co_spawn(loop_.io(), one(1500), asio::use_future);
  std::vector<std::future<std::int64_t>> fast;
  for (int i = 0; i < 3; ++i) fast.push_back(asio::co_spawn(loop_.io(), one(0), asio::use_future));
  const auto start = std::chrono::steady_clock::now();
  for (auto& f : fast)
    while (f.wait_for(0s) != std::future_status::ready) loop_.io().run_one();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 1s);
  while (slow.wait_for(0s) != std::future_status::ready) loop_.io().run_one();
  EXPECT_EQ(slow.get(), 1500);
  run(pool.stop());
}

Async<std::string> guarded(Pool& pool, bool refuse, bool explained) {
  std::vector<Command> prelude;
  prelude.push_back({"t.guard", "SELECT 1 / $1", Params::of(std::int64_t{refuse ? 0 : 1})});
  Transaction::Guard guard;
  guard.refused = [explained]() -> Async<> {
    if (explained) fail(Code::permission_denied, "explained", "");
    co_return;
  };
  Transaction tx(pool, after(5s), std::move(prelude), std::move(guard));
  tx.defer({{}, "CREATE TABLE guarded (n int)", {}});
  try {
    co_await tx.commit();
  } catch (const Failure& f) {
    co_return std::string(f.error().reason);
  }
  co_return "committed";
}

TEST_F(PgTest, AGuardStopsTheCommitThatTravelsWithIt) {
  Pool pool(loop_, settings(1), metrics_, "t");
  const auto exists = [&] {
    const auto r =
        run(read(pool, after(5s), {}, command("SELECT to_regclass('guarded') IS NOT NULL")));
    return decode_value<bool>(r.get(), 0, 0);
  };
  EXPECT_EQ(run(guarded(pool, true, true)), "explained");
  EXPECT_FALSE(exists());
  EXPECT_EQ(run(guarded(pool, true, false)), "transaction_conflict");
  EXPECT_FALSE(exists());
  EXPECT_EQ(run(guarded(pool, false, true)), "committed");
  EXPECT_TRUE(exists());
  run(write_drop(pool));
  run(pool.stop());
}

TEST_F(PgTest, AFullPoolShedsAndServesThoseThatWaited) {
  auto s = settings(1);
  s.queue = 1;
  s.max_wait = 300ms;
  Pool pool(loop_, s, metrics_, "t");
  auto holder = asio::co_spawn(
      loop_.io(), read(pool, after(5s), {}, command("SELECT pg_sleep(0.1)")), asio::use_future);
  run(async::sleep_for(50ms));
  auto waiter =
      asio::co_spawn(loop_.io(), read(pool, after(5s), {}, command("SELECT 1")), asio::use_future);
  EXPECT_EQ(run(reason_of(read(pool, after(5s), {}, command("SELECT 1")))), "database_busy");
  while (waiter.wait_for(0s) != std::future_status::ready) loop_.io().run_one();
  EXPECT_NO_THROW(waiter.get());
  EXPECT_NO_THROW(holder.get());
  run(pool.stop());
}

TEST_F(PgTest, AReadSurvivesALostConnection) {
  Pool pool(loop_, settings(1), metrics_, "t"), other(loop_, settings(1), metrics_, "o");
  const auto r = run(read(pool, after(5s), {}, command("SELECT pg_backend_pid()")));
  const auto pid = decode_value<std::int32_t>(r.get(), 0, 0);
  run(read(other, after(5s), {}, {{}, "SELECT pg_terminate_backend($1)", Params::of(pid)}));
  run(async::sleep_for(100ms));
  const auto again = run(read(pool, after(5s), {}, command("SELECT pg_backend_pid()")));
  EXPECT_NE(decode_value<std::int32_t>(again.get(), 0, 0), pid);
  run(pool.stop());
  run(other.stop());
}

TEST_F(PgTest, AWriteSurvivesAConnectionLostBeforeItButNotWithItsCommit) {
  Pool pool(loop_, settings(1), metrics_, "t"), other(loop_, settings(1), metrics_, "o");
  const auto lose_connection = [&] {
    const auto r = run(read(pool, after(5s), {}, command("SELECT pg_backend_pid()")));
    const auto pid = decode_value<std::int32_t>(r.get(), 0, 0);
    run(read(other, after(5s), {}, {{}, "SELECT pg_terminate_backend($1)", Params::of(pid)}));
    run(async::sleep_for(100ms));
  };
  const auto write = [&](bool in_one_flush) -> Async<bool> {
    Transaction tx(pool, after(5s), {});
    if (in_one_flush)
      tx.defer(command("SELECT 1"));
    else
      co_await tx.run(command("SELECT 1"));
    co_await tx.commit();
    co_return true;
  };
  lose_connection();
  EXPECT_NO_THROW(run(write(false)));
  lose_connection();
  EXPECT_EQ(run(reason_of(write(true))), "commit_outcome_unknown");
  run(pool.stop());
  run(other.stop());
}

TEST_F(PgTest, AStatementWhosePlanWentStaleIsPreparedAgain) {
  Pool pool(loop_, settings(1), metrics_, "t"), other(loop_, settings(1), metrics_, "o");
  const auto ddl = [&](std::string sql) -> Async<> {
    Transaction tx(other, after(5s), {});
    co_await tx.run({{}, std::move(sql), {}});
    co_await tx.commit();
  };
  run(ddl("CREATE TABLE stale (a int)"));
  const Command select{"t.stale", "SELECT * FROM stale", {}};
  run(read(pool, after(5s), {}, select));
  run(ddl("ALTER TABLE stale ADD COLUMN b int"));
  const auto r = run(read(pool, after(5s), {}, select));
  EXPECT_EQ(PQnfields(r.get()), 2);
  run(ddl("DROP TABLE stale"));
  run(pool.stop());
  run(other.stop());
}

TEST_F(PgTest, CommitOfAnAbortedTransactionIsNoSuccess) {
  Pool pool(loop_, settings(1), metrics_, "t");
  const auto work = [&]() -> Async<bool> {
    Transaction tx(pool, after(5s), {});
    tx.defer({{}, "SELECT 1/0", {}});
    co_await tx.try_flush();
    try {
      co_await tx.commit();
    } catch (const Failure&) {
      co_return true;
    }
    co_return false;
  };
  EXPECT_TRUE(run(work()));
  run(pool.stop());
}

TEST_F(PgTest, AnUnreachableServerIsUnavailableAndBacksOff) {
  auto s = settings(1);
  s.conninfo = "host=/tmp port=1 dbname=x connect_timeout=1";
  Pool pool(loop_, s, metrics_, "t");
  EXPECT_EQ(run(reason_of(read(pool, after(5s), {}, command("SELECT 1")))),
            "database_connection_lost");
  run(pool.stop());
}

TEST_F(PgTest, AListenerHearsAndKnowsThatItHears) {
  std::vector<std::string> heard;
  int gaps = 0;
  async::TaskGroup tasks(loop_.io());
  Listener listener(
      loop_, testing::Servers::get().database_url, "t_channel",
      [&](const std::string& p) { heard.push_back(p); }, [&] { ++gaps; });
  Pool pool(loop_, settings(1), metrics_, "t");
  tasks.spawn("listen", listener.run());
  run(async::sleep_for(200ms));
  EXPECT_TRUE(listener.current());
  EXPECT_EQ(gaps, 1);
  run(read(pool, after(5s), {}, command("SELECT 1")));
  const auto notify = [&]() -> Async<> {
    Transaction tx(pool, after(5s), {});
    co_await tx.run({{}, "SELECT pg_notify('t_channel', 'hello')", {}});
    co_await tx.commit();
  };
  run(notify());
  run(async::sleep_for(100ms));
  EXPECT_EQ(heard, std::vector<std::string>{"hello"});
  run(tasks.stop());
  run(pool.stop());
}

TEST(SqlErrors, MapToWhatTheCallerShouldDo) {
  const auto code = [](const char* state) { return error_of({state, "", "text"}).code; };
  EXPECT_EQ(code("23505"), Code::conflict);
  EXPECT_EQ(code("40001"), Code::unavailable);
  EXPECT_EQ(code("57014"), Code::deadline_exceeded);
  EXPECT_EQ(code("57P01"), Code::unavailable);
  EXPECT_EQ(code("53100"), Code::unavailable);
  EXPECT_EQ(code("42704"), Code::internal);
  EXPECT_EQ(code("22P02"), Code::internal);
  EXPECT_TRUE(error_of({"23505", "", "shard tasks_102008"}).detail_is_private);
}

}  // namespace
}  // namespace coditect::pg
