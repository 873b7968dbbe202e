#include <gtest/gtest.h>

#include "base/error.h"
#include "schema/migrate.h"

namespace coditect::schema {
namespace {

constexpr std::string_view kHead = "-- mode: online\n-- oldest-program: 0.1.0\n";

TEST(Migrations, AreReadFromTheProgramItself) {
  for (const char* set : {"directory", "cell"}) {
    const auto migrations = migrations_of(set, migration_files());
    EXPECT_FALSE(migrations.empty());
    for (const auto& m : migrations) EXPECT_EQ(m.checksum.size(), 64u);
  }
}

TEST(Migrations, RefuseMalformedNamesHeadersAndGaps) {
  const auto read = [](std::string_view path, std::string_view text) {
    const EmbeddedFile files[] = {{path, text}};
    return migrations_of("cell", files);
  };
  EXPECT_EQ(read("citus/migrations/cell/0001_first.sql", kHead)[0].mode, Mode::online);
  EXPECT_EQ(read("citus/migrations/cell/0001_first.sql", kHead)[0].name, "first");
  EXPECT_THROW(read("citus/migrations/cell/first.sql", kHead), Failure);
  EXPECT_THROW(read("citus/migrations/cell/0002_second.sql", kHead), Failure);
  EXPECT_THROW(read("citus/migrations/cell/0001_first.sql", "SELECT 1"), Failure);
  EXPECT_THROW(
      read("citus/migrations/cell/0001_first.sql", "-- mode: sometimes\n-- oldest-program: 1\n"),
      Failure);
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
