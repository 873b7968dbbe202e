#include "pg/transaction.h"

#include <iterator>

#include "base/check.h"

namespace coditect::pg {
namespace {

void observe(Pool& pool, const std::vector<Command>& commands,
             std::chrono::steady_clock::time_point start) {
  const auto time = std::chrono::steady_clock::now() - start;
  for (const auto& command : commands)
    if (is_named_statement(command)) pool.observe(command.name, time);
}

}  // namespace

std::vector<Command> opening(const Pool& pool, Deadline deadline, bool read_only) {
  std::vector<Command> commands;
  commands.push_back(read_only ? Command{"begin_read", "BEGIN READ ONLY", {}}
                               : Command{"begin", "BEGIN", {}});
  const auto left = remaining(deadline);
  // A fifth of slack: a fresh request does not pay for a setting that changes nothing.
  if (left < pool.settings().statement_timeout * 4 / 5)
    commands.push_back(
        {{},
         "SET LOCAL statement_timeout = " + std::to_string(std::max<std::int64_t>(left.count(), 1)),
         {}});
  return commands;
}

Transaction::Transaction(Pool& pool, Deadline deadline, std::vector<Command> prelude, Guard guard)
    : pool_(&pool),
      deadline_(deadline),
      waiting_(std::move(prelude)),
      prelude_size_(waiting_.size()),
      guard_(std::move(guard)) {}

void Transaction::defer(Command command) {
  CHECK(!over_);
  waiting_.push_back(std::move(command));
}

Async<Connection::Outcome> Transaction::send() {
  if (!lease_) lease_ = co_await pool_->acquire(deadline_);
  const bool first = !std::exchange(begun_, true);
  std::size_t opened = 0;
  if (first) {
    auto commands = opening(*pool_, deadline_, false);
    opened = commands.size();
    std::ranges::move(waiting_, std::back_inserter(commands));
    waiting_ = std::move(commands);
  }
  const auto commands = std::exchange(waiting_, {});
  const auto start = std::chrono::steady_clock::now();
  auto outcome = first ? co_await run_first(commands) : co_await lease_->run(commands, deadline_);
  observe(*pool_, commands, start);
  const auto guarded = opened + prelude_size_;
  if (first && outcome.error && outcome.error->state == "22012" && guard_.refused &&
      outcome.results.size() < guarded)
    co_await refuse();
  if (outcome.error && is_stale(*outcome.error)) lease_->discard();
  if (first && guard_.passed && outcome.results.size() >= guarded) {
    std::vector<Result> prelude;
    for (std::size_t i = opened; i < guarded; ++i) prelude.push_back(std::move(outcome.results[i]));
    guard_.passed(prelude);
  }
  co_return outcome;
}

/// Nothing depends on a first flush yet: when the session turns out to be gone or out of date it is
/// sent once more on another one.
Async<Connection::Outcome> Transaction::run_first(const std::vector<Command>& commands) {
  try {
    auto outcome = co_await lease_->run(commands, deadline_);
    if (!outcome.error || !is_stale(*outcome.error)) co_return outcome;
  } catch (const Failure& f) {  // with COMMIT among the commands it may have happened
    if (over_ || f.error().reason != "database_connection_lost") throw;
  }
  pool_->drop_idle();
  lease_->discard();
  lease_.give_back();
  lease_ = co_await pool_->acquire(deadline_);
  co_return co_await lease_->run(commands, deadline_);
}

Async<> Transaction::refuse() {
  co_await rollback();
  co_await guard_.refused();
  fail(Code::unavailable, "transaction_conflict", "what was refused is allowed by now");
}

Async<std::optional<SqlError>> Transaction::try_flush() {
  CHECK(!over_);
  if (waiting_.empty()) co_return std::nullopt;
  auto outcome = co_await send();
  co_return std::move(outcome.error);
}

Async<> Transaction::flush() {
  if (auto error = co_await try_flush()) throw SqlFailure(std::move(*error));
}

Async<Result> Transaction::run(Command command) {
  defer(std::move(command));
  auto outcome = co_await send();
  if (outcome.error) throw SqlFailure(std::move(*outcome.error));
  co_return std::move(outcome.results.back());
}

Async<> Transaction::commit() {
  if (!begun_ && waiting_.empty()) co_return;
  defer({"commit", "COMMIT", {}});
  over_ = true;
  Connection::Outcome outcome;
  try {
    outcome = co_await send();
  } catch (const Failure& f) {  // told apart: whether COMMIT may have reached the server
    // Nobody can tell whether it happened: say so.
    if (lease_ && lease_->broken())
      throw Failure(
          {Code::unavailable, "commit_outcome_unknown", f.what(), {}, std::chrono::seconds(1)});
    throw;
  }
  if (outcome.error) throw SqlFailure(std::move(*outcome.error));
  // COMMIT of an aborted transaction succeeds, with the tag ROLLBACK.
  if (std::string_view(PQcmdStatus(outcome.results.back().get())) != "COMMIT")
    fail(Code::internal, "transaction_rolled_back", "the server answered COMMIT with ROLLBACK");
  lease_.give_back();
}

Async<> Transaction::rollback() {
  waiting_.clear();
  over_ = true;
  if (!lease_ || lease_->broken()) {
    lease_.give_back();
    co_return;
  }
  const std::vector<Command> commands{{"rollback", "ROLLBACK", {}}};
  co_await lease_->run(commands, after(std::chrono::milliseconds(1000)));
  lease_.give_back();
}

Async<Results> read(Pool& pool, Deadline deadline, std::vector<Command> prelude,
                    std::vector<Command> commands) {
  auto all = opening(pool, deadline, true);
  all.reserve(all.size() + prelude.size() + commands.size() + 1);
  std::ranges::move(prelude, std::back_inserter(all));
  const auto wanted = all.size(), count = commands.size();
  std::ranges::move(commands, std::back_inserter(all));
  all.push_back({"commit", "COMMIT", {}});
  return pool.read(std::move(all), wanted, count, deadline);
}

Async<Result> read(Pool& pool, Deadline deadline, std::vector<Command> prelude, Command command) {
  std::vector<Command> commands;
  commands.push_back(std::move(command));
  auto results = co_await read(pool, deadline, std::move(prelude), std::move(commands));
  co_return std::move(results.front());
}

}  // namespace coditect::pg
