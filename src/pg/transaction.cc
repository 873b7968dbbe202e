#include "pg/transaction.h"

#include <iterator>

#include "base/check.h"

namespace coditect::pg {
namespace {

/// A failure that a second try on a fresh connection may cure, and that changed nothing.
bool worth_a_retry(const SqlError& e) {
  return e.state.starts_with("40") || e.state == "26000" || e.state == "57P01" ||
         e.state == "57P02" || (e.state == "0A000" && e.message.contains("cached plan"));
}

void observe(Pool& pool, const std::vector<Command>& commands,
             std::chrono::steady_clock::time_point start) {
  const auto time = std::chrono::steady_clock::now() - start;
  for (const auto& command : commands)
    if (!command.name.empty() && command.name.contains('.')) pool.observe(command.name, time);
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

Transaction::Transaction(Pool& pool, Deadline deadline, std::vector<Command> prelude,
                         Inspect inspect)
    : pool_(&pool),
      deadline_(deadline),
      waiting_(std::move(prelude)),
      prelude_size_(waiting_.size()),
      inspect_(inspect) {}

void Transaction::defer(Command command) {
  CHECK(!over_);
  waiting_.push_back(std::move(command));
}

Async<Connection::Outcome> Transaction::send() {
  CHECK(!over_);
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
  auto outcome = co_await lease_->run(commands, deadline_);
  observe(*pool_, commands, start);
  if (outcome.error && worth_a_retry(*outcome.error) && !outcome.error->state.starts_with("40"))
    lease_->discard();
  if (first && inspect_ != nullptr && outcome.results.size() >= opened + prelude_size_) {
    std::vector<Result> prelude;
    for (std::size_t i = 0; i < prelude_size_; ++i)
      prelude.push_back(std::move(outcome.results[opened + i]));
    inspect_(prelude);
  }
  co_return outcome;
}

Async<std::optional<SqlError>> Transaction::try_flush() {
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
  co_await flush();
  over_ = true;
  if (!begun_) co_return;
  const std::vector<Command> commands{{"commit", "COMMIT", {}}};
  Connection::Outcome outcome;
  try {
    outcome = co_await lease_->run(commands, deadline_);
  } catch (const Failure& f) {  // nobody can tell whether it happened: say so
    throw Failure(
        {Code::unavailable, "commit_outcome_unknown", f.what(), {}, std::chrono::seconds(1)});
  }
  if (outcome.error) throw SqlFailure(std::move(*outcome.error));
  // COMMIT of an aborted transaction succeeds, with the tag ROLLBACK.
  if (std::string_view(PQcmdStatus(outcome.results.front().get())) != "COMMIT")
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

Async<Result> read(Pool& pool, Deadline deadline, std::vector<Command> prelude, Command command) {
  auto commands = opening(pool, deadline, true);
  std::ranges::move(prelude, std::back_inserter(commands));
  const auto wanted = commands.size();
  commands.push_back(std::move(command));
  commands.push_back({"commit", "COMMIT", {}});
  for (int attempt = 1;; ++attempt) {
    auto lease = co_await pool.acquire(deadline);
    const auto start = std::chrono::steady_clock::now();
    bool lost = false;
    try {
      auto outcome = co_await lease->run(commands, deadline);
      observe(pool, commands, start);
      if (!outcome.error) co_return std::move(outcome.results[wanted]);
      if (attempt > 1 || !worth_a_retry(*outcome.error))
        throw SqlFailure(std::move(*outcome.error));
      // A new connection has no stale statement.
      if (!outcome.error->state.starts_with("40")) lost = true;
    } catch (const SqlFailure&) {
      throw;
    } catch (const Failure& f) {  // a read may be repeated: branch on the reason
      if (attempt > 1 || f.error().reason != "database_connection_lost") throw;
      lost = true;
    }
    if (lost) pool.drop_idle();
    if (lost) lease->discard();
  }
}

}  // namespace coditect::pg
