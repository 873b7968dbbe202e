#include "schema/direct.h"

#include "base/bytes.h"
#include "base/error.h"
#include "pg/codec.h"

namespace coditect::schema {

void append_copy_row(std::string& out, std::initializer_list<std::optional<std::string_view>> row) {
  bool first = true;
  for (const auto& field : row) {
    if (!std::exchange(first, false)) out += '\t';
    if (!field) {
      out += "\\N";
      continue;
    }
    for (const char c : *field) {
      if (c == '\\' || c == '\t' || c == '\n' || c == '\r') {
        out += '\\';
        out += c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : '\\';
      } else {
        out += c;
      }
    }
  }
  out += '\n';
}

Direct::Direct(const std::string& conninfo) : conn_(PQconnectdb(conninfo.c_str())) {
  if (PQstatus(conn_.get()) != CONNECTION_OK)
    fail(Code::unavailable, "database_unreachable", std::string(trim(PQerrorMessage(conn_.get()))));
  PQsetNoticeProcessor(conn_.get(), [](void*, const char*) {}, nullptr);
}

std::optional<std::string> Direct::try_execute(const std::string& sql, std::string* message) {
  const pg::Result r(PQexec(conn_.get(), sql.c_str()));
  const auto status = PQresultStatus(r.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
    return std::nullopt;
  const char* state = PQresultErrorField(r.get(), PG_DIAG_SQLSTATE);
  const std::string text(trim(PQerrorMessage(conn_.get())));
  if (state == nullptr) fail(Code::unavailable, "database_unreachable", text);
  if (message != nullptr) *message = text;
  return state;
}

void Direct::execute(const std::string& sql) {
  std::string message;
  if (try_execute(sql, &message)) fail(Code::internal, "sql_failed", message);
}

std::vector<Direct::Row> Direct::query(const std::string& sql,
                                       const std::vector<std::string>& values) {
  std::vector<const char*> pointers;
  for (const auto& v : values) pointers.push_back(v.c_str());
  const pg::Result r(PQexecParams(conn_.get(), sql.c_str(), static_cast<int>(values.size()),
                                  nullptr, pointers.data(), nullptr, nullptr, 0));
  const auto status = PQresultStatus(r.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
    fail(Code::internal, "sql_failed", std::string(trim(PQerrorMessage(conn_.get()))));
  std::vector<Row> rows;
  for (int i = 0; i < PQntuples(r.get()); ++i) {
    auto& row = rows.emplace_back();
    for (int k = 0; k < PQnfields(r.get()); ++k)
      row.push_back(PQgetisnull(r.get(), i, k) != 0
                        ? std::nullopt
                        : std::optional<std::string>(PQgetvalue(r.get(), i, k)));
  }
  return rows;
}

void Direct::copy_in(const std::string& statement, const std::string& rows) {
  const pg::Result started(PQexec(conn_.get(), statement.c_str()));
  bool ok = PQresultStatus(started.get()) == PGRES_COPY_IN;
  constexpr std::size_t kPiece = 1 << 20;
  for (std::size_t at = 0; ok && at < rows.size(); at += kPiece)
    ok = PQputCopyData(conn_.get(), rows.data() + at,
                       static_cast<int>(std::min(kPiece, rows.size() - at))) == 1;
  ok = ok && PQputCopyEnd(conn_.get(), nullptr) == 1;
  while (const pg::Result r{ok ? PQgetResult(conn_.get()) : nullptr})
    if (PQresultStatus(r.get()) != PGRES_COMMAND_OK) ok = false;
  if (!ok)
    fail(PQstatus(conn_.get()) == CONNECTION_OK ? Code::internal : Code::unavailable, "copy_failed",
         std::string(trim(PQerrorMessage(conn_.get()))));
}

std::string Direct::quote_name(const std::string& name) {
  const std::unique_ptr<char, void (*)(void*)> text(
      PQescapeIdentifier(conn_.get(), name.data(), name.size()), PQfreemem);
  return text.get();
}

std::string Direct::quote_text(const std::string& value) {
  const std::unique_ptr<char, void (*)(void*)> text(
      PQescapeLiteral(conn_.get(), value.data(), value.size()), PQfreemem);
  return text.get();
}

std::string Direct::scram_verifier(const std::string& password, const std::string& user) {
  const std::unique_ptr<char, void (*)(void*)> text(
      PQencryptPasswordConn(conn_.get(), password.c_str(), user.c_str(), "scram-sha-256"),
      PQfreemem);
  if (!text) fail(Code::internal, "scram_failed", PQerrorMessage(conn_.get()));
  return text.get();
}

}  // namespace coditect::schema
