#include <gtest/gtest.h>

#include "base/error.h"
#include "schema/migrate.h"

namespace coditect::schema {
namespace {

constexpr std::string_view kHead = "-- mode: online\n-- oldest-program: 0.1.0\n";

TEST(Migrations, AreReadFromTheProgramItself) {
  for (const char* set : {"directory", "cell"}) {
    const MigrationSource own[] = {{.files = migration_files()}};
    const auto migrations = migrations_of(set, own);
    EXPECT_FALSE(migrations.empty());
    for (const auto& m : migrations) EXPECT_EQ(m.checksum.size(), 64u);
  }
}

TEST(Migrations, RefuseMalformedNamesHeadersAndGaps) {
  const auto read = [](std::string_view path, std::string_view text) {
    const EmbeddedFile files[] = {{path, text}};
    const MigrationSource source[] = {{.files = files}};
    return migrations_of("cell", source);
  };
  EXPECT_EQ(read("citus/migrations/cell/0001_first.sql", kHead)[0].mode, Mode::online);
  EXPECT_EQ(read("citus/migrations/cell/0001_first.sql", kHead)[0].name, "first");
  EXPECT_THROW(read("citus/migrations/cell/first.sql", kHead), Failure);
  EXPECT_THROW(read("citus/migrations/cell/0002_second.sql", kHead), Failure);
  EXPECT_THROW(read("citus/migrations/cell/0001_first.sql", "SELECT 1"), Failure);
  const EmbeddedFile file[] = {{"migrations/cell/0001_first.sql", kHead}};
  for (const char* origin : {"", "own-saas", "Own", "1own", "a_name_that_is_longer_than_thirty"}) {
    const MigrationSource source[] = {{.origin = origin, .files = file}};
    EXPECT_THROW(migrations_of("cell", source), Failure) << origin;
  }
  const MigrationSource twice[] = {{.files = file}, {.files = file}};
  EXPECT_THROW(migrations_of("cell", twice), Failure);
  EXPECT_THROW(
      read("citus/migrations/cell/0001_first.sql", "-- mode: sometimes\n-- oldest-program: 1\n"),
      Failure);
}

TEST(Migrations, OfAnApplicationCountFromOneAndFollowThePlatforms) {
  const EmbeddedFile first[] = {{"citus/migrations/cell/0001_first.sql", kHead},
                                {"citus/migrations/cell/0002_second.sql", kHead}};
  const EmbeddedFile own[] = {{"migrations/cell/0001_customers.sql", kHead},
                              {"migrations/directory/0001_other.sql", kHead}};
  const MigrationSource sources[] = {{.files = first}, {.origin = "own", .files = own}};
  const auto all = migrations_of("cell", sources);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1].origin + " " + all[1].name, "coditect second");
  EXPECT_EQ(all[2].origin + " " + all[2].name + " " + std::to_string(all[2].version),
            "own customers 1");
}

TEST(Migrations, SplitAtSemicolonsOutsideOfTextsCommentsAndBodies) {
  EXPECT_EQ(split_statements("CREATE INDEX a ON t (x); -- one; two\n/* ; */ SELECT ';', \"a;b\"; "
                             "DO $body$ BEGIN x; END $body$;\n\n;"),
            (std::vector<std::string>{"CREATE INDEX a ON t (x)",
                                      "-- one; two\n/* ; */ SELECT ';', \"a;b\"",
                                      "DO $body$ BEGIN x; END $body$"}));
  EXPECT_TRUE(split_statements("-- nothing;\n").empty());
}

TEST(Versions, CompareByNumberNotByText) {
  EXPECT_EQ(compare_versions("0.10.0", "0.9.1"), 1);
  EXPECT_EQ(compare_versions("1.2.3", "1.2.3"), 0);
  EXPECT_EQ(compare_versions("1.2", "1.2.1"), -1);
}

}  // namespace
}  // namespace coditect::schema
