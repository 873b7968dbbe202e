#include "schema/migrate.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>
#include <thread>

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/digest.h"
#include "schema/direct.h"

namespace coditect::schema {
namespace {

using namespace std::chrono_literals;

constexpr const char* kLock = "7014620715";  // any number: the same for all migrators of a database

[[noreturn]] void malformed(std::string_view path, const std::string& why) {
  fail(Code::internal, "migration_malformed", std::string(path) + ": " + why);
}

std::optional<std::string> header(std::string_view sql, std::string_view key) {
  const std::string start = "-- " + std::string(key) + ": ";
  while (sql.starts_with("--")) {
    const auto line = sql.substr(0, sql.find('\n'));
    if (line.starts_with(start)) return std::string(trim(line.substr(start.size())));
    sql.remove_prefix(std::min(sql.size(), line.size() + 1));
  }
  return std::nullopt;
}

Migration read_file(const EmbeddedFile& file) {
  Migration m;
  const auto base = file.path.substr(file.path.rfind('/') + 1);
  const auto [end, bad] = std::from_chars(base.data(), base.data() + base.size(), m.version);
  if (bad != std::errc() || end != base.data() + 4 || *end != '_')
    malformed(file.path, "the name must be 0001_words.sql");
  m.name = base.substr(5, base.size() - 5 - 4);
  const auto mode = header(file.text, "mode");
  if (!mode || (*mode != "transactional" && *mode != "online"))
    malformed(file.path, "needs '-- mode: transactional' or '-- mode: online'");
  m.mode = *mode == "online" ? Mode::online : Mode::transactional;
  const auto oldest = header(file.text, "oldest-program");
  if (!oldest) malformed(file.path, "needs '-- oldest-program: X.Y.Z'");
  m.oldest_program = *oldest;
  m.sql = file.text;
  m.checksum = to_hex(crypto::sha256(file.text));
  return m;
}

bool is_origin(std::string_view name) {
  return !name.empty() && name.size() <= 30 && name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
}

/// Where an origin's applied migrations are noted.
std::string record_of(std::string_view origin) {
  return origin == kPlatform ? "coditect.migrations" : "coditect.migrations_" + std::string(origin);
}

void create_record(Direct& db, const std::string& table) {
  db.execute("CREATE TABLE IF NOT EXISTS " + table +
             " (version int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
             "oldest_program text NOT NULL, statements_done int NOT NULL DEFAULT 0, "
             "finished_at timestamptz); GRANT SELECT ON " +
             table + " TO PUBLIC");
}

bool has_table(Direct& db, const std::string& table) {
  return db.query("SELECT to_regclass('" + table + "')")[0][0].has_value();
}

std::vector<Applied> applied(Direct& db, const std::string& origin) {
  std::vector<Applied> out;
  const auto table = record_of(origin);
  if (!has_table(db, table)) return out;
  for (const auto& row : db.query("SELECT version, name, checksum, oldest_program, finished_at IS "
                                  "NOT NULL FROM " +
                                  table + " ORDER BY version"))
    out.push_back({origin, std::stoi(*row[0]), *row[1], *row[2], *row[3], *row[4] == "t"});
  return out;
}

std::vector<Applied>::const_iterator find(const std::vector<Applied>& in, const Migration& m) {
  return std::ranges::find_if(
      in, [&m](const Applied& a) { return a.origin == m.origin && a.version == m.version; });
}

Plan make_plan(Direct& db, const std::vector<Migration>& migrations) {
  Plan out;
  for (const auto& m : migrations) {
    if (std::ranges::find(out.applied, m.origin, &Applied::origin) == out.applied.end())
      for (auto& a : applied(db, m.origin)) out.applied.push_back(std::move(a));
    const auto it = find(out.applied, m);
    if (it == out.applied.end()) {
      out.pending.push_back(m);
      continue;
    }
    if (it->checksum != m.checksum)
      fail(Code::failed_precondition, "migration_changed",
           "migration " + std::to_string(m.version) + " (" + m.name +
               ") was changed after it was applied; write a new one instead");
    if (!it->finished) out.pending.push_back(m);
  }
  return out;
}

/// Polls: a session that waits inside pg_advisory_lock() holds a snapshot, which would block
/// another migrator's CREATE INDEX CONCURRENTLY for ever.
void take_lock(Direct& db, const Report& report) {
  bool told = false;
  while (*db.query(std::string("SELECT pg_try_advisory_lock(") + kLock + ")")[0][0] != "t") {
    if (!std::exchange(told, true)) report("waiting for another migrator");
    std::this_thread::sleep_for(200ms);
  }
}

/// Runs the step; a lock or deadlock error makes it try again, for about a minute.
void with_retries(const std::string& what, const Report& report,
                  const std::function<std::optional<std::string>(std::string*)>& step) {
  for (int attempt = 1;; ++attempt) {
    std::string message;
    const auto state = step(&message);
    if (!state) return;
    const bool busy = *state == "55P03" || *state == "40P01" || *state == "40001";
    if (!busy || attempt == 20) fail(Code::internal, "migration_failed", what + ": " + message);
    report(what + ": the table is busy, trying again (" + std::to_string(attempt) + ")");
    std::this_thread::sleep_for(250ms * std::min(attempt, 8));
  }
}

std::string record_sql(Direct& db, const Migration& m, bool finished) {
  return "INSERT INTO " + record_of(m.origin) +
         " (version, name, checksum, oldest_program, finished_at) VALUES (" +
         std::to_string(m.version) + ", " + db.quote_text(m.name) + ", " +
         db.quote_text(m.checksum) + ", " + db.quote_text(m.oldest_program) + ", " +
         (finished ? "now()" : "NULL") + ") ON CONFLICT (version) DO NOTHING;";
}

/// Statement by statement: of a string with several Citus forwards the whole to its workers.
void apply_transactional(Direct& db, const Migration& m, const Report& report) {
  auto statements = split_statements(m.sql);
  // With citus.propagate_set_commands it also limits the waits on the workers.
  statements.insert(statements.begin(), {"BEGIN", "SET LOCAL lock_timeout = '2s'"});
  statements.push_back(record_sql(db, m, true));
  statements.push_back("COMMIT");
  with_retries(m.name, report, [&](std::string* message) -> std::optional<std::string> {
    for (const auto& statement : statements) {
      if (auto state = db.try_execute(statement, message)) {
        db.try_execute("ROLLBACK");
        return state;
      }
    }
    return std::nullopt;
  });
}

void apply_online(Direct& db, const Migration& m, const Report& report) {
  db.execute(record_sql(db, m, false));
  const auto statements = split_statements(m.sql);
  const auto version = std::to_string(m.version);
  const auto record = record_of(m.origin);
  auto done = std::stoul(
      *db.query("SELECT statements_done FROM " + record + " WHERE version = $1", {version})[0][0]);
  db.execute("SET lock_timeout = '2s'");
  for (; done < statements.size(); ++done) {
    report(m.name + ": statement " + std::to_string(done + 1) + " of " +
           std::to_string(statements.size()));
    with_retries(m.name, report, [&](std::string* message) {
      // An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index: away with it first.
      for (const auto& row :
           db.query("SELECT c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = "
                    "i.indexrelid WHERE NOT i.indisvalid AND c.relkind = 'i'"))
        db.execute("DROP INDEX CONCURRENTLY IF EXISTS " + *row[0]);
      return db.try_execute(statements[done], message);
    });
    db.query("UPDATE " + record + " SET statements_done = $2 WHERE version = $1",
             {version, std::to_string(done + 1)});
  }
  db.execute("RESET lock_timeout");
  db.query("UPDATE " + record + " SET finished_at = now() WHERE version = $1", {version});
}

}  // namespace

std::vector<Migration> migrations_of(const std::string& set,
                                     std::span<const MigrationSource> sources) {
  std::vector<Migration> out;
  std::set<std::string> origins;
  for (const auto& source : sources) {
    if (!is_origin(source.origin) || !origins.insert(source.origin).second)
      fail(Code::internal, "migration_malformed",
           "the origin of migrations '" + source.origin +
               "' must be 1 to 30 lower-case letters, digits and _, and there once");
    std::vector<Migration> own;
    for (const auto& file : source.files)
      if (file.path.contains("migrations/" + set + "/")) {
        own.push_back(read_file(file));
        own.back().origin = source.origin;
      }
    std::ranges::sort(own, {}, &Migration::version);
    for (std::size_t i = 0; i < own.size(); ++i)
      if (own[i].version != static_cast<int>(i) + 1)
        fail(Code::internal, "migration_malformed",
             source.origin + " " + set + ": versions must be 1, 2, 3, ...; found " +
                 std::to_string(own[i].version));
    std::ranges::move(own, std::back_inserter(out));
  }
  return out;
}

Plan plan(const std::string& conninfo, const std::vector<Migration>& migrations) {
  Direct db(conninfo);
  return make_plan(db, migrations);
}

void migrate(const std::string& conninfo, const std::vector<Migration>& migrations,
             const Report& report) {
  Direct db(conninfo);
  db.execute("SET ROLE coditect_owner");
  take_lock(db, report);
  for (const auto& m : migrations)
    if (!has_table(db, record_of(m.origin))) create_record(db, record_of(m.origin));
  for (const auto& m : make_plan(db, migrations).pending) {
    report("applying " + (m.origin == kPlatform ? "" : m.origin + " ") + std::to_string(m.version) +
           " " + m.name);
    if (m.mode == Mode::online)
      apply_online(db, m, report);
    else
      apply_transactional(db, m, report);
  }
}

Readiness readiness(const std::string& conninfo, const std::string& set,
                    std::span<const MigrationSource> sources) {
  Direct db(conninfo);
  std::vector<Applied> done;
  for (const auto& source : sources)
    for (auto& a : applied(db, source.origin)) {
      if (compare_versions(a.oldest_program, source.program_version) > 0) return Readiness::too_new;
      done.push_back(std::move(a));
    }
  for (const auto& m : migrations_of(set, sources)) {
    const auto it = find(done, m);
    if (it == done.end() || !it->finished) return Readiness::behind;
  }
  return Readiness::ready;
}

int compare_versions(const std::string& a, const std::string& b) {
  const auto parts = [](std::string_view text) {
    std::vector<int> out;
    while (!text.empty()) {
      int n = 0;
      std::from_chars(text.data(), text.data() + text.size(), n);
      out.push_back(n);
      const auto dot = text.find('.');
      text.remove_prefix(dot == text.npos ? text.size() : dot + 1);
    }
    return out;
  };
  const auto order = parts(a) <=> parts(b);
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

std::vector<std::string> split_statements(const std::string& sql) {
  std::vector<std::string> out;
  std::string current;
  bool content = false;
  std::size_t i = 0;
  const auto copy_until = [&](std::string_view end) {
    const auto at = sql.find(end, i);
    const auto stop = at == std::string::npos ? sql.size() : at + end.size();
    current.append(sql, i, stop - i);
    i = stop;
  };
  while (i < sql.size()) {
    const std::string_view rest = std::string_view(sql).substr(i);
    if (rest.starts_with("--")) {
      copy_until("\n");
    } else if (rest.starts_with("/*")) {
      copy_until("*/");
    } else if (rest[0] == '\'' || rest[0] == '"') {
      current += sql[i++];
      copy_until(rest.substr(0, 1));
      content = true;
    } else if (rest[0] == '$' && rest.find('$', 1) != rest.npos &&
               rest.substr(1, rest.find('$', 1) - 1)
                       .find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == rest.npos) {
      const auto tag = rest.substr(0, rest.find('$', 1) + 1);
      current += tag;
      i += tag.size();
      copy_until(tag);
      content = true;
    } else if (rest[0] == ';') {
      if (content) out.push_back(std::string(trim(current)));
      current.clear();
      content = false;
      ++i;
    } else {
      content = content || trim(rest.substr(0, 1)).size() == 1;
      current += sql[i++];
    }
  }
  if (content) out.push_back(std::string(trim(current)));
  return out;
}

}  // namespace coditect::schema
