#pragma once
#include <functional>
#include <string>
#include <vector>

#include "pg/pool.h"

namespace coditect::pg {

/// One transaction on a pooled connection. Nothing is sent before the first run(), flush() or
/// commit(), which sends BEGIN, the prelude and all deferred commands in one flush. COMMIT travels
/// with the commands that wait for it: the server skips it after an error. Commit is explicit; a
/// transaction that goes out of scope is rolled back.
class Transaction {
 public:
  /// What the prelude guards. A guard is a command that fails with SQLSTATE 22012
  /// (division_by_zero) when the transaction must not happen: the server then skips all that
  /// follows, COMMIT included, without a round trip to ask first.
  struct Guard {
    /// Sees the prelude's results once they are there.
    std::function<void(const std::vector<Result>& prelude)> passed;
    /// Finds out why and throws; runs after the ROLLBACK. When it finds nothing any more, the
    /// transaction fails as a conflict that may be tried again.
    std::function<Async<>()> refused;
  };

  /// `prelude`: commands after BEGIN, e.g. SET LOCAL.
  Transaction(Pool& pool, Deadline deadline, std::vector<Command> prelude, Guard guard = {});
  Transaction(Transaction&&) = default;

  /// Sends the command with the next flush; its result is checked for errors, then dropped.
  void defer(Command command);
  /// Sends all deferred commands and this one; its result. Throws SqlFailure on the first error.
  Async<Result> run(Command command);
  /// Sends the deferred commands, if any. Throws SqlFailure on the first error.
  Async<> flush();
  /// As flush(), but an SQL error is a value.
  Async<std::optional<SqlError>> try_flush();

  /// Commits. Only the server's tag COMMIT counts. Throws `commit_outcome_unknown` when the
  /// connection or the time is lost after it was sent.
  Async<> commit();
  Async<> rollback();

  Deadline deadline() const { return deadline_; }

 private:
  Async<Connection::Outcome> send();
  Async<Connection::Outcome> run_first(const std::vector<Command>& commands);
  Async<> refuse();

  Pool* pool_;
  Deadline deadline_;
  Lease lease_;
  std::vector<Command> waiting_;
  std::size_t prelude_size_;
  Guard guard_;
  bool begun_ = false;
  bool over_ = false;
};

/// Reads in one flush: BEGIN, prelude, commands, COMMIT; the commands' results. See Pool::read().
Async<Results> read(Pool& pool, Deadline deadline, std::vector<Command> prelude,
                    std::vector<Command> commands);
/// The same for one command.
Async<Result> read(Pool& pool, Deadline deadline, std::vector<Command> prelude, Command command);

/// The commands that open a transaction: BEGIN, and SET LOCAL statement_timeout when the deadline
/// is nearer than the session's own timeout.
std::vector<Command> opening(const Pool& pool, Deadline deadline, bool read_only);

}  // namespace coditect::pg
