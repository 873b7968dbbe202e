#include "pg/pool.h"

#include "base/check.h"
#include "obs/log.h"

namespace coditect::pg {
namespace {

[[noreturn]] void busy(std::string detail) {
  throw Failure(
      {Code::unavailable, "database_busy", std::move(detail), {}, std::chrono::seconds(1)});
}

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
                            {{"pool", name}})) {}

Pool::~Pool() = default;

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
  try {
    auto c = co_await Connection::open(loop_, settings_.conninfo,
                                       std::min(deadline, after(settings_.connect_timeout)));
    const auto session = [](const char* name, std::chrono::milliseconds value) {
      return Command{{}, "SET " + std::string(name) + " = " + std::to_string(value.count()), {}};
    };
    const std::vector<Command> settings{
        session("statement_timeout", settings_.statement_timeout),
        session("idle_in_transaction_session_timeout", settings_.statement_timeout * 3),
        // The server notices within a second that an abandoned statement has no reader.
        session("client_connection_check_interval", std::chrono::milliseconds(1000)),
    };
    const auto outcome =
        co_await c->run(settings, std::min(deadline, after(settings_.connect_timeout)));
    if (outcome.error) throw SqlFailure(*outcome.error);
    backoff_.reset();
    retry_at_ = {};
    open_gauge_.Increment();
    --opening_;
    co_return c;
  } catch (...) {  // counts the failure and passes it on
    --total_;
    --opening_;
    retry_at_ = std::chrono::steady_clock::now() + backoff_.next();
    throw;
  }
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

Async<Lease> Pool::acquire(Deadline deadline) {
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
    c.reset();
    forget_one();
  } else if (c->idle()) {
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
