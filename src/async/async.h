#pragma once
#include <boost/asio.hpp>

#include "base/clock.h"
#include "base/error.h"

namespace coditect {

namespace asio = boost::asio;

/// A coroutine that runs on one event loop.
template <class T = void>
using Async = asio::awaitable<T>;

namespace async {

Async<> sleep_for(std::chrono::milliseconds duration);

/// Waits until the descriptor is ready. False when the wait was cancelled.
enum class Ready { read, write, either };
Async<bool> wait_ready(asio::posix::stream_descriptor& descriptor, Ready what);

/// Doubling waits with jitter: first, 2*first, ... up to most, each times 0.5 to 1.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds most)
      : first_(first), most_(most) {}
  std::chrono::milliseconds next();
  void reset() { step_ = 0; }

 private:
  std::chrono::milliseconds first_, most_;
  int step_ = 0;
};

}  // namespace async
}  // namespace coditect
