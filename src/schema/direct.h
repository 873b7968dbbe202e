#pragma once
#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coditect::schema {

/// A line of COPY's text format: fields in order, escaped; nullopt is NULL.
void append_copy_row(std::string& out, std::initializer_list<std::optional<std::string_view>> row);

/// A blocking connection for administration: migrations and set-up run in the command line's own
/// thread. Throws Failure; a database's own words are the detail, for the one who administers it.
class Direct {
 public:
  explicit Direct(const std::string& conninfo);

  using Row = std::vector<std::optional<std::string>>;
  /// Runs one or more statements without values.
  void execute(const std::string& sql);
  /// Runs one statement; all values are text.
  std::vector<Row> query(const std::string& sql, const std::vector<std::string>& values = {});
  /// As execute(), but an SQL error is its SQLSTATE, the rest a Failure.
  std::optional<std::string> try_execute(const std::string& sql, std::string* message = nullptr);

  /// COPY ... FROM STDIN of these rows, in text format.
  void copy_in(const std::string& statement, const std::string& rows);

  std::string quote_name(const std::string& name);
  std::string quote_text(const std::string& text);
  /// A verifier (RFC 5802), so that the password itself is in no log of the server.
  std::string scram_verifier(const std::string& password, const std::string& user);
  int server_version() const { return PQserverVersion(conn_.get()); }

 private:
  struct Finish {
    void operator()(PGconn* c) const { PQfinish(c); }
  };
  std::unique_ptr<PGconn, Finish> conn_;
};

}  // namespace coditect::schema
