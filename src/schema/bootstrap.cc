#include "schema/bootstrap.h"

#include "base/error.h"
#include "schema/direct.h"

namespace coditect::schema {
namespace {

constexpr const char* kOwner = "coditect_owner";

std::string quoted(const std::string& value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

/// The options of a connection string in order, without those left out.
std::string rebuild(const std::string& conninfo,
                    const std::map<std::string, std::string>& replaced) {
  char* problem = nullptr;
  PQconninfoOption* options = PQconninfoParse(conninfo.c_str(), &problem);
  if (options == nullptr) {
    const std::string text = problem != nullptr ? problem : "malformed";
    PQfreemem(problem);
    fail(Code::invalid_argument, "invalid_database_url", text);
  }
  std::string out;
  for (const auto* o = options; o->keyword != nullptr; ++o) {
    const auto it = replaced.find(o->keyword);
    const std::string value = it != replaced.end() ? it->second : o->val != nullptr ? o->val : "";
    if (!value.empty())
      out += std::string(out.empty() ? "" : " ") + o->keyword + "=" + quoted(value);
  }
  PQconninfoFree(options);
  return out;
}

void make_roles(Direct& db, const std::map<std::string, Secret>& passwords) {
  const auto exists = [&db](const std::string& role) {
    return !db.query("SELECT 1 FROM pg_roles WHERE rolname = $1", {role}).empty();
  };
  if (!exists(kOwner)) db.execute(std::string("CREATE ROLE ") + kOwner + " NOLOGIN NOBYPASSRLS");
  for (const char* role : kLoginRoles) {
    const auto it = passwords.find(role);
    if (!exists(role))
      db.execute(std::string("CREATE ROLE ") + role + " LOGIN NOINHERIT NOBYPASSRLS");
    if (it != passwords.end())
      db.execute(std::string("ALTER ROLE ") + role + " PASSWORD " +
                 db.quote_text(db.scram_verifier(it->second.reveal(), role)));
  }
  db.execute(std::string("GRANT ") + kOwner + " TO coditect_migrator");
  // To make databases that belong to the owner, and to set up schemas in them.
  db.execute(std::string("GRANT ") + kOwner + " TO CURRENT_USER");
}

void make_database(Direct& db, const std::string& administrator, const std::string& name) {
  if (db.query("SELECT 1 FROM pg_database WHERE datname = $1", {name}).empty())
    db.execute("CREATE DATABASE " + db.quote_name(name) + " OWNER " + kOwner +
               " TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'");
  db.execute("REVOKE ALL ON DATABASE " + db.quote_name(name) + " FROM PUBLIC");
  for (const char* role : kLoginRoles)
    db.execute("GRANT CONNECT ON DATABASE " + db.quote_name(name) + " TO " + role);
  db.execute("GRANT TEMPORARY ON DATABASE " + db.quote_name(name) + " TO coditect_import");

  Direct inside(rebuild(administrator, {{"dbname", name}}));
  inside.execute(std::string("SET ROLE ") + kOwner);
  inside.execute("CREATE SCHEMA IF NOT EXISTS coditect");
  for (const char* role : kLoginRoles)
    inside.execute(std::string("GRANT USAGE ON SCHEMA coditect TO ") + role);
}

}  // namespace

void bootstrap(const std::string& administrator, const std::map<std::string, Secret>& passwords,
               const DatabaseNames& names) {
  Direct db(administrator);
  if (db.server_version() < 150000)
    fail(
        Code::failed_precondition, "database_too_old",
        "PostgreSQL 15 or newer is needed, this is " + std::to_string(db.server_version() / 10000));
  make_roles(db, passwords);
  make_database(db, administrator, names.directory);
  make_database(db, administrator, names.cell);
}

std::string conninfo_for(const std::string& base, const std::string& database,
                         const std::string& user, const Secret& password) {
  return rebuild(base, {{"dbname", database}, {"user", user}, {"password", password.reveal()}});
}

}  // namespace coditect::schema
