#include "pg/connection.h"

#include "base/bytes.h"
#include "base/check.h"
#include "obs/log.h"

namespace coditect::pg {
namespace {

/// Citus names constraints of shards: "projects_pkey_102045".
std::string without_shard_suffix(std::string name) {
  const auto digits = name.find_last_not_of("0123456789");
  if (digits != name.npos && digits + 4 < name.size() && name[digits] == '_') name.resize(digits);
  return name;
}

SqlError sql_error(const PGresult* r) {
  const auto field = [r](int code) {
    const char* text = PQresultErrorField(r, code);
    return std::string(text != nullptr ? text : "");
  };
  return SqlError::of(field(PG_DIAG_SQLSTATE), field(PG_DIAG_CONSTRAINT_NAME),
                      field(PG_DIAG_MESSAGE_PRIMARY));
}

void on_notice(void*, const PGresult* r) {
  const auto e = sql_error(r);
  // Citus has committed on the other workers: recover_prepared_transactions() does the rest, and
  // until then a read may find the old row.
  const bool half = e.message.starts_with("failed to commit transaction");
  obs::log(half ? obs::Level::warn : obs::Level::debug,
           half ? "a worker is behind with a commit" : "database notice",
           {{"state", e.state}, {"text", e.message}});
}

}  // namespace

SqlError SqlError::of(std::string state, std::string constraint, std::string message) {
  // An error that Citus passes on from a worker has no fields, only its text.
  constexpr std::string_view kBefore = "constraint \"";
  if (const auto at = message.rfind(kBefore);
      constraint.empty() && state.starts_with("23") && at != message.npos) {
    const auto start = at + kBefore.size();
    constraint = message.substr(start, message.find('"', start) - start);
  }
  return {std::move(state), without_shard_suffix(std::move(constraint)), std::move(message)};
}

namespace {

Error classify(const SqlError& e) {
  const std::string_view state = e.state;
  const auto kind = state.substr(0, 2);
  const auto detail = e.state + " " + e.message;
  const auto soon = std::chrono::seconds(1);
  if (state == "57014") return {Code::deadline_exceeded, "database_timeout", detail};
  if (kind == "40" || is_stale(e))
    return {Code::unavailable, "transaction_conflict", detail, {}, soon};
  if (state == "55P03") return {Code::unavailable, "database_lock_timeout", detail, {}, soon};
  if (kind == "08" || kind == "53" || kind == "57" || kind == "58" || state == "25P03" ||
      state == "25006")
    return {Code::unavailable, "database_unavailable", detail, {}, soon};
  // COMMIT through Citus on one worker: it may have happened there before the connection went.
  if (state == "XX000" && e.message.starts_with("could not commit transaction"))
    return {Code::unavailable, "commit_outcome_unknown", detail, {}, soon};
  if (state == "23505") return {Code::conflict, "already_exists", detail};
  if (state == "23503") return {Code::conflict, "reference_not_found", detail};
  return {Code::internal, "database_error", detail};
}

}  // namespace

Error error_of(const SqlError& e) {
  auto error = classify(e);
  error.detail_is_private = true;  // Citus's texts carry hosts and shard names
  return error;
}

bool is_stale(const SqlError& e) {
  return e.state == "26000" || (e.state == "0A000" && e.message.contains("cached plan")) ||
         (e.state == "XX000" && e.message.starts_with("could not find valid entry for shard"));
}

bool worth_a_retry(const SqlError& e) {
  return e.state.starts_with("40") || is_stale(e) || e.state == "57P01" || e.state == "57P02";
}

bool is_named_statement(const Command& command) { return command.name.contains('.'); }

SqlFailure::SqlFailure(SqlError e) : Failure(error_of(e)), sql_(std::move(e)) {}

Connection::Connection(async::Loop& loop) : Entry(loop.watchdog()), socket_(loop.io()) {}

Connection::~Connection() {
  if (socket_.is_open()) socket_.release();  // libpq owns the descriptor
}

void Connection::on_deadline() {
  expired_ = true;
  socket_.cancel();
}

void Connection::watch_socket() {
  const int descriptor = PQsocket(conn_.get());
  if (socket_.is_open() && socket_.native_handle() == descriptor) return;
  if (socket_.is_open()) socket_.release();
  if (descriptor >= 0) socket_.assign(descriptor);
}

void Connection::lost(std::string_view where) {
  broken_ = true;
  disarm();
  const std::string text = PQerrorMessage(conn_.get());
  if (expired_ && connected_) fail(Code::deadline_exceeded, "database_timeout", std::string(where));
  throw Failure({Code::unavailable,
                 "database_connection_lost",
                 std::string(where) + ": " + (expired_ ? "timed out" : std::string(trim(text))),
                 {},
                 std::chrono::seconds(1)});
}

Async<> Connection::wait(async::Ready what) {
  if (expired_ || !co_await async::wait_ready(socket_, what))
    lost(expired_ ? "deadline" : "cancelled");
}

Async<std::unique_ptr<Connection>> Connection::open(async::Loop& loop, std::string conninfo,
                                                    Deadline deadline) {
  std::unique_ptr<Connection> c(new Connection(loop));
  c->conn_.reset(PQconnectStart(conninfo.c_str()));
  if (!c->conn_ || PQstatus(c->conn_.get()) == CONNECTION_BAD) c->lost("connect");
  PQsetNoticeReceiver(c->conn_.get(), on_notice, nullptr);
  c->arm(deadline);
  // libpq may change its socket while it tries addresses or falls back from TLS: watch it anew.
  for (auto state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;
       state = PQconnectPoll(c->conn_.get())) {
    if (state == PGRES_POLLING_FAILED) c->lost("connect");
    c->watch_socket();
    co_await c->wait(state == PGRES_POLLING_READING ? async::Ready::read : async::Ready::write);
    c->socket_.release();
  }
  c->watch_socket();
  c->disarm();
  if (PQsetnonblocking(c->conn_.get(), 1) != 0 || PQenterPipelineMode(c->conn_.get()) != 1)
    c->lost("pipeline");
  c->connected_ = true;
  c->opened_at_ = std::chrono::steady_clock::now();
  co_return c;
}

bool Connection::idle() const {
  return !broken_ && PQtransactionStatus(conn_.get()) == PQTRANS_IDLE;
}

void Connection::send(const Command& command) {
  PGconn* const c = conn_.get();
  constexpr std::size_t kMost = 64;
  Oid types[kMost];
  const char* values[kMost];
  int lengths[kMost], formats[kMost];
  const auto given = command.params.values();
  CHECK(given.size() <= kMost);
  for (std::size_t i = 0; i < given.size(); ++i) {
    types[i] = given[i].type;
    values[i] = given[i].length < 0 ? nullptr : command.params.data() + given[i].start;
    lengths[i] = std::max(given[i].length, 0);
    formats[i] = 1;
  }
  const int count = static_cast<int>(given.size());
  prepares_.push_back({});
  bool sent = true;
  if (command.name.empty()) {
    sent =
        PQsendQueryParams(c, command.sql.c_str(), count, types, values, lengths, formats, 1) == 1;
  } else {
    // A second use in this flush finds the statement; a failure takes the name out again.
    if (prepared_.insert(command.name).second) {
      prepares_.back() = command.name;
      sent = PQsendPrepare(c, command.name.data(), command.sql.c_str(), count, types) == 1;
    }
    sent = sent &&
           PQsendQueryPrepared(c, command.name.data(), count, values, lengths, formats, 1) == 1;
  }
  if (!sent) lost("send");
}

Async<Connection::Outcome> Connection::run(std::span<const Command> commands, Deadline deadline) {
  std::vector<const Command*> all;
  for (const auto& c : commands) all.push_back(&c);
  return run(std::move(all), deadline);
}

Async<Connection::Outcome> Connection::run(std::vector<const Command*> commands,
                                           Deadline deadline) {
  if (broken_) lost("use of a broken connection");
  expired_ = false;
  broken_ = true;  // until all answers are read: whoever unwinds this leaves a broken connection
  arm(deadline);
  prepares_.clear();
  for (const Command* command : commands) send(*command);
  if (PQpipelineSync(conn_.get()) != 1) lost("sync");

  Outcome outcome;
  outcome.results.reserve(commands.size());
  std::size_t at = 0;
  bool preparing = !prepares_.empty() && !prepares_[0].empty();
  const auto next = [&] {
    if (preparing) {
      preparing = false;
    } else {
      ++at;
      preparing = at < prepares_.size() && !prepares_[at].empty();
    }
  };
  for (;;) {
    // Write and read together: a server that blocks on its answers would never read the rest.
    for (int pending = PQflush(conn_.get()); pending != 0 || PQisBusy(conn_.get()) != 0;
         pending = PQflush(conn_.get())) {
      if (pending < 0) lost("write");
      co_await wait(pending == 1 ? async::Ready::either : async::Ready::read);
      if (PQconsumeInput(conn_.get()) != 1) lost("read");
    }
    Result r(PQgetResult(conn_.get()));
    if (!r) {
      if (PQstatus(conn_.get()) == CONNECTION_BAD) lost("read");
      continue;  // the separator between two commands
    }
    switch (PQresultStatus(r.get())) {
      case PGRES_PIPELINE_SYNC:
        broken_ = false;
        disarm();
        co_return outcome;
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
        if (!preparing) outcome.results.push_back(std::move(r));
        next();
        break;
      case PGRES_PIPELINE_ABORTED:
        if (preparing) prepared_.erase(prepares_[at]);
        next();
        break;
      default:
        if (PQstatus(conn_.get()) == CONNECTION_BAD) lost("answer");
        if (!outcome.error) outcome.error = sql_error(r.get());
        if (preparing) prepared_.erase(prepares_[at]);
        next();
    }
  }
}

Async<std::vector<std::string>> Connection::notifications(Deadline deadline) {
  std::vector<std::string> payloads;
  const auto take = [&] {
    while (PGnotify* note = PQnotifies(conn_.get())) {
      payloads.emplace_back(note->extra);
      PQfreemem(note);
    }
  };
  take();
  if (!payloads.empty()) co_return payloads;
  expired_ = false;
  arm(deadline);
  const bool ready = co_await async::wait_ready(socket_, async::Ready::read);
  disarm();
  if (!ready && !std::exchange(expired_, false)) lost("cancelled");
  if (ready && PQconsumeInput(conn_.get()) != 1) lost("read");
  take();
  co_return payloads;
}

}  // namespace coditect::pg
