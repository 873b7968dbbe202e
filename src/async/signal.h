#pragma once
#include <functional>
#include <utility>

#include "async/async.h"

namespace coditect::async {

/// Something that happens once and that one coroutine waits for, on one loop. Costs no timer.
class Signal {
 public:
  Signal() = default;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  bool is_set() const { return set_; }

  /// Lets the waiting coroutine go on, from the loop, not from within this call.
  void set() {
    set_ = true;
    if (auto resume = std::exchange(resume_, nullptr)) resume();
  }

  /// Returns when set; also when the waiting coroutine was cancelled, which is_set() tells apart.
  Async<> wait() {
    if (set_) co_return;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this](auto handler) {
          auto slot = asio::get_associated_cancellation_slot(handler);
          auto executor = asio::get_associated_executor(handler);
          resume_ = [executor, h = std::move(handler)]() mutable {
            asio::post(executor, std::move(h));
          };
          if (slot.is_connected())
            slot.assign([this](asio::cancellation_type) {
              if (auto resume = std::exchange(resume_, nullptr)) resume();
            });
        },
        asio::use_awaitable);
  }

 private:
  std::move_only_function<void()> resume_;
  bool set_ = false;
};

}  // namespace coditect::async
