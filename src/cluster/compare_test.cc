#include "cluster/compare.h"

#include <gtest/gtest.h>

namespace coditect::cluster {
namespace {

TEST(Compare, FindsWhatNoDeleteExplains) {
  EXPECT_EQ(losses({{"tasks", 100, 100, 0}, {"members", 7, 9, 0}}), "")
      << "the rest was added since";
  EXPECT_EQ(losses({{"tasks", 100, 90, 10}}), "") << "deleted since";
  EXPECT_EQ(losses({{"tasks", 10000, 7500, 0}}),
            "tasks: 7500 rows of 10000, and 0 were deleted since");
  EXPECT_EQ(losses({{"tasks", 100, 89, 10}}), "tasks: 89 rows of 100, and 10 were deleted since");
  EXPECT_EQ(losses({{"a", 1, 0, 0}, {"b", 2, 2, 0}, {"c", 3, 0, 1}}),
            "a: 0 rows of 1, and 0 were deleted since, c: 0 rows of 3, and 1 were deleted since");
}

TEST(Compare, CannotBeShortOfWhatIsGone) {
  EXPECT_FALSE(is_short({"tasks", std::nullopt, 0, 0}));
  EXPECT_TRUE(is_short({"tasks", 1, 0, 0}));
  EXPECT_FALSE(is_short({"tasks", 0, 0, 0}));
}

}  // namespace
}  // namespace coditect::cluster
