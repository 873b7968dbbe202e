#pragma once
#include <memory>
#include <thread>
#include <vector>

#include "async/async.h"
#include "async/watchdog.h"

namespace coditect::async {

/// One event loop: everything built on it runs on its thread, without locks.
class Loop {
 public:
  explicit Loop(int index) : index_(index), io_(1), watchdog_(io_), guard_(io_.get_executor()) {}

  asio::io_context& io() { return io_; }
  Watchdog& watchdog() { return watchdog_; }
  int index() const { return index_; }

 private:
  friend class Loops;
  int index_;
  asio::io_context io_;
  Watchdog watchdog_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
};

/// One loop per core, each with a thread of its own.
class Loops {
 public:
  explicit Loops(int count);
  ~Loops();

  std::size_t size() const { return loops_.size(); }
  Loop& operator[](std::size_t i) { return *loops_[i]; }

  void start();
  /// Ends the loops whatever they are doing and joins the threads.
  void stop();

  /// Runs the work on that loop and waits for it from another thread, with its result or failure.
  template <class T>
  T run_on(std::size_t i, Async<T> work) {
    return asio::co_spawn(loops_[i]->io(), std::move(work), asio::use_future).get();
  }

 private:
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<std::thread> threads_;
};

}  // namespace coditect::async
