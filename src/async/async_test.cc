#include <gtest/gtest.h>

#include "async/blocking.h"
#include "async/loop.h"
#include "async/task_group.h"

namespace coditect::async {
namespace {

using namespace std::chrono_literals;

template <class T>
T run(asio::io_context& io, Async<T> work) {
  auto done = asio::co_spawn(io, std::move(work), asio::use_future);
  while (done.wait_for(0s) != std::future_status::ready) io.run_one();
  return done.get();
}

struct Flag : Watchdog::Entry {
  using Entry::Entry;
  void on_deadline() override { ++fired; }
  int fired = 0;
};

TEST(Watchdog, FiresOnceAndOnlyWhenArmed) {
  asio::io_context io;
  Watchdog dog(io);
  Flag armed(dog), disarmed(dog), never(dog);
  armed.arm(after(10ms));
  disarmed.arm(after(10ms));
  disarmed.disarm();
  run(io, sleep_for(100ms));
  EXPECT_EQ(armed.fired, 1);
  EXPECT_EQ(disarmed.fired, 0);
  EXPECT_EQ(never.fired, 0);
}

Async<> sleep_long(bool& ended) {
  try {
    co_await sleep_for(1h);
  } catch (const boost::system::system_error&) {
    ended = true;
    throw;
  }
}

Async<> fail_at_once() {
  fail(Code::internal, "expected_by_the_test");
  co_return;
}

TEST(TaskGroup, StopCancelsTheWorkAndWaitsForIt) {
  asio::io_context io;
  TaskGroup group(io);
  bool first = false, second = false;
  group.spawn("first", sleep_long(first));
  group.spawn("second", sleep_long(second));
  group.spawn("failing", fail_at_once());
  run(io, sleep_for(10ms));
  EXPECT_EQ(group.size(), 2u);
  run(io, group.stop());
  EXPECT_TRUE(first && second);
  EXPECT_EQ(group.size(), 0u);
}

TEST(TaskGroup, DrainGivesUpAtItsDeadline) {
  asio::io_context io;
  TaskGroup group(io);
  bool ended = false;
  group.spawn("long", sleep_long(ended));
  EXPECT_FALSE(run(io, group.drained(after(20ms))));
  EXPECT_FALSE(ended);
  run(io, group.stop());
}

Async<std::pair<std::thread::id, std::thread::id>> where(BlockingPool& pool) {
  const auto inside = co_await blocking(pool, [] { return std::this_thread::get_id(); });
  co_return std::pair(inside, std::this_thread::get_id());
}

TEST(Blocking, RunsElsewhereAndComesBackToItsLoop) {
  BlockingPool pool(1, 1);
  Loops loops(1);
  loops.start();
  const auto [inside, after_it] = loops.run_on(0, where(pool));
  EXPECT_NE(inside, after_it);
  EXPECT_NE(after_it, std::this_thread::get_id());
}

Async<int> hold(BlockingPool& pool, std::atomic<bool>& go) {
  co_return co_await blocking(pool, [&go] {
    while (!go) std::this_thread::sleep_for(1ms);
    return 1;
  });
}

TEST(Blocking, AFullPoolRefusesInsteadOfQueueingWithoutEnd) {
  BlockingPool pool(1, 1);
  Loops loops(1);
  loops.start();
  std::atomic<bool> go = false;
  auto first = asio::co_spawn(loops[0].io(), hold(pool, go), asio::use_future);
  auto second = asio::co_spawn(loops[0].io(), hold(pool, go), asio::use_future);
  while (pool.inside() < 2) std::this_thread::sleep_for(1ms);
  EXPECT_THROW(loops.run_on(0, hold(pool, go)), Failure);
  go = true;
  EXPECT_EQ(first.get() + second.get(), 2);
  EXPECT_EQ(loops.run_on(0, hold(pool, go)), 1);
}

TEST(Backoff, GrowsToItsBoundAndResets) {
  Backoff backoff(10ms, 100ms);
  EXPECT_LE(backoff.next(), 10ms);
  for (int i = 0; i < 20; ++i) EXPECT_LE(backoff.next(), 100ms);
  EXPECT_GE(backoff.next(), 50ms);
  backoff.reset();
  EXPECT_LE(backoff.next(), 10ms);
}

}  // namespace
}  // namespace coditect::async
