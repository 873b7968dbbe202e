#pragma once
#include <string>
#include <vector>

#include "pg/pool.h"

namespace coditect::pg {

/// One transaction on a pooled connection. Nothing is sent before the first run() or flush(), which
/// sends BEGIN, the prelude and all deferred commands in one flush. Commit is explicit; a
/// transaction that goes out of scope is rolled back.
class Transaction {
 public:
  /// Looks at the prelude's results before anything else does; throws to refuse the transaction.
  using Inspect = void (*)(const std::vector<Result>& prelude);

  /// `prelude`: commands after BEGIN, e.g. SET LOCAL.
  Transaction(Pool& pool, Deadline deadline, std::vector<Command> prelude,
              Inspect inspect = nullptr);
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

  Pool* pool_;
  Deadline deadline_;
  Lease lease_;
  std::vector<Command> waiting_;
  std::size_t prelude_size_;
  Inspect inspect_;
  bool begun_ = false;
  bool over_ = false;
};

/// One read in one flush: BEGIN, prelude, command, COMMIT. Repeated once on a new connection when
/// the connection was lost or the server asks for a retry. Throws SqlFailure.
Async<Result> read(Pool& pool, Deadline deadline, std::vector<Command> prelude, Command command);

/// The commands that open a transaction: BEGIN, and SET LOCAL statement_timeout when the deadline
/// is nearer than the session's own timeout.
std::vector<Command> opening(const Pool& pool, Deadline deadline, bool read_only);

}  // namespace coditect::pg
