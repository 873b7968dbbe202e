#include "pg/pool.h"

#include "base/check.h"
#include "obs/log.h"

namespace coditect::pg {
namespace {

[[noreturn]] void busy(std::string detail) {
  throw Failure(
      {Code::unavailable, "database_busy", std::move(detail), {}, std::chrono::seconds(1)});
}

constexpr auto kProbeEvery = std::chrono::milliseconds(250);
const Command kMemory{
    {}, "SELECT sum(total_bytes)::bigint FROM pg_catalog.pg_backend_memory_contexts", {}};

}  // namespace

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    give_back();
    pool_ = other.pool_;
    connection_ = std::move(other.connection_);
  }
  return *this;
}

Lease::~Lease() { give_back(); }

void Lease::give_back() {
  if (connection_) pool_->give_back(std::move(connection_));
}

Pool::Pool(async::Loop& loop, PoolSettings settings, obs::Metrics& metrics, const std::string& name)
    : loop_(loop),
      settings_(std::move(settings)),
      tasks_(loop.io()),
      metrics_(metrics),
      open_gauge_(metrics.gauge("coditect_db_connections", "Open connections", {{"pool", name}})),
      in_use_(
          metrics.gauge("coditect_db_connections_in_use", "Connections on loan", {{"pool", name}})),
      waiting_(metrics.gauge("coditect_db_waiting", "Callers that wait for a connection",
                             {{"pool", name}})),
      wait_seconds_(
          metrics.seconds("coditect_db_wait_seconds", "Wait for a connection", {{"pool", name}})),
      refused_(metrics.counter("coditect_db_refused_total",
                               "Callers refused because the pool was busy", {{"pool", name}})),
      lost_(metrics.counter("coditect_db_lost_total", "Connections lost or abandoned",
                            {{"pool", name}})),
      away_gauge_(metrics.gauge("coditect_db_away",
                                "Loops that cannot connect, or refuse callers because the server "
                                "does not answer",
                                {{"pool", name}})),
      memory_gauge_(metrics.gauge("coditect_db_backend_memory_bytes",
                                  "The most memory of a server process, when last looked at",
                                  {{"pool", name}})) {}

Pool::~Pool() { set_away(false); }

Async<> Pool::stop() {
  co_await tasks_.stop();
  drop_idle();
}

void Pool::drop_idle() {
  total_ -= static_cast<int>(idle_.size());
  open_gauge_.Decrement(static_cast<double>(idle_.size()));
  idle_.clear();
}

void Pool::observe(std::string_view statement, std::chrono::steady_clock::duration time) {
  auto& known = statements_[statement.data()];
  if (known.seconds == nullptr)
    known.seconds =
        &metrics_.seconds("coditect_db_statement_seconds", "Flush that held the statement",
                          {{"statement", std::string(statement)}});
  const double seconds = std::chrono::duration<double>(time).count();
  known.seconds->Observe(seconds);
  known.average = known.average < 0 ? seconds : known.average + (seconds - known.average) / 32;
}

Async<std::unique_ptr<Connection>> Pool::open(Deadline deadline) {
  ++total_;
  ++opening_;
  const auto started = std::chrono::steady_clock::now();
  try {
    auto c = co_await Connection::open(loop_, settings_.conninfo,
                                       std::min(deadline, after(settings_.connect_timeout)));
    const auto session = [](const char* name, std::chrono::milliseconds value) {
      return Command{{}, "SET " + std::string(name) + " = " + std::to_string(value.count()), {}};
    };
    std::vector<Command> settings{
        session("statement_timeout", settings_.statement_timeout),
        session("idle_in_transaction_session_timeout", settings_.statement_timeout * 3),
        // The server notices within a second that an abandoned statement has no reader.
        session("client_connection_check_interval", std::chrono::milliseconds(1000)),
    };
    for (const auto& [name, value] : settings_.parameters)
      settings.push_back({{}, "SET " + name + " = '" + value + "'", {}});
    const auto outcome =
        co_await c->run(settings, std::min(deadline, after(settings_.connect_timeout)));
    if (outcome.error) throw SqlFailure(*outcome.error);
    backoff_.reset();
    retry_at_ = {};
    set_away(false);
    open_gauge_.Increment();
    --opening_;
    co_return c;
  } catch (...) {  // counts the failure and passes it on
    --total_;
    --opening_;
    retry_at_ = std::chrono::steady_clock::now() + backoff_.next();
    set_away(true);
    note_trouble();
    if (std::chrono::steady_clock::now() - started >= settings_.connect_timeout) note_timeout();
    throw;
  }
}

/// The gauge is the sum of all loops' pools.
void Pool::set_away(bool away) {
  if (away) away_until_ = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  if (std::exchange(away_, away) == away) return;
  away_gauge_.Increment(away ? 1 : -1);
  if (away && !tasks_.stopping() && !std::exchange(expiring_, true))
    tasks_.spawn("away for a moment", expire_away());
}

/// A failure counts for ten seconds: who is not asked again, as a worker that was replaced, is not
/// away for ever.
Async<> Pool::expire_away() {
  while (away_ && (breaker_open_ || std::chrono::steady_clock::now() < away_until_))
    co_await async::sleep_for(std::chrono::milliseconds(500));
  expiring_ = false;
  set_away(false);
}

std::unique_ptr<Connection> Pool::take_idle() {
  while (!idle_.empty()) {
    auto c = std::move(idle_.back());
    idle_.pop_back();
    if (std::chrono::steady_clock::now() - c->opened_at() < settings_.max_lifetime) return c;
    --total_;
    open_gauge_.Decrement();
  }
  return nullptr;
}

void Pool::check_backoff() const {
  if (std::chrono::steady_clock::now() < retry_at_)
    throw Failure({Code::unavailable,
                   "database_connection_lost",
                   "waiting before the next try",
                   {},
                   std::chrono::seconds(1)});
}

/// A server that takes statements and answers none costs every caller its whole deadline: after a
/// few of them nobody is let near it, until a connection of the pool's own gets an answer.
void Pool::check_breaker() {
  if (!breaker_open_) return;
  refused_.Increment();
  throw Failure({Code::unavailable,
                 "database_unavailable",
                 "the server does not answer",
                 {},
                 std::chrono::seconds(1)});
}

void Pool::note_timeout() {
  if (settings_.breaker_after == 0 || ++timeouts_ < settings_.breaker_after || breaker_open_ ||
      tasks_.stopping())
    return;
  breaker_open_ = true;
  set_away(true);
  obs::log(obs::Level::warn, "the database does not answer; its callers are refused",
           {{"statements", timeouts_}});
  drop_idle();
  const Error why{Code::unavailable,
                  "database_unavailable",
                  "the server does not answer",
                  {},
                  std::chrono::seconds(1)};
  refuse_reads(why);
  for (Waiter* waiter : std::exchange(waiters_, {})) {
    waiter->refused = true;
    waiter->timer.cancel();
  }
  tasks_.spawn("database probe", probe());
}

Async<> Pool::probe() {
  for (;;) {
    co_await async::sleep_for(kProbeEvery);
    try {
      auto c = co_await open(after(settings_.connect_timeout));
      timeouts_ = 0;
      breaker_open_ = false;
      obs::log(obs::Level::info, "the database answers again");
      hand_on(std::move(c));
      co_return;
    } catch (const Failure&) {  // not yet
    }
  }
}

Async<int> Pool::shed_memory(std::int64_t most_bytes, Deadline deadline) {
  int closed = 0;
  std::int64_t most_seen = 0;
  for (auto left = idle_.size(); left > 0 && !idle_.empty(); --left) {
    auto c = std::move(idle_.front());  // the one unused for the longest time
    idle_.erase(idle_.begin());
    in_use_.Increment();
    Lease lease(*this, std::move(c));
    const auto outcome = co_await lease->run(std::span(&kMemory, 1), deadline);
    if (outcome.error) throw SqlFailure(*outcome.error);
    const auto bytes = decode_row<std::int64_t>(outcome.results.front().get(), 0);
    most_seen = std::max(most_seen, bytes);
    if (bytes <= most_bytes) continue;
    lease->discard();
    ++closed;
  }
  memory_gauge_.Set(static_cast<double>(most_seen));
  co_return closed;
}

Async<Lease> Pool::acquire(Deadline deadline) {
  check_breaker();
  const auto asked = std::chrono::steady_clock::now();
  Lease lease;
  if (auto c = take_idle()) {
    lease = Lease(*this, std::move(c));
  } else if (total_ < settings_.size) {
    check_backoff();
    lease = Lease(*this, co_await open(deadline));
  } else {
    lease = co_await wait_for_one(deadline);
  }
  in_use_.Increment();
  wait_seconds_.Observe(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count());
  co_return lease;
}

Async<Lease> Pool::wait_for_one(Deadline deadline) {
  if (static_cast<int>(waiters_.size()) >= settings_.queue) {
    refused_.Increment();
    busy("the queue for a connection is full");
  }
  Waiter waiter(loop_.io());
  const auto place = waiters_.insert(waiters_.end(), &waiter);
  count_waiting();
  waiter.timer.expires_at(std::min(deadline, after(settings_.max_wait)));
  boost::system::error_code ec;
  try {
    co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
  } catch (...) {  // the waiting work was cancelled: leave the queue, then pass it on
    if (waiter.given)
      hand_on(std::move(waiter.given));
    else if (!waiter.refused)
      waiters_.erase(place);
    count_waiting();
    throw;
  }
  count_waiting();
  if (waiter.given) co_return Lease(*this, std::move(waiter.given));
  if (waiter.refused)
    throw Failure({Code::unavailable,
                   "database_connection_lost",
                   "the server is away",
                   {},
                   std::chrono::seconds(1)});
  waiters_.erase(place);
  count_waiting();
  refused_.Increment();
  busy("no connection came free in time");
}

void Pool::hand_on(std::unique_ptr<Connection> c) {
  leases_turn_ = !leases_turn_;
  if (waiters_.empty() || (!reads_.empty() && !leases_turn_)) {
    idle_.push_back(std::move(c));
    if (!reads_.empty()) start_reads();
    return;
  }
  Waiter* first = waiters_.front();
  waiters_.pop_front();
  first->given = std::move(c);
  first->timer.cancel();
}

void Pool::forget_one() {
  --total_;
  lost_.Increment();
  open_gauge_.Decrement();
  if (!waiters_.empty() || !reads_.empty())
    tasks_.spawn("open a database connection", open_for_waiters());
}

void Pool::give_back(std::unique_ptr<Connection> c) {
  in_use_.Decrement();
  if (c->broken()) {
    const bool timed_out = c->timed_out();
    c.reset();
    forget_one();
    note_trouble();
    if (timed_out) note_timeout();
  } else if (c->idle()) {
    timeouts_ = 0;
    if (!breaker_open_) set_away(false);
    hand_on(std::move(c));
  } else if (tasks_.stopping()) {
    c.reset();
    forget_one();
  } else {
    tasks_.spawn("roll back", recycle(std::move(c)));
  }
}

Async<> Pool::recycle(std::unique_ptr<Connection> c) {
  const std::vector<Command> rollback{{{}, "ROLLBACK", {}}};
  try {
    co_await c->run(rollback, after(std::chrono::milliseconds(1000)));
  } catch (const Failure&) {  // then it is broken, which is looked at next
  }
  if (!c->idle()) {
    c.reset();
    forget_one();
  } else {
    hand_on(std::move(c));
  }
}

Async<> Pool::open_for_waiters() {
  if ((waiters_.empty() && reads_.empty()) || total_ >= settings_.size) co_return;
  try {
    hand_on(co_await open(after(settings_.connect_timeout)));
  } catch (const Failure& f) {  // nobody awaits this task: the waiters get the outcome
    obs::log(obs::Level::warn, "cannot connect to the database", {{"error", f.what()}});
    if (total_ > 0) co_return;
    refuse_reads(f.error());
    for (Waiter* waiter : std::exchange(waiters_, {})) {
      waiter->refused = true;
      waiter->timer.cancel();
    }
  }
}

}  // namespace coditect::pg
