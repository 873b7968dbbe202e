#include <algorithm>
#include <ranges>

#include "obs/log.h"
#include "pg/pool.h"

namespace coditect::pg {
namespace {

using namespace std::chrono_literals;

/// Transactions of one flush. A flush is answered as a whole, so more would only add waiting.
constexpr std::size_t kMost = 32;
/// Below this many a flush is filled before the next idle connection is woken.
constexpr std::size_t kWorthSharing = 32;
/// Statements that take longer on average get a flush of their own.
constexpr double kFastSeconds = 0.001;
/// After this time the others of a flush start anew elsewhere.
constexpr auto kPatience = 30ms;

}  // namespace

/// A transaction that waits, runs or is over. Its commands stay until the end, for a second try.
struct Pool::Read : async::Watchdog::Entry {
  Read(async::Loop& loop, std::vector<Command> c, std::size_t w, std::size_t n, Deadline d)
      : Entry(loop.watchdog()),
        commands(std::move(c)),
        wanted(w),
        count(n),
        deadline(d),
        asked(std::chrono::steady_clock::now()) {}

  void finish(std::span<Result> all) {
    if (done.is_set()) return;  // the other of two tries was faster
    for (auto& r : all) results.push_back(std::move(r));
    done.set();
  }
  void finish(std::exception_ptr why) {
    if (done.is_set()) return;
    failure = std::move(why);
    done.set();
  }
  void on_deadline() override {
    if (running > 0) return;
    shed = true;
    finish(std::make_exception_ptr(Failure({Code::unavailable,
                                            "database_busy",
                                            "no connection came free in time",
                                            {},
                                            std::chrono::seconds(1)})));
  }
  void wait_alone(const PoolSettings& settings) {
    alone = true;
    arm(std::min(deadline, after(settings.max_wait)));
  }
  /// The last of those wanted: what comes before it is small.
  const Command& statement() const { return commands[wanted + count - 1]; }

  std::vector<Command> commands;
  std::size_t wanted, count;
  Deadline deadline;
  std::chrono::steady_clock::time_point asked;
  int tries = 0;
  int running = 0;     ///< flushes it is part of: two after it was started anew
  bool alone = false;  ///< its next flush is its own
  bool shed = false;   ///< given up because no connection came free
  async::Signal done;
  Results results;
  std::exception_ptr failure;
};

/// A flush under way. When it takes too long, all of it is started anew, each alone: nobody can see
/// which of them is the slow one.
struct Pool::Batch : async::Watchdog::Entry {
  Batch(Pool& p, const Reads& r) : Entry(p.loop_.watchdog()), pool(p), reads(r) {
    if (reads.size() > 1) arm(after(kPatience));
  }
  void on_deadline() override {
    // In the other order: the slow one, if it was the first, is not the first again.
    for (const auto& read : std::views::reverse(reads)) {
      if (read->done.is_set()) continue;
      read->wait_alone(pool.settings_);
      pool.reads_.push_back(read);
    }
    pool.schedule_reads();
  }
  Pool& pool;
  const Reads& reads;
};

Async<Results> Pool::read(std::vector<Command> commands, std::size_t wanted, std::size_t count,
                          Deadline deadline) {
  check_breaker();
  if (std::ssize(reads_) >= settings_.queue && idle_.empty()) {
    refused_.Increment();
    throw Failure({Code::unavailable,
                   "database_busy",
                   "the queue for a connection is full",
                   {},
                   std::chrono::seconds(1)});
  }
  const auto read = std::make_shared<Read>(loop_, std::move(commands), wanted, count, deadline);
  read->arm(std::min(deadline, after(settings_.max_wait)));
  reads_.push_back(read);
  schedule_reads();
  count_waiting();
  co_await read->done.wait();
  if (read->shed) refused_.Increment();
  if (!read->done.is_set()) {  // the caller is being cancelled
    read->done.set();
    throw boost::system::system_error(asio::error::operation_aborted);
  }
  if (read->failure) std::rethrow_exception(read->failure);
  co_return std::move(read->results);
}

/// Once for all reads that the handlers of this round of the loop ask for.
void Pool::schedule_reads() {
  if (std::exchange(reads_scheduled_, true)) return;
  asio::post(loop_.io(), [self = std::weak_ptr<Pool*>(self_)] {
    const auto pool = self.lock();
    if (!pool) return;
    (*pool)->reads_scheduled_ = false;
    (*pool)->start_reads();
  });
}

void Pool::start_reads() {
  for (;;) {
    std::erase_if(reads_, [](const auto& read) { return read->done.is_set(); });
    count_waiting();
    if (reads_.empty()) return;
    auto c = take_idle();
    if (!c) break;
    in_use_.Increment();
    auto batch = next_batch();
    tasks_.spawn("reads", run_batch(std::move(c), std::move(batch)));
  }
  open_for_reads();
}

/// As many connections as the waiting reads can use, and the pool may have.
void Pool::open_for_reads() {
  const int useful =
      static_cast<int>((reads_.size() + waiters_.size() + kWorthSharing - 1) / kWorthSharing);
  if (total_ < settings_.size && opening_ < useful) {
    try {
      check_backoff();
    } catch (const Failure& f) {  // it is these reads' failure when nothing else can serve them
      if (total_ == 0) refuse_reads(f.error());
      return;
    }
    for (int n = std::min(useful - opening_, settings_.size - total_); n > 0; --n)
      tasks_.spawn("open a database connection", open_for_waiters());
  }
}

bool Pool::is_fast(const Read& read) {
  if (read.alone || !is_named_statement(read.statement())) return false;
  const auto known = statements_.find(read.statement().name.data());
  return known != statements_.end() && known->second.average >= 0 &&
         known->second.average < kFastSeconds;
}

Pool::Reads Pool::next_batch() {
  const auto sharing = idle_.size() + 1;
  const auto fair = (reads_.size() + sharing - 1) / sharing;
  const auto size = std::clamp(fair, kWorthSharing, kMost);
  Reads batch;
  while (!reads_.empty() && batch.size() < size) {
    auto& next = reads_.front();
    const bool fast = is_fast(*next);
    if (!batch.empty() && !fast) break;
    batch.push_back(std::move(next));
    reads_.pop_front();
    if (!fast) break;
  }
  return batch;
}

Async<> Pool::run_batch(Connected c, Reads reads) {
  Lease lease(*this, std::move(c));
  std::vector<const Command*> commands;
  auto deadline = Deadline::max();
  const auto start = std::chrono::steady_clock::now();
  for (const auto& read : reads) {
    for (const auto& command : read->commands) commands.push_back(&command);
    deadline = std::min(deadline, read->deadline);
    ++read->running;
    ++read->tries;
    wait_seconds_.Observe(std::chrono::duration<double>(start - read->asked).count());
  }
  Batch batch(*this, reads);
  std::exception_ptr lost;
  try {
    auto outcome = co_await lease->run(std::move(commands), deadline);
    settle(reads, outcome);
    if (outcome.error && is_stale(*outcome.error)) {
      drop_idle();  // the schema changed under all of them
      lease->discard();
    }
  } catch (const Failure& f) {  // of the connection: reads may be repeated on another one
    lost = std::current_exception();
    if (f.error().reason == "database_connection_lost") drop_idle();
  }
  const auto time = (std::chrono::steady_clock::now() - start) / reads.size();
  for (const auto& read : reads) {
    --read->running;
    if (is_named_statement(read->statement())) observe(read->statement().name, time);
    if (lost) again(read, lost);
  }
}

/// Gives each read its result. The server skips what follows an error up to the end of the flush:
/// the one with the error gets it, the rest run again.
void Pool::settle(const Reads& reads, Connection::Outcome& outcome) {
  std::size_t at = 0;
  bool failed = false;
  for (const auto& read : reads) {
    const auto end = at + read->commands.size();
    if (end <= outcome.results.size()) {
      read->finish(std::span(outcome.results).subspan(at + read->wanted, read->count));
    } else {
      const auto why = std::make_exception_ptr(SqlFailure(*outcome.error));
      if (std::exchange(failed, true)) {
        --read->tries;
        again(read, why);
      } else if (worth_a_retry(*outcome.error)) {
        again(read, why);
      } else {
        read->finish(why);
      }
    }
    at = end;
  }
}

/// A read whose flush came to nothing: once more, alone, unless it was the second time.
void Pool::again(const std::shared_ptr<Read>& read, const std::exception_ptr& why) {
  if (read->done.is_set()) return;
  if (remaining(read->deadline).count() == 0 || read->tries > 1) {
    read->finish(why);
    return;
  }
  if (std::ranges::find(reads_, read) != reads_.end()) return;  // it was started anew already
  read->wait_alone(settings_);
  reads_.push_front(read);
  schedule_reads();
}

void Pool::refuse_reads(const Error& why) {
  for (const auto& read : std::exchange(reads_, {}))
    read->finish(std::make_exception_ptr(Failure(why)));
}

}  // namespace coditect::pg
