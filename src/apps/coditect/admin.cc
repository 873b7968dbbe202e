#include <cstdio>
#include <fstream>

#include "apps/coditect/commands.h"
#include "apps/coditect/serving.h"
#include "apps/coditect/state_dir.h"
#include "auth/credential.h"
#include "http/client.h"
#include "schema/direct.h"
#include "schema/migrate.h"
#include "schema/verify.h"

namespace coditect::app {
namespace {

using namespace std::chrono_literals;

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

struct Set {
  std::string name, conninfo;
};

std::vector<Set> sets(const ProgramSettings& s) {
  if (s.database.url.empty())
    fail(Code::invalid_argument, "setting_missing",
         "set database.url (--database-url or CODITECT_DATABASE_URL)");
  return {{"directory", s.directory_conninfo("coditect_migrator", s.database.migrator_password)},
          {"cell", s.cell_conninfo("coditect_migrator", s.database.migrator_password)}};
}

/// A migration's number, with its origin when it is not the platform's.
std::string numbered(const std::string& origin, int version) {
  return (origin == schema::kPlatform ? "" : origin + " ") + std::to_string(version);
}

/// Adds an operator as somebody who may; the text of its key.
std::string add_operator(schema::Direct& db, const crypto::Keyring& keys, const std::string& name) {
  const auto id = auth::OperatorId::make();
  const auto token = auth::OperatorToken::make(id);
  const auto mac = auth::secret_mac(keys, token.secret);
  db.query(
      "INSERT INTO operators (id, name, secret_key, secret_hash, created_at) VALUES ($1, $2, $3, "
      "decode($4, 'hex'), now())",
      {to_string(id.uuid()), name, mac.key_id, to_hex(mac.bytes)});
  return token.text().reveal();
}

}  // namespace

int migrate(const Application& application, const ProgramSettings& settings, MigrateAction action,
            const std::string& only) {
  int problems = 0;
  for (const auto& set : sets(settings)) {
    if (!only.empty() && set.name != only) continue;
    const auto migrations = schema::migrations_of(set.name, application.migrations);
    if (action == MigrateAction::up) {
      schema::migrate(set.conninfo, migrations,
                      [&set](const std::string& line) { say(set.name + ": " + line); });
      say(set.name + ": up to date");
    } else if (action == MigrateAction::verify) {
      const auto found = set.name == "cell"
                             ? schema::verify_cell(set.conninfo, application.tables)
                             : schema::verify_directory(set.conninfo, application.tables);
      for (const auto& line : found) say(set.name + ": " + line);
      if (found.empty()) say(set.name + ": the catalog agrees with the registry");
      problems += static_cast<int>(found.size());
    } else {
      const auto plan = schema::plan(set.conninfo, migrations);
      if (action == MigrateAction::status)
        for (const auto& a : plan.applied)
          say(set.name + ": " + numbered(a.origin, a.version) + " " + a.name +
              (a.finished ? " applied" : " half done"));
      for (const auto& m : plan.pending)
        say(set.name + ": " + numbered(m.origin, m.version) + " " + m.name + " pending (" +
            (m.mode == schema::Mode::online ? "online" : "transactional") + ")");
      if (plan.pending.empty()) say(set.name + ": nothing is pending");
    }
  }
  return problems == 0 ? 0 : 1;
}

int bootstrap(const ProgramSettings& settings, const std::string& administrator,
              const std::string& cell_administrator) {
  const auto& d = settings.database;
  const auto passwords = d.role_passwords();
  const auto directory = administrator.empty() ? d.url.reveal() : administrator;
  const auto cell = !cell_administrator.empty()  ? cell_administrator
                    : !settings.cell.url.empty() ? settings.cell.url.reveal()
                                                 : directory;
  if (cell == directory) {
    schema::prepare_server(directory, passwords, {d.names.directory, d.names.cell});
  } else {
    schema::prepare_server(directory, passwords, {d.names.directory});
    schema::prepare_server(cell, passwords, {d.names.cell});
  }
  if (!d.identity_password.empty())
    schema::prepare_identity(directory, d.names.identity, d.identity_password);
  say("roles and databases are there; next: coditect migrate up");
  return 0;
}

int show_settings(const config::Table& table, bool markdown) {
  if (markdown) {
    say("# Settings\n\nWritten by `coditect settings --markdown`. The flag of `a.b_c` is "
        "`--a-b-c`, the variable `CODITECT_A_B_C`.\n");
    say("| setting | type | default | meaning |\n|---|---|---|---|");
    for (const auto& s : table.all())
      say("| `" + s.name + "` | " + s.type + " | " +
          (s.shown().empty() ? "" : "`" + s.shown() + "`") + " | " + s.help + " |");
    return 0;
  }
  for (const auto& s : table.all()) {
    std::printf("%-32s %-28s (%s)\n", s.name.c_str(),
                s.shown().empty() ? "\"\"" : s.shown().c_str(), s.source.c_str());
    std::printf("    %s; %s, %s\n", s.help.c_str(), s.flag().c_str(), s.variable().c_str());
  }
  return 0;
}

int new_key() {
  say(crypto::Keyring::generate().reveal());
  return 0;
}

int new_operator(const ProgramSettings& settings, const std::string& name) {
  const auto keys = load_keys(settings);
  schema::Direct db(
      settings.directory_conninfo("coditect_operator", settings.database.operator_password));
  say(add_operator(db, keys, name));
  return 0;
}

std::optional<std::string> first_operator(const ProgramSettings& settings, const std::string&) {
  const auto keys = load_keys(settings);
  schema::Direct db(
      settings.directory_conninfo("coditect_operator", settings.database.operator_password));
  return add_operator(db, keys, "local administrator");
}

int admin(const AdminOptions& o) {
  auto url = o.url;
  auto key = o.key;
  if (key.empty()) {
    const auto state = StateDir::open(o.state);
    const auto text = state.read_file("operator.key");
    if (!text)
      fail(Code::unauthenticated, "operator_key_missing",
           "give --key (or CODITECT_OPERATOR_KEY), or --state of a running 'coditect up'");
    key = trim(*text);
    if (url.empty()) {
      const auto ports = state.read_values("ports");
      if (ports.contains("http")) url = "http://127.0.0.1:" + ports.at("http");
    }
  }
  if (url.empty()) url = "http://127.0.0.1:8080";
  const bool changes = o.command == "suspend" || o.command == "resume" || o.command == "undelete";
  const bool needs_reason = changes || o.command == "usage";
  if (needs_reason && o.reason.empty())
    fail(Code::invalid_argument, "reason_missing",
         "say why with --reason; it is kept in the operator log");
  if (needs_reason && (o.reason.size() < 3 || o.reason.find_first_of("\r\n") != std::string::npos))
    fail(Code::invalid_argument, "reason_malformed",
         "--reason is one line of at least 3 characters");
  auto path = url + "/v1/operator/" + (o.command == "log" ? "log" : "tenants");
  if (o.command == "list") {
    std::string query;
    if (!o.member_email.empty()) query = "?member_email=" + http::percent_encode(o.member_email);
    if (!o.tenant_state.empty())
      query += (query.empty() ? "?state=" : "&state=") + http::percent_encode(o.tenant_state);
    path += query;
  } else if (o.command != "log") {
    path += "/" + http::percent_encode(o.tenant);
    if (o.command != "show") path += "/" + o.command;
  }
  std::vector<http::Header> headers{{"Authorization", "Bearer " + key}};
  if (!o.reason.empty()) headers.push_back({"X-Reason", o.reason});
  const auto answer = http::fetch_now(changes ? "POST" : "GET", path, std::move(headers), "", 30s);
  say(answer.body);
  if (answer.status / 100 == 2) return 0;
  if (answer.status == 404) return exit_code(Code::not_found);
  if (answer.status == 401) return exit_code(Code::unauthenticated);
  return answer.status == 409 ? exit_code(Code::conflict) : exit_code(Code::internal);
}

}  // namespace coditect::app
