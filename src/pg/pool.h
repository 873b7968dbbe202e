#pragma once
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "async/task_group.h"
#include "obs/metrics.h"
#include "pg/connection.h"

namespace coditect::pg {

struct PoolSettings {
  std::string conninfo;  ///< holds a password: never logged
  int size = 8;          ///< connections of one loop
  int queue = 256;       ///< callers that may wait; more are refused with 503
  std::chrono::milliseconds max_wait{2000};
  std::chrono::milliseconds connect_timeout{3000};
  std::chrono::milliseconds statement_timeout{10000};
  std::chrono::milliseconds max_lifetime{3600000};
};

class Pool;

/// A connection on loan. Going out of scope returns it: clean ones at once, those with an open
/// transaction after a ROLLBACK; broken ones are closed.
class Lease {
 public:
  Lease() = default;
  Lease(Pool& pool, std::unique_ptr<Connection> c) : pool_(&pool), connection_(std::move(c)) {}
  Lease(Lease&& other) noexcept = default;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  explicit operator bool() const { return connection_ != nullptr; }
  Connection* operator->() const { return connection_.get(); }
  void give_back();

 private:
  Pool* pool_ = nullptr;
  std::unique_ptr<Connection> connection_;
};

/// Connections of one role to one database, for one loop: no locks.
class Pool {
 public:
  Pool(async::Loop& loop, PoolSettings settings, obs::Metrics& metrics, const std::string& name);
  ~Pool();

  /// Throws `database_busy` when the queue is full or the wait too long, and
  /// `database_connection_lost` while the server is away (at once during the backoff).
  Async<Lease> acquire(Deadline deadline);
  Async<> stop();

  const PoolSettings& settings() const { return settings_; }
  /// Closes all idle connections: after a loss the others are likely lost too.
  void drop_idle();
  /// Adds the time of a named statement to its histogram.
  void observe(std::string_view statement, std::chrono::steady_clock::duration time);

 private:
  friend class Lease;
  struct Waiter {
    explicit Waiter(asio::io_context& io) : timer(io) {}
    asio::steady_timer timer;
    std::unique_ptr<Connection> given;
    bool refused = false;
  };

  void give_back(std::unique_ptr<Connection> c);
  void hand_on(std::unique_ptr<Connection> c);
  void forget_one();
  Async<> recycle(std::unique_ptr<Connection> c);
  Async<> open_for_waiters();
  Async<std::unique_ptr<Connection>> open(Deadline deadline);
  Async<Lease> wait_for_one(Deadline deadline);
  std::unique_ptr<Connection> take_idle();

  async::Loop& loop_;
  const PoolSettings settings_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::list<Waiter*> waiters_;
  int total_ = 0;  ///< open, opening or on loan
  async::Backoff backoff_{std::chrono::milliseconds(50), std::chrono::milliseconds(1000)};
  std::chrono::steady_clock::time_point retry_at_{};
  async::TaskGroup tasks_;

  obs::Metrics& metrics_;
  obs::Gauge& open_gauge_;
  obs::Gauge& in_use_;
  obs::Gauge& waiting_;
  obs::Histogram& wait_seconds_;
  obs::Counter& refused_;
  obs::Counter& lost_;
  std::unordered_map<std::string_view, obs::Histogram*> statement_seconds_;
};

}  // namespace coditect::pg
