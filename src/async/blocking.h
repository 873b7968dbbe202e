#pragma once
#include <atomic>
#include <optional>

#include "async/async.h"

namespace coditect::async {

/// Threads for calls that block (password hashes, files). Bounded: when `queue` jobs wait, a new
/// one fails at once with `unavailable`, so a flood of logins cannot starve the service.
class BlockingPool {
 public:
  BlockingPool(int threads, int queue)
      : most_(threads + queue), pool_(static_cast<std::size_t>(threads)) {}
  ~BlockingPool() { pool_.join(); }

  bool enter() {
    if (inside_.fetch_add(1) < most_) return true;
    inside_.fetch_sub(1);
    return false;
  }
  void leave() { inside_.fetch_sub(1); }
  int inside() const { return inside_.load(); }
  asio::thread_pool& threads() { return pool_; }

 private:
  const int most_;
  std::atomic<int> inside_{0};
  asio::thread_pool pool_;
};

/// Runs f() on a thread of the pool; the coroutine goes on on its own loop.
template <class F, class R = std::invoke_result_t<F>>
Async<R> blocking(BlockingPool& pool, F f) {
  if (!pool.enter())
    throw Failure({Code::unavailable,
                   "too_busy",
                   "the pool for blocking work is full",
                   {},
                   std::chrono::seconds(1)});
  const auto loop = co_await asio::this_coro::executor;
  std::optional<R> result;
  std::exception_ptr thrown;
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [&](auto handler) {
        auto work = asio::make_work_guard(loop);
        asio::post(pool.threads(), [&pool, &f, &result, &thrown, work = std::move(work),
                                    handler = std::move(handler)]() mutable {
          try {
            result.emplace(f());
          } catch (...) {  // carried to the awaiting coroutine
            thrown = std::current_exception();
          }
          pool.leave();
          asio::post(work.get_executor(), std::move(handler));
        });
      },
      asio::use_awaitable);
  if (thrown) std::rethrow_exception(thrown);
  co_return std::move(*result);
}

}  // namespace coditect::async
