#pragma once
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

namespace coditect::app {

/// How far a command is, on standard error: a line that rewrites itself on a terminal, and one
/// every five seconds elsewhere.
class ProgressLine {
 public:
  /// Whether enough time has passed for another; `last`: in any case.
  bool due(bool last = false) {
    const auto at = std::chrono::steady_clock::now();
    if (!last && at - shown_ < std::chrono::milliseconds(terminal_ ? 250 : 5000)) return false;
    shown_ = at;
    return true;
  }
  void show(const std::string& text) {
    std::fputs(terminal_ ? ("\r\033[K" + text).c_str() : (text + "\n").c_str(), stderr);
    open_ = terminal_;
  }
  /// Takes it off the terminal, for other words in its place.
  void clear() {
    if (std::exchange(open_, false)) std::fputs("\r\033[K", stderr);
  }
  /// Leaves it, and goes on below.
  void keep() {
    if (std::exchange(open_, false)) std::fputs("\n", stderr);
  }

 private:
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point shown_{};
  bool open_ = false;
};

}  // namespace coditect::app
