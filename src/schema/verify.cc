#include "schema/verify.h"

#include <algorithm>

#include "schema/direct.h"

namespace coditect::schema {
namespace {

using Problems = std::vector<std::string>;

/// Each row of the query is a problem: its first column in the place of {}.
void report_rows(Direct& db, Problems& problems, const std::string& text, const std::string& sql) {
  for (const auto& row : db.query(sql)) {
    auto line = text;
    line.replace(line.find("{}"), 2, row[0].value_or("?"));
    problems.push_back(line);
  }
}

std::vector<std::string> tables_of(Direct& db) {
  std::vector<std::string> out;
  for (const auto& row : db.query("SELECT relname FROM pg_class WHERE relnamespace = "
                                  "'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1"))
    out.push_back(*row[0]);
  return out;
}

void compare_names(Direct& db, Problems& problems, std::span<const Table> tables, bool directory) {
  const auto live = tables_of(db);
  for (const auto& t : tables)
    if ((t.kind == Kind::global) == directory && std::ranges::find(live, t.name) == live.end())
      problems.push_back("table " + std::string(t.name) +
                         " is in the registry but not in the database");
  for (const auto& name : live) {
    const auto it = std::ranges::find(tables, std::string_view(name), &Table::name);
    if (it == tables.end())
      problems.push_back("table " + name +
                         " is in the database but not in the registry (src/schema/tables.h)");
    else if ((it->kind == Kind::global) != directory)
      problems.push_back("table " + name + " is in the wrong database for its kind");
  }
}

void check_roles(Direct& db, Problems& problems) {
  const std::string serving =
      "('coditect_app', 'coditect_operator', 'coditect_maintenance', "
      "'coditect_import')";
  // On a server of a Citus cluster nodes log in to each other as the owner, with a password that
  // only they have; and bulk onboarding, which may only INSERT, copies rows past the policies.
  const std::string on_citus = "EXISTS (SELECT FROM pg_settings WHERE name = 'citus.shard_count')";
  // Views of Citus over its own catalog.
  const std::string no_extension =
      " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')";
  report_rows(
      db, problems,
      "role {} is a superuser, bypasses row-level security, or may create roles or databases",
      "SELECT rolname FROM pg_roles WHERE rolname IN " + serving +
          " AND (rolsuper OR (rolbypassrls AND NOT (rolname = 'coditect_import' AND " + on_citus +
          ")) OR rolcreaterole OR rolcreatedb)");
  report_rows(db, problems, "coditect_import may do more than INSERT: {}",
              "SELECT DISTINCT a.privilege_type || ' on ' || p.polrelid::regclass FROM pg_policy p "
              "JOIN pg_class c ON c.oid = p.polrelid CROSS JOIN aclexplode(c.relacl) a WHERE "
              "p.polname = 'tenant_only' AND a.grantee = 'coditect_import'::regrole AND "
              "a.privilege_type <> 'INSERT'");
  report_rows(db, problems, "role coditect_owner can log in{}",
              "SELECT '' FROM pg_roles WHERE rolname = 'coditect_owner' AND rolcanlogin AND NOT " +
                  on_citus);
  report_rows(db, problems, "{} owns a table",
              "SELECT DISTINCT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner "
              "WHERE r.rolname IN " +
                  serving);
  report_rows(db, problems, "{}: it can act as another role",
              "SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member WHERE "
              "m.rolname IN " +
                  serving);
  report_rows(
      db, problems, "{} is granted to PUBLIC",
      "SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = "
      "'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND a.grantee = 0" +
          no_extension);
  report_rows(db, problems, "{} may TRUNCATE, add triggers or references",
              "SELECT r.rolname || ' on ' || c.relname FROM pg_class c, aclexplode(c.relacl) a "
              "JOIN pg_roles r ON r.oid = a.grantee "
              "WHERE c.relnamespace = 'public'::regnamespace AND r.rolname IN " +
                  serving + " AND a.privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES')");
  report_rows(db, problems, "{} in schema public may be created by anyone",
              "SELECT 'an object' FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = "
              "'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE'");
  report_rows(db, problems,
              "{} is a view, materialized view or rule: it would hide row-level security",
              "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace "
              "AND c.relkind IN ('v', 'm')" +
                  no_extension);
  report_rows(db, problems, "function {} runs as its owner (SECURITY DEFINER)",
              "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE "
              "n.nspname IN ('public', 'coditect') AND prosecdef");
}

}  // namespace

std::vector<std::string> verify_directory(const std::string& conninfo,
                                          std::span<const Table> tables) {
  Direct db(conninfo);
  Problems problems;
  compare_names(db, problems, tables, true);
  check_roles(db, problems);
  report_rows(db, problems, "{} may change or delete the operator log",
              "SELECT r.rolname FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = "
              "a.grantee WHERE c.relname = 'operator_log' "
              "AND a.privilege_type IN ('UPDATE', 'DELETE') AND r.rolname <> 'coditect_owner'");
  return problems;
}

std::vector<std::string> unknown_tenant_tables(const std::string& conninfo,
                                               std::span<const Table> tables) {
  Direct db(conninfo);
  std::vector<std::string> out;
  // coditect.tenant_table() gives every one of them this policy.
  for (const auto& row :
       db.query("SELECT c.relname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE "
                "p.polname = 'maintenance_delete' ORDER BY 1"))
    if (std::ranges::find(tables, std::string_view(*row[0]), &Table::name) == tables.end())
      out.push_back(*row[0]);
  return out;
}

std::vector<std::string> verify_cell(const std::string& conninfo, std::span<const Table> tables) {
  Direct db(conninfo);
  Problems problems;
  compare_names(db, problems, tables, false);
  check_roles(db, problems);
  std::string tenant_tables;
  for (const auto& t : tables)
    if (t.kind == Kind::tenant)
      tenant_tables += (tenant_tables.empty() ? "'" : ", '") + std::string(t.name) + "'";
  const std::string of_tenants =
      "c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname IN (" +
      tenant_tables + ")";
  report_rows(db, problems, "tenant table {} has row-level security off",
              "SELECT c.relname FROM pg_class c WHERE " + of_tenants + " AND NOT c.relrowsecurity");
  report_rows(
      db, problems,
      "tenant table {} forces row-level security on its owner, which loses rows in shard moves",
      "SELECT c.relname FROM pg_class c WHERE " + of_tenants + " AND c.relforcerowsecurity");
  report_rows(
      db, problems, "tenant table {} has no bigint NOT NULL tenant_id as its first column",
      "SELECT c.relname FROM pg_class c WHERE " + of_tenants +
          " AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = 1 "
          "AND a.attname = 'tenant_id' AND a.atttypid = 'bigint'::regtype AND a.attnotnull)");
  report_rows(
      db, problems, "unique index or key {} does not start with tenant_id",
      "SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE " +
          of_tenants + " AND i.indisunique AND i.indkey[0] <> 1");
  report_rows(
      db, problems, "tenant table {} has no primary key",
      "SELECT c.relname FROM pg_class c WHERE " + of_tenants +
          " AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)");
  report_rows(db, problems, "foreign key {} does not pair tenant_id with tenant_id",
              "SELECT k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE " +
                  of_tenants + " AND k.contype = 'f' AND (k.conkey[1] <> 1 OR k.confkey[1] <> 1)");
  report_rows(db, problems, "foreign key {} sets columns null, which Citus refuses",
              "SELECT k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE " +
                  of_tenants + " AND k.contype = 'f' AND k.confdeltype = 'n'");
  report_rows(
      db, problems,
      "tenant table {} has no strict policy with its check for coditect_app, or another policy for "
      "it",
      "SELECT c.relname FROM pg_class c WHERE " + of_tenants +
          " AND (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND "
          "'coditect_app'::regrole = ANY (p.polroles)) <> 1 "
          "OR " +
          of_tenants +
          " AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polroles = "
          "ARRAY['coditect_app'::regrole::oid] AND p.polcmd = '*' AND p.polpermissive "
          "AND pg_get_expr(p.polqual, c.oid) = '(tenant_id = "
          "(current_setting(''app.tenant_id''::text))::bigint)' "
          "AND pg_get_expr(p.polwithcheck, c.oid) = '(tenant_id = "
          "(current_setting(''app.tenant_id''::text))::bigint)')");
  report_rows(db, problems, "policy {} applies to PUBLIC",
              "SELECT p.polname || ' on ' || c.relname FROM pg_policy p JOIN pg_class c ON c.oid = "
              "p.polrelid WHERE 0 = ANY (p.polroles)");
  report_rows(
      db, problems, "tenant table {} has a trigger, which Citus refuses",
      "SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE " +
          of_tenants + " AND NOT t.tgisinternal");
  std::string order;
  for (const auto& t : tables) order += (order.empty() ? "'" : ", '") + std::string(t.name) + "'";
  report_rows(db, problems,
              "the registry has {} before a table that it references: parents come first",
              "SELECT DISTINCT c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = "
              "k.conrelid JOIN pg_class p ON p.oid = k.confrelid WHERE " +
                  of_tenants + " AND k.contype = 'f' AND array_position(ARRAY[" + order +
                  "], c.relname::text) < array_position(ARRAY[" + order + "], p.relname::text)");
  report_rows(db, problems, "the activity trail can be changed by {}",
              "SELECT r.rolname FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = "
              "a.grantee WHERE c.relname = 'activity' "
              "AND a.privilege_type IN ('UPDATE', 'DELETE') AND r.rolname IN ('coditect_app', "
              "'coditect_operator')");
  return problems;
}

}  // namespace coditect::schema
