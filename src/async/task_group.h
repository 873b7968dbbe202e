#pragma once
#include <list>
#include <string_view>

#include "async/async.h"

namespace coditect::async {

/// Owns background coroutines of one loop: no work is detached. stop() cancels them all and waits.
class TaskGroup {
 public:
  explicit TaskGroup(asio::io_context& io) : io_(io), idle_(io, Deadline::max()) {}
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts the work. A failure of it is logged under this name and ends only itself.
  void spawn(std::string_view name, Async<> work);
  /// Cancels all work and waits until it has ended. Nothing can be spawned afterwards.
  Async<> stop();
  /// Waits until all work has ended by itself or the deadline has passed; true: it has ended.
  Async<bool> drained(Deadline deadline);

  std::size_t size() const { return tasks_.size(); }
  bool stopping() const { return stopping_; }

 private:
  struct Task {
    asio::cancellation_signal signal;
  };
  asio::io_context& io_;
  std::list<Task> tasks_;
  asio::steady_timer idle_;  ///< cancelled when the last task ends
  bool stopping_ = false;
};

}  // namespace coditect::async
