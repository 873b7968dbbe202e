#pragma once
#include <functional>
#include <string>

#include "pg/connection.h"

namespace coditect::pg {

/// A connection of its own that LISTENs on one channel. It asks the server for a sign of life
/// several times a second, so that silence is known to be silence and not a cut cable.
class Listener {
 public:
  using OnMessage = std::function<void(const std::string& payload)>;

  /// `on_gap` runs whenever messages may have been missed: at the start and after each loss.
  Listener(async::Loop& loop, std::string conninfo, std::string channel, OnMessage on_message,
           std::function<void()> on_gap);

  /// Listens until it is cancelled; reconnects by itself. Spawn it in a TaskGroup.
  Async<> run();

  /// Whether every message up to half a second ago is known to have arrived.
  bool current() const {
    return std::chrono::steady_clock::now() - last_sign_ < std::chrono::milliseconds(500);
  }

 private:
  Async<> listen();

  async::Loop& loop_;
  const std::string conninfo_, channel_;
  OnMessage on_message_;
  std::function<void()> on_gap_;
  std::chrono::steady_clock::time_point last_sign_{};
  async::Backoff backoff_{std::chrono::milliseconds(50), std::chrono::milliseconds(1000)};
};

}  // namespace coditect::pg
