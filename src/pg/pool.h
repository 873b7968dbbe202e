#pragma once
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "async/signal.h"
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
  /// After so many statements in a row that were not answered in time all callers are refused until
  /// the server answers again; 0: never.
  int breaker_after = 0;
  /// Parameters of every session; one of an extension that is not there is accepted and means
  /// nothing.
  std::vector<std::pair<std::string, std::string>> parameters;
};

class Pool;
using Results = boost::container::small_vector<Result, 2>;

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

  /// Runs a transaction that changes nothing (`commands` from BEGIN to COMMIT) and returns the
  /// results of `count` commands from `commands[wanted]` on. Transactions that wait for a
  /// connection at the same moment are sent together, in one flush, if their statements have been
  /// fast so far: fewer packets, wake-ups and context switches on both sides. One that holds the
  /// others up makes them start anew on other connections. Repeated once when the connection is
  /// lost or the server asks for it. Throws as acquire() does, and SqlFailure.
  Async<Results> read(std::vector<Command> commands, std::size_t wanted, std::size_t count,
                      Deadline deadline);

  Async<> stop();

  /// Is called when a connection was lost or could not be made.
  void on_trouble(std::function<void()> f) { on_trouble_ = std::move(f); }
  /// Closes idle connections whose server process has more than this memory; their number. The role
  /// must be allowed to read pg_backend_memory_contexts.
  Async<int> shed_memory(std::int64_t most_bytes, Deadline deadline);

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

  struct Read;
  struct Batch;
  using Reads = std::vector<std::shared_ptr<Read>>;
  using Connected = std::unique_ptr<Connection>;

  void schedule_reads();
  void start_reads();
  Reads next_batch();
  Async<> run_batch(Connected c, Reads reads);
  void settle(const Reads& reads, Connection::Outcome& outcome);
  void again(const std::shared_ptr<Read>& read, const std::exception_ptr& why);
  void refuse_reads(const Error& why);
  /// The gauge is the sum of all loops' pools.
  void count_waiting() {
    const auto now_waiting = static_cast<double>(reads_.size() + waiters_.size());
    waiting_.Increment(now_waiting - std::exchange(counted_, now_waiting));
  }
  void open_for_reads();
  bool is_fast(const Read& read);

  void give_back(std::unique_ptr<Connection> c);
  void hand_on(std::unique_ptr<Connection> c);
  void forget_one();
  Async<> recycle(std::unique_ptr<Connection> c);
  Async<> open_for_waiters();
  Async<std::unique_ptr<Connection>> open(Deadline deadline);
  Async<Lease> wait_for_one(Deadline deadline);
  Connected take_idle();
  void check_backoff() const;
  void check_breaker();
  void set_away(bool away);
  Async<> expire_away();
  void note_trouble() const {
    if (on_trouble_) on_trouble_();
  }
  void note_timeout();
  Async<> probe();

  async::Loop& loop_;
  const PoolSettings settings_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::list<Waiter*> waiters_;
  std::deque<std::shared_ptr<Read>> reads_;
  bool reads_scheduled_ = false;
  bool leases_turn_ = false;  ///< reads and leases take turns when both wait
  int total_ = 0;             ///< open, opening or on loan
  int opening_ = 0;
  std::shared_ptr<Pool*> self_ = std::make_shared<Pool*>(this);  ///< for what is posted
  async::Backoff backoff_{std::chrono::milliseconds(50), std::chrono::milliseconds(1000)};
  std::chrono::steady_clock::time_point retry_at_{};
  int timeouts_ = 0;           ///< in a row
  bool breaker_open_ = false;  ///< callers are refused
  bool away_ = false;          ///< could not connect just now, or callers are refused
  bool expiring_ = false;
  std::chrono::steady_clock::time_point away_until_{};
  std::function<void()> on_trouble_;
  async::TaskGroup tasks_;

  obs::Metrics& metrics_;
  obs::Gauge& open_gauge_;
  obs::Gauge& in_use_;
  obs::Gauge& waiting_;
  double counted_ = 0;
  obs::Histogram& wait_seconds_;
  obs::Counter& refused_;
  obs::Counter& lost_;
  obs::Gauge& away_gauge_;
  obs::Gauge& memory_gauge_;
  struct Statement {
    obs::Histogram* seconds = nullptr;
    double average = -1;  ///< seconds, of the last dozens of runs; -1: none yet
  };
  std::unordered_map<const char*, Statement> statements_;  ///< by the name's address
};

}  // namespace coditect::pg
