#include <algorithm>

#include "base/error.h"
#include "cluster/setup.h"
#include "schema/direct.h"

namespace coditect::cluster {
namespace {

using schema::Direct;

/// Turns the foreign keys among tables of tenants off and on; what is off is written down first.
class SuspendedKeys {
 public:
  explicit SuspendedKeys(Direct& db) : db_(db) {}

  void suspend() {
    db_.execute(
        "INSERT INTO coditect_cluster.suspended_keys SELECT k.conrelid::regclass::text, k.conname, "
        "pg_get_constraintdef(k.oid), row_number() OVER (ORDER BY k.oid) FROM pg_constraint k "
        "WHERE "
        "k.contype = 'f' AND k.conrelid::regclass::text = ANY (ARRAY[" +
        names_ + "]) ON CONFLICT DO NOTHING");
    for (const auto& row : db_.query("SELECT k.conrelid::regclass::text, quote_ident(k.conname) "
                                     "FROM pg_constraint k JOIN coditect_cluster.suspended_keys s "
                                     "ON s.table_name = k.conrelid::regclass::text AND s.key_name "
                                     "= k.conname WHERE k.contype = 'f'"))
      db_.execute("ALTER TABLE " + *row[0] + " DROP CONSTRAINT " + *row[1]);
  }
  void of(std::string names) { names_ = std::move(names); }

  /// First all are on for new rows, then each is checked for the old ones. One that does not hold
  /// does not keep the others off.
  int restore() {
    int restored = 0;
    std::string broken;
    const auto suspended = db_.query(
        "SELECT table_name, quote_ident(key_name), definition, key_name FROM "
        "coditect_cluster.suspended_keys ORDER BY position");
    for (const auto& row : suspended) {
      if (db_.query("SELECT 1 FROM pg_constraint WHERE conrelid = $1::regclass AND conname = $2",
                    {*row[0], *row[3]})
              .empty())
        db_.execute("ALTER TABLE " + *row[0] + " ADD CONSTRAINT " + *row[1] + " " + *row[2] +
                    " NOT VALID");
    }
    for (const auto& row : suspended) {
      std::string message;
      if (db_.try_execute("ALTER TABLE " + *row[0] + " VALIDATE CONSTRAINT " + *row[1], &message)) {
        broken += (broken.empty() ? "" : "; ") + message;
        continue;
      }
      db_.query(
          "DELETE FROM coditect_cluster.suspended_keys WHERE table_name = $1 AND key_name = $2",
          {*row[0], *row[3]});
      ++restored;
    }
    if (!broken.empty())
      fail(
          Code::failed_precondition, "key_not_valid",
          "a row was deleted while its key was off; delete the rows that reference it and run this "
          "again: " +
              broken);
    return restored;
  }

 private:
  Direct& db_;
  std::string names_;
};

}  // namespace

void distribute_tables(const std::string& coordinator_cell, std::span<const schema::Table> tables,
                       const Report& report) {
  Direct db(coordinator_cell);
  std::vector<std::string> left;
  std::string names;
  for (const auto& t : tables) {
    if (t.kind == schema::Kind::global) continue;
    const std::string name(t.name);
    const auto is = [&db, &name](const char* catalog) {
      return !db.query(std::string("SELECT 1 FROM ") + catalog, {name}).empty();
    };
    if (is("pg_class WHERE relname = $1 AND relnamespace = 'public'::regnamespace") &&
        !is("pg_dist_partition WHERE logicalrelid = to_regclass('public.' || $1)"))
      left.push_back(name);
    if (t.kind == schema::Kind::tenant) names += (names.empty() ? "'" : ", '") + name + "'";
  }
  SuspendedKeys keys(db);
  if (!left.empty()) {
    // With a key between them neither of two tables could be the first.
    keys.of(names);
    keys.suspend();
  }
  for (const auto& name : left) {
    const auto it = std::ranges::find(tables, std::string_view(name), &schema::Table::name);
    if (it->kind == schema::Kind::reference) {
      db.execute("SELECT create_reference_table('public." + name + "')");
      report("distributed " + name + " (a copy on every node)");
      continue;
    }
    const auto size =
        *db.query("SELECT pg_size_pretty(pg_total_relation_size(to_regclass('public.' || $1)))",
                  {name})[0][0];
    report("distributing " + name + " (" + size + "), while statements go on");
    db.execute("SELECT create_distributed_table_concurrently('public." + name +
               "', 'tenant_id', colocate_with => " +
               (name == "tenant_state" ? "'none'" : "'public.tenant_state'") + ")");
  }
  if (const int restored = keys.restore(); restored > 0)
    report(std::to_string(restored) + " foreign keys are on again and hold for every row");
  // What was copied is still in the coordinator's own tables, hidden; also of a run that was
  // killed.
  for (const auto& row : db.query(
           "SELECT p.logicalrelid::regclass FROM pg_dist_partition p WHERE p.partmethod = 'h' AND "
           "p.logicalrelid::regclass::text = ANY (ARRAY[" +
           names + "]) AND pg_relation_size(p.logicalrelid) > 0"))
    db.execute("SELECT truncate_local_data_after_distributing_table('" + *row[0] + "')");
}

}  // namespace coditect::cluster
