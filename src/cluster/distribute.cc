#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "base/error.h"
#include "cluster/setup.h"
#include "schema/direct.h"

namespace coditect::cluster {
namespace {

using schema::Direct;
using namespace std::chrono_literals;

/// Begins a transaction that has all tables to itself. It waits for all the locks for less than
/// PostgreSQL's deadlock_timeout of 1 s, so that it is never a request that loses, and tries again.
void begin_alone(Direct& db, const std::string& names) {
  constexpr int kTries = 100;
  for (int n = 1;; ++n) {
    db.execute("BEGIN");
    db.execute("SET LOCAL statement_timeout = '500ms'");
    std::string message;
    const auto state =
        db.try_execute("LOCK TABLE " + names + " IN ACCESS EXCLUSIVE MODE", &message);
    if (!state) break;
    db.execute("ROLLBACK");
    if ((*state != "57014" && *state != "40P01") || n == kTries)
      fail(Code::unavailable, "tables_in_use",
           "the tables are never free: " + message + "; look for long transactions");
    std::this_thread::sleep_for(std::min(100ms * n, 2000ms));
  }
  db.execute("SET LOCAL statement_timeout = 0");
}

/// Empties the coordinator's own copy, which nothing reads; behind nobody's long statement.
void drop_local_rows(Direct& db, const std::string& table) {
  db.execute("SET lock_timeout = '500ms'");
  std::string message;
  for (int n = 1; db.try_execute(
           "SELECT truncate_local_data_after_distributing_table('" + table + "')", &message);
       ++n) {
    if (n == 20)
      fail(Code::unavailable, "tables_in_use",
           "the tables are distributed, but the coordinator's own copy of " + table +
               " is not emptied: " + message + "; run this again");
    std::this_thread::sleep_for(500ms);
  }
  db.execute("RESET lock_timeout");
}

/// What is in the database and not distributed yet, in the registry's order: parents first.
std::vector<schema::Table> not_distributed(Direct& db, std::span<const schema::Table> tables) {
  const std::string distributed =
      db.query("SELECT to_regclass('pg_catalog.pg_dist_partition')")[0][0]
          ? " AND oid NOT IN (SELECT logicalrelid FROM pg_dist_partition)"
          : "";
  std::vector<schema::Table> out;
  for (const auto& t : tables)
    if (t.kind != schema::Kind::global &&
        !db.query("SELECT 1 FROM pg_class WHERE relname = $1 AND relnamespace = "
                  "'public'::regnamespace" +
                      distributed,
                  {std::string(t.name)})
             .empty())
      out.push_back(t);
  return out;
}

std::string joined_names(const std::vector<schema::Table>& tables) {
  std::vector<std::string> names;
  for (const auto& t : tables) names.emplace_back(t.name);
  return fmt::format("public.{}", fmt::join(names, ", public."));
}

/// "10 tables, 27 MB".
std::string amount(Direct& db, const std::vector<schema::Table>& tables) {
  const auto sum = db.query(
      "SELECT pg_size_pretty(sum(pg_total_relation_size(t::regclass))) FROM unnest($1::text[]) t",
      {"{" + joined_names(tables) + "}"});
  return fmt::format("{} tables, {}", tables.size(), *sum[0][0]);
}

}  // namespace

std::string to_distribute(const std::string& coordinator_cell,
                          std::span<const schema::Table> tables) {
  Direct db(coordinator_cell);
  const auto left = not_distributed(db, tables);
  return left.empty() ? "" : amount(db, left);
}

void distribute_tables(const std::string& coordinator_cell, std::span<const schema::Table> tables,
                       const Report& report) {
  Direct db(coordinator_cell);
  const auto left = not_distributed(db, tables);
  if (!left.empty()) {
    const auto names = joined_names(left);
    report("distributing " + amount(db, left) + ": requests wait until it is done");
    const auto start = std::chrono::steady_clock::now();
    begin_alone(db, names);
    const auto alone = std::chrono::steady_clock::now();
    // With a key between them neither of two tables could be the first.
    const auto keys = db.query(
        "SELECT conrelid::regclass, quote_ident(conname), pg_get_constraintdef(oid) FROM "
        "pg_constraint WHERE contype = 'f' AND conrelid = ANY ($1::regclass[]) ORDER BY oid",
        {"{" + names + "}"});
    for (const auto& key : keys)
      db.execute("ALTER TABLE " + *key[0] + " DROP CONSTRAINT " + *key[1]);
    for (const auto& t : left) {
      const std::string name(t.name);
      if (t.kind == schema::Kind::reference)
        db.execute("SELECT create_reference_table('public." + name + "')");
      else
        db.execute("SELECT create_distributed_table('public." + name +
                   "', 'tenant_id', colocate_with => " +
                   (name == "tenant_state" ? "'none'" : "'public.tenant_state'") + ")");
      report("distributed " + name);
    }
    for (const auto& key : keys)
      db.execute("ALTER TABLE " + *key[0] + " ADD CONSTRAINT " + *key[1] + " " + *key[2]);
    db.execute("COMMIT");
    const auto seconds = [](auto d) { return std::chrono::duration<double>(d).count(); };
    report(fmt::format(
        "all are distributed, {} foreign keys hold; requests waited {:.1f} s (and "
        "{:.1f} s for those before them)",
        keys.size(), seconds(std::chrono::steady_clock::now() - alone), seconds(alone - start)));
  }
  // What was copied is still in the coordinator's own tables, hidden.
  for (const auto& row :
       db.query("SELECT logicalrelid::regclass FROM pg_dist_partition WHERE partmethod = 'h' AND "
                "pg_relation_size(logicalrelid) > 0"))
    drop_local_rows(db, *row[0]);
}

}  // namespace coditect::cluster
