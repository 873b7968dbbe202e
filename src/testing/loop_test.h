#pragma once
#include <gtest/gtest.h>

#include "async/loop.h"
#include "obs/metrics.h"

namespace coditect::testing {

/// A loop that runs in the test's own thread while it waits for something.
class LoopTest : public ::testing::Test {
 protected:
  template <class T>
  T run(Async<T> work) {
    auto done = asio::co_spawn(loop_.io(), std::move(work), asio::use_future);
    while (done.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      loop_.io().run_one();
    return done.get();
  }

  async::Loop loop_{0};
  obs::Metrics metrics_;
};

}  // namespace coditect::testing
