#include "cluster/compare.h"

#include <gtest/gtest.h>

namespace coditect::cluster {
namespace {

TEST(Compare, FindsWhatNoDeleteExplains) {
  const auto diff = [](std::int64_t source, std::int64_t target, std::int64_t missing,
                       std::int64_t deleted) {
    return TableDiff{"tasks", false, source, target, missing, deleted, missing > 0 ? "(1,a)" : ""};
  };
  EXPECT_EQ(losses({diff(100, 100, 0, 0), diff(7, 9, 0, 0)}), "") << "the rest was added since";
  EXPECT_EQ(losses({diff(100, 90, 10, 10)}), "") << "deleted since";
  EXPECT_EQ(losses({diff(100, 100, 10, 0)}),
            "tasks: 10 of 100 rows are missing, and 0 were deleted since; for example (1,a)")
      << "as many were added since";
  EXPECT_EQ(losses({diff(1, 0, 1, 0), diff(2, 2, 0, 0), diff(3, 1, 2, 1)}),
            "tasks: 1 of 1 rows are missing, and 0 were deleted since; for example (1,a); "
            "tasks: 2 of 3 rows are missing, and 1 were deleted since; for example (1,a)");
}

}  // namespace
}  // namespace coditect::cluster
