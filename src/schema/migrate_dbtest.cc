#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "base/error.h"
#include "schema/bootstrap.h"
#include "schema/direct.h"
#include "schema/migrate.h"
#include "testing/servers.h"

namespace coditect::schema {
namespace {

Migration make(int version, std::string sql, Mode mode = Mode::transactional,
               std::string oldest = "0.1.0") {
  return {version, "m" + std::to_string(version), mode, std::move(oldest),
          sql,     "checksum of " + sql};
}

/// An empty database with the roles' rights, for each test.
class MigrationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto base = "m" + std::to_string(getpid()) + "_" + std::to_string(counter_++);
    names_ = {base + "_directory", base + "_cell"};
    prepare_server(testing::Servers::get().database_url, {}, {names_.directory, names_.cell});
    conninfo_ = conninfo_for(testing::Servers::get().database_url, names_.cell, "coditect_migrator",
                             testing::Servers::get().passwords.at("coditect_migrator"));
  }
  void TearDown() override {
    Direct db(testing::Servers::get().database_url);
    db.execute("DROP DATABASE " + names_.cell + " WITH (FORCE)");
    db.execute("DROP DATABASE " + names_.directory + " WITH (FORCE)");
  }
  void up(const std::vector<Migration>& migrations) {
    migrate(conninfo_, migrations, [this](const std::string& line) { lines_.push_back(line); });
  }
  bool exists(const std::string& name) {
    return Direct(conninfo_).query("SELECT to_regclass($1)", {name})[0][0].has_value();
  }

  DatabaseNames names_;
  std::string conninfo_;
  std::vector<std::string> lines_;
  static inline int counter_ = 0;
};

TEST_F(MigrationTest, AFailureLeavesATransactionalMigrationUndone) {
  up({make(1, "CREATE TABLE a (n int)")});
  EXPECT_THROW(
      up({make(1, "CREATE TABLE a (n int)"), make(2, "CREATE TABLE b (n int); SELECT 1/0")}),
      Failure);
  EXPECT_TRUE(exists("a"));
  EXPECT_FALSE(exists("b"));
  up({make(1, "CREATE TABLE a (n int)"), make(2, "CREATE TABLE b (n int)")});
  EXPECT_TRUE(exists("b"));
}

TEST_F(MigrationTest, AnOnlineMigrationGoesOnWhereItStoppedAndDropsInvalidIndexes) {
  const std::string sql =
      "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1); CREATE UNIQUE INDEX CONCURRENTLY t_n "
      "ON t (n);";
  EXPECT_THROW(up({make(1, sql, Mode::online)}), Failure);
  EXPECT_TRUE(exists("t"));
  {
    Direct db(conninfo_);
    db.execute("SET ROLE coditect_owner; DELETE FROM t WHERE ctid = '(0,2)'");
  }
  up({make(1, sql, Mode::online)});
  Direct db(conninfo_);
  EXPECT_EQ(
      db.query("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND indisvalid")[0][0],
      "1");
  EXPECT_EQ(db.query("SELECT count(*) FROM pg_index WHERE NOT indisvalid")[0][0], "0");
  EXPECT_EQ(plan(conninfo_, {make(1, sql, Mode::online)}).pending.size(), 0u);
}

TEST_F(MigrationTest, AChangedFileIsRefused) {
  up({make(1, "CREATE TABLE a (n int)")});
  EXPECT_THROW(up({make(1, "CREATE TABLE a (n bigint)")}), Failure);
  EXPECT_THROW(plan(conninfo_, {make(1, "CREATE TABLE a (n bigint)")}), Failure);
}

TEST_F(MigrationTest, TwoMigratorsAtOnceApplyEachMigrationOnce) {
  const std::vector<Migration> migrations{
      make(1, "CREATE TABLE a (n int); SELECT pg_sleep(0.3)"), make(2, "CREATE TABLE b (n int)"),
      make(3, "CREATE INDEX CONCURRENTLY b_n ON b (n)", Mode::online)};
  std::vector<std::thread> threads;
  std::atomic<int> failures = 0;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      try {
        migrate(conninfo_, migrations, [](const std::string&) {});
      } catch (const std::exception& e) {
        ADD_FAILURE() << e.what();
        ++failures;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(plan(conninfo_, migrations).applied.size(), 3u);
}

TEST_F(MigrationTest, ALockedTableIsTriedAgainAndReadersAreNotHeldUp) {
  up({make(1, "CREATE TABLE a (n int)")});
  Direct holder(conninfo_);
  holder.execute("SET ROLE coditect_owner; BEGIN; LOCK TABLE a IN ACCESS SHARE MODE");
  std::thread release([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2600));
    holder.execute("COMMIT");
  });
  up({make(1, "CREATE TABLE a (n int)"), make(2, "ALTER TABLE a ADD COLUMN m int")});
  release.join();
  EXPECT_TRUE(std::ranges::any_of(lines_, [](const auto& line) { return line.contains("busy"); }));
}

TEST_F(MigrationTest, ReadinessKnowsBehindReadyAndTooNew) {
  const EmbeddedFile one[] = {
      {"migrations/cell/0001_a.sql", "-- mode: transactional\n-- oldest-program: 0.1.0\nSELECT 1"}};
  const EmbeddedFile two[] = {
      one[0],
      {"migrations/cell/0002_b.sql", "-- mode: transactional\n-- oldest-program: 0.3.0\nSELECT 2"}};
  const auto ready = [&](std::span<const EmbeddedFile> files, const char* version) {
    const MigrationSource sources[] = {{.program_version = version, .files = files}};
    return readiness(conninfo_, "cell", sources);
  };
  const auto apply = [&](std::span<const EmbeddedFile> files) {
    const MigrationSource sources[] = {{.files = files}};
    up(migrations_of("cell", sources));
  };
  EXPECT_EQ(ready(one, "0.1.0"), Readiness::behind);
  apply(one);
  EXPECT_EQ(ready(one, "0.1.0"), Readiness::ready);
  EXPECT_EQ(ready(two, "0.3.0"), Readiness::behind);
  apply(two);
  EXPECT_EQ(ready(one, "0.2.9"), Readiness::too_new);
  EXPECT_EQ(ready(one, "0.3.0"), Readiness::ready);
}

TEST_F(MigrationTest, AnApplicationsMigrationsHaveARecordAndAVersionOfTheirOwn) {
  const EmbeddedFile platform[] = {
      {"migrations/cell/0001_a.sql",
       "-- mode: transactional\n-- oldest-program: 0.1.0\nCREATE TABLE a (n int)"}};
  const EmbeddedFile own[] = {
      {"migrations/cell/0001_b.sql",
       "-- mode: transactional\n-- oldest-program: 2.0.0\nCREATE TABLE b (n int)"}};
  const MigrationSource both[] = {{.program_version = "0.1.0", .files = platform},
                                  {.origin = "own", .program_version = "2.0.0", .files = own}};
  up(migrations_of("cell", both));
  EXPECT_TRUE(exists("a") && exists("b"));
  up(migrations_of("cell", both));  // nothing is left to do
  EXPECT_EQ(readiness(conninfo_, "cell", both), Readiness::ready);
  EXPECT_EQ(plan(conninfo_, migrations_of("cell", both)).applied.size(), 2u);
  // The platform's own program still runs; an older one of the application does not.
  EXPECT_EQ(readiness(conninfo_, "cell", std::span(both).first(1)), Readiness::ready);
  const MigrationSource older[] = {both[0],
                                   {.origin = "own", .program_version = "1.9.9", .files = own}};
  EXPECT_EQ(readiness(conninfo_, "cell", older), Readiness::too_new);
}

}  // namespace
}  // namespace coditect::schema
