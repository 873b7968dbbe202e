#include "async/async.h"

#include <random>

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace coditect::async {

Async<> sleep_for(std::chrono::milliseconds duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(asio::use_awaitable);
}

Async<bool> wait_ready(asio::posix::stream_descriptor& descriptor, Ready what) {
  using Descriptor = asio::posix::stream_descriptor;
  if (what != Ready::either) {
    boost::system::error_code ec;
    co_await descriptor.async_wait(
        what == Ready::read ? Descriptor::wait_read : Descriptor::wait_write,
        asio::redirect_error(asio::use_awaitable, ec));
    co_return !ec;
  }
  using namespace asio::experimental::awaitable_operators;
  try {
    co_await (descriptor.async_wait(Descriptor::wait_read, asio::use_awaitable) ||
              descriptor.async_wait(Descriptor::wait_write, asio::use_awaitable));
  } catch (const std::exception&) {  // cancelled, both waits or one: an outcome here, not a failure
    co_return false;
  }
  co_return true;
}

std::chrono::milliseconds Backoff::next() {
  thread_local std::minstd_rand random{std::random_device{}()};
  auto wait = first_;
  for (int i = 0; i < step_ && wait < most_; ++i) wait *= 2;
  ++step_;
  wait = std::min(wait, most_);
  return wait / 2 +
         std::chrono::milliseconds(random() % static_cast<unsigned>(wait.count() / 2 + 1));
}

}  // namespace coditect::async
