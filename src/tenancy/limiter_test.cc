#include "tenancy/limiter.h"

#include <gtest/gtest.h>

namespace coditect::tenancy {
namespace {

using namespace std::chrono_literals;

TEST(Gcra, AllowsTheBurstThenTheRate) {
  std::int64_t arrival = 0, at = 1'000'000'000;
  for (int i = 0; i < 5; ++i) {
    const auto d = gcra(at, arrival, 5, 10s);
    EXPECT_TRUE(d.allowed);
    EXPECT_EQ(d.remaining, 4 - i);
  }
  const auto refused = gcra(at, arrival, 5, 10s);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.retry_after, 2s);
  at += 2'000'000;
  EXPECT_TRUE(gcra(at, arrival, 5, 10s).allowed);
  EXPECT_FALSE(gcra(at, arrival, 5, 10s).allowed);
  at += 100'000'000;  // after a rest the burst is whole again, not larger
  int allowed = 0;
  while (gcra(at, arrival, 5, 10s).allowed) ++allowed;
  EXPECT_EQ(allowed, 5);
}

TEST(Gcra, AClockThatJumpsBackDoesNotLockForLongerThanThePeriod) {
  std::int64_t arrival = 0;
  gcra(1'000'000'000, arrival, 1, 10s);
  EXPECT_TRUE(gcra(1'000'000'000 + 10'000'000, arrival, 1, 10s).allowed);
}

}  // namespace
}  // namespace coditect::tenancy
