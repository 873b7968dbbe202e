#pragma once
#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "async/async.h"
#include "async/loop.h"
#include "async/watchdog.h"
#include "pg/codec.h"

namespace coditect::pg {

/// The text of a command: static, or its own.
class Sql {
 public:
  Sql(const char* with_static_storage) : text_(with_static_storage) {}
  Sql(std::string text) : own_(std::move(text)) {}

  const char* c_str() const { return text_ != nullptr ? text_ : own_.c_str(); }

 private:
  const char* text_ = nullptr;
  std::string own_;
};

/// One command of a flush. A named one is prepared once per connection; the name must be a literal
/// and always stand for the same text.
struct Command {
  std::string_view name;
  Sql sql;
  Params params;
};

/// What the server said of a command that failed. For logs and for branching on the state; never
/// for users.
struct SqlError {
  std::string state;       ///< SQLSTATE, five characters
  std::string constraint;  ///< may be empty; without the suffix of Citus's shards
  std::string message;

  /// From what the server's error has in these fields.
  static SqlError of(std::string state, std::string constraint, std::string message);
};

/// Whether a second try on a fresh connection may cure it; it changed nothing.
bool worth_a_retry(const SqlError& e);
/// A statement that was prepared before another program changed the schema, or planned before Citus
/// replaced a shard: a fresh connection does it anew. (57P01 and 08006 with a live session are
/// Citus's: the worker behind this server is away, this connection is as good as before.)
bool is_stale(const SqlError& e);
/// Whether it is a caller's statement ("projects.get"), not one of the transaction ("begin").
bool is_named_statement(const Command& command);

/// An SqlError that ends the unit of work, as the Code that fits its state.
class SqlFailure : public Failure {
 public:
  explicit SqlFailure(SqlError e);
  const SqlError& sql() const noexcept { return sql_; }

 private:
  SqlError sql_;
};

/// The one place where an SQLSTATE becomes an Error.
Error error_of(const SqlError& e);

/// A libpq connection in pipeline mode on one loop. One caller at a time.
class Connection : private async::Watchdog::Entry {
 public:
  /// `conninfo` as for PQconnectdb: a URL or key=value pairs, sslmode included.
  static Async<std::unique_ptr<Connection>> open(async::Loop& loop, std::string conninfo,
                                                 Deadline deadline);
  ~Connection() override;

  struct Outcome {
    std::vector<Result> results;  ///< of the commands before the first that failed
    std::optional<SqlError> error;
  };

  /// Sends the commands in one flush and reads all answers. After an error the server skips the
  /// rest, and an open transaction waits for a ROLLBACK. Throws `database_connection_lost`, or
  /// `database_timeout` when the deadline passes; the connection is broken then.
  Async<Outcome> run(std::span<const Command> commands, Deadline deadline);
  /// The same for commands that lie in several places.
  Async<Outcome> run(std::vector<const Command*> commands, Deadline deadline);

  /// Waits for a NOTIFY; the payloads that have come, none when the deadline has passed.
  Async<std::vector<std::string>> notifications(Deadline deadline);

  bool broken() const { return broken_; }
  /// Whether it broke because no answer came before the deadline.
  bool timed_out() const { return broken_ && expired_; }
  /// Makes the pool close it instead of keeping it.
  void discard() { broken_ = true; }
  /// Whether no transaction is open.
  bool idle() const;
  std::chrono::steady_clock::time_point opened_at() const { return opened_at_; }
  int backend_pid() const { return PQbackendPID(conn_.get()); }

 private:
  explicit Connection(async::Loop& loop);
  void on_deadline() override;
  void send(const Command& command);
  Async<> wait(async::Ready what);
  void watch_socket();
  [[noreturn]] void lost(std::string_view where);

  struct Finish {
    void operator()(PGconn* c) const { PQfinish(c); }
  };
  std::unique_ptr<PGconn, Finish> conn_;
  asio::posix::stream_descriptor socket_;
  std::unordered_set<std::string_view> prepared_;
  std::vector<std::string_view> prepares_;  ///< of the flush: the name prepared first, or empty
  std::chrono::steady_clock::time_point opened_at_;
  bool broken_ = false;
  bool expired_ = false;
  bool connected_ = false;
};

}  // namespace coditect::pg
