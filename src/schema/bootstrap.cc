#include "schema/bootstrap.h"

#include "base/error.h"
#include "pg/conninfo.h"
#include "schema/direct.h"

namespace coditect::schema {
namespace {

constexpr const char* kOwner = "coditect_owner";
constexpr const char* kIdentity = "coditect_identity";

bool exists(Direct& db, const std::string& role) {
  return !db.query("SELECT 1 FROM pg_roles WHERE rolname = $1", {role}).empty();
}

void set_password(Direct& db, const std::string& role, const Secret& password) {
  db.execute("ALTER ROLE " + role + " PASSWORD " +
             db.quote_text(db.scram_verifier(password.reveal(), role)));
}

/// Belongs to that role, and is nobody else's.
void make_database_of(Direct& db, const std::string& owner, const std::string& name) {
  const auto there =
      db.query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", {name});
  if (there.empty())
    db.execute("CREATE DATABASE " + db.quote_name(name) + " OWNER " + owner +
               " TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'");
  else if (there[0][0] != owner)  // made beforehand, as Patroni does
    db.execute("ALTER DATABASE " + db.quote_name(name) + " OWNER TO " + owner);
  db.execute("REVOKE ALL ON DATABASE " + db.quote_name(name) + " FROM PUBLIC");
}

void make_roles(Direct& db, const std::map<std::string, Secret>& passwords) {
  if (!exists(db, kOwner))
    db.execute(std::string("CREATE ROLE ") + kOwner + " NOLOGIN NOBYPASSRLS");
  for (const char* role : kLoginRoles) {
    const auto it = passwords.find(role);
    if (!exists(db, role))
      db.execute(std::string("CREATE ROLE ") + role + " LOGIN NOINHERIT NOBYPASSRLS");
    if (it != passwords.end()) set_password(db, role, it->second);
  }
  db.execute(std::string("GRANT ") + kOwner + " TO coditect_migrator");
  // To make databases that belong to the owner, and to set up schemas in them.
  db.execute(std::string("GRANT ") + kOwner + " TO CURRENT_USER");
}

void make_database(Direct& db, const std::string& administrator, const std::string& name) {
  make_database_of(db, kOwner, name);
  for (const char* role : kLoginRoles)
    db.execute("GRANT CONNECT ON DATABASE " + db.quote_name(name) + " TO " + role);
  db.execute("GRANT TEMPORARY ON DATABASE " + db.quote_name(name) + " TO coditect_import");

  Direct inside(pg::with_options(administrator, {{"dbname", name}}));
  // Where Citus is: each node for itself, for they cannot log in to each other yet.
  inside.execute("SET citus.enable_ddl_propagation = off");
  inside.execute(std::string("SET ROLE ") + kOwner);
  // Only what is missing: on a worker of a Citus cluster both are the coordinator's to do.
  if (inside.query("SELECT to_regnamespace('coditect')")[0][0] == std::nullopt)
    inside.execute("CREATE SCHEMA coditect");
  for (const char* role : kLoginRoles)
    if (inside.query("SELECT has_schema_privilege($1, 'coditect', 'USAGE')", {role})[0][0] != "t")
      inside.execute(std::string("GRANT USAGE ON SCHEMA coditect TO ") + role);
}

}  // namespace

void prepare_server(const std::string& administrator,
                    const std::map<std::string, Secret>& passwords,
                    const std::vector<std::string>& databases) {
  Direct db(administrator);
  if (db.server_version() < 150000)
    fail(
        Code::failed_precondition, "database_too_old",
        "PostgreSQL 15 or newer is needed, this is " + std::to_string(db.server_version() / 10000));
  make_roles(db, passwords);
  for (const auto& name : databases) make_database(db, administrator, name);
}

void prepare_identity(const std::string& administrator, const std::string& database,
                      const Secret& password) {
  Direct db(administrator);
  // It inherits: the owner of a database may use its schema public as a member of a role.
  if (!exists(db, kIdentity))
    db.execute(std::string("CREATE ROLE ") + kIdentity + " LOGIN INHERIT NOBYPASSRLS");
  set_password(db, kIdentity, password);
  db.execute(std::string("GRANT ") + kIdentity + " TO CURRENT_USER");  // to give it the database
  make_database_of(db, kIdentity, database);
}

std::string conninfo_for(const std::string& base, const std::string& database,
                         const std::string& user, const Secret& password) {
  return pg::with_options(base,
                          {{"dbname", database}, {"user", user}, {"password", password.reveal()}});
}

}  // namespace coditect::schema
