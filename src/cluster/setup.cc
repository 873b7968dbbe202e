#include "cluster/setup.h"

#include <algorithm>
#include <sstream>

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/digest.h"
#include "pg/conninfo.h"
#include "schema/bootstrap.h"
#include "schema/direct.h"
#include "schema/migrate.h"

namespace coditect::cluster {
namespace {

using schema::Direct;

constexpr const char* kOwner = "coditect_owner";
constexpr const char* kNodeConninfo =
    "sslmode=require connect_timeout=3 keepalives=1 keepalives_idle=5 keepalives_interval=2 "
    "keepalives_count=3 tcp_user_timeout=6000";

std::string file_text(const std::string& name) {
  for (const auto& file : setup_files())
    if (file.path.ends_with(name)) return std::string(file.text);
  fail(Code::internal, "setup_file_missing", name);
}

std::string with_cell(std::string sql, const std::string& quoted_cell) {
  constexpr std::string_view kPlace = ":\"cell\"";
  for (auto at = sql.find(kPlace); at != sql.npos; at = sql.find(kPlace, at + quoted_cell.size()))
    sql.replace(at, kPlace.size(), quoted_cell);
  return sql;
}

/// One by one: Citus forwards the text that a command came in.
void execute_all(Direct& db, const std::string& sql) {
  for (const auto& statement : schema::split_statements(sql)) db.execute(statement);
}

bool is_optional(const std::string& setting) { return setting.starts_with('?'); }

std::string address_of(const std::string& conninfo) {
  const auto port = pg::option_of(conninfo, "port");
  return pg::option_of(conninfo, "host") + ":" + (port.empty() ? "5432" : port);
}

bool compare(const std::string& have, const std::string& how, const std::string& want) {
  if (how == "has") return ("," + have + ",").contains(want);
  if (how == ">=") return std::atoll(have.c_str()) >= std::atoll(want.c_str());
  return have == want;
}

class Init {
 public:
  Init(const Setup& setup, const Report& report) : s_(setup), report_(report) {}

  void add() {
    preflight(s_.workers);
    if (s_.dry_run) return;
    find_owner_password();
    for (const auto& worker : s_.workers) prepare_node(worker, "worker");
    join_nodes();
  }

  void run() {
    auto servers = s_.workers;
    servers.insert(servers.begin(), s_.coordinator);
    check_addresses();
    preflight(servers);
    if (s_.dry_run) return describe();
    find_owner_password();
    prepare_node(s_.coordinator, "coordinator");
    for (const auto& worker : s_.workers) prepare_node(worker, "worker");
    if (!s_.patroni) join_nodes();
    Direct cell(in_cell(s_.coordinator));
    execute_all(cell, file_text("coordinator.sql"));
    choose_plans();
    distribute_tables(in_cell(s_.coordinator), s_.tables, report_);
  }

 private:
  /// Plans are made anew for each statement, at two to three times the cost, only where the
  /// extension would leak.
  void choose_plans() {
    if (s_.workers.empty()) return;
    const auto leak = plan_leak(in_cell(s_.coordinator));
    constexpr std::int64_t kTolerable = 1024;
    report_("a plan that is used again keeps " + std::to_string(leak) + " bytes a run: plans are " +
            (leak > kTolerable ? "made anew each time" : "kept"));
    if (leak > kTolerable) return;  // as roles.sql has set it
    auto servers = s_.workers;
    servers.push_back(s_.coordinator);
    for (const auto& server : servers) {
      Direct db(pg::with_options(server, {{"dbname", "postgres"}}));
      for (const char* role : {"coditect_app", "coditect_operator", "coditect_maintenance"})
        db.execute(std::string("ALTER ROLE ") + role + " IN DATABASE " + db.quote_name(s_.cell) +
                   " RESET plan_cache_mode");
    }
  }

  std::string in_cell(const std::string& conninfo) const {
    return pg::with_options(conninfo, {{"dbname", s_.cell}});
  }

  void preflight(const std::vector<std::string>& servers) {
    std::vector<std::string> lacking;
    const auto user = pg::option_of(servers.front(), "user");
    for (const auto& server : servers) {
      if (pg::option_of(server, "user") != user)
        lacking.push_back(address_of(server) + ": nodes log in to each other by one name: '" +
                          user + "' is the coordinator's administrator, '" +
                          pg::option_of(server, "user") + "' this one's");
      for (const auto& line : missing_for_node(server))
        lacking.push_back(address_of(server) + ": " + line);
      if (!s_.patroni) continue;
      for (const auto& line : unset_on_node(server))
        lacking.push_back(address_of(server) + ": " + line);
    }
    if (lacking.empty()) return;
    for (const auto& line : lacking) report_("not ready  " + line);
    fail(Code::failed_precondition, "node_not_ready",
         lacking.front() +
             (lacking.size() > 1 ? " (and " + std::to_string(lacking.size() - 1) + " more)" : ""));
  }

  /// Nodes reach each other by the addresses that are given here.
  void check_addresses() const {
    const auto is_local = [](const std::string& conninfo) {
      const auto host = pg::option_of(conninfo, "host");
      return host.empty() || host.starts_with('/') || host.starts_with("127.") ||
             host == "localhost" || host == "::1";
    };
    if (is_local(s_.coordinator) && !std::ranges::all_of(s_.workers, is_local))
      fail(Code::invalid_argument, "invalid_address",
           "--administrator names the coordinator by an address of this machine, which the workers "
           "cannot reach: give the host that they know it by");
  }

  void describe() {
    report_("would make roles, the database " + s_.cell + " and the extension citus on " +
            address_of(s_.coordinator) + " (coordinator)");
    for (const auto& worker : s_.workers)
      report_("would do the same on " + address_of(worker) + " (worker) and add it");
    if (!s_.patroni)
      for (const auto& [name, value] : settings_in("setup/settings.conf"))
        report_("would set " + name + " = " + value + " on every node");
    report_("would set citus.shard_count = " + shard_count() + " for the database " + s_.cell);
    try {
      if (const auto tables = to_distribute(in_cell(s_.coordinator), s_.tables); !tables.empty())
        report_("would distribute " + tables + ", for which requests would wait");
    } catch (const Failure& f) {  // a database that is to be made
      if (!f.error().detail.contains("does not exist")) throw;
    }
  }

  static std::string shard_count() {
    for (const auto& [name, value] : settings_in("sharding/policy.conf"))
      if (name == "shard_count") return value;
    fail(Code::internal, "setup_file_missing", "shard_count");
  }

  /// Nodes log in to each other as the owner of the tables too. Nobody is told this password: only
  /// the nodes' own lists have it, which only superusers can read.
  void find_owner_password() {
    try {
      Direct cell(in_cell(s_.coordinator));
      for (const auto& row :
           cell.query("SELECT authinfo FROM pg_dist_authinfo WHERE rolename = $1", {kOwner}))
        owner_password_ = pg::option_of(*row[0], "password");
    } catch (const Failure& f) {  // no such database or extension yet
      if (!f.error().detail.contains("does not exist")) throw;
    }
    if (owner_password_.empty()) owner_password_ = crypto::random_base62(43);
  }

  void prepare_node(const std::string& administrator, const char* kind) {
    schema::prepare_server(administrator, s_.passwords, {s_.cell});
    Direct db(pg::with_options(administrator, {{"dbname", "postgres"}}));
    quiet(db);
    const auto quoted_cell = db.quote_name(s_.cell);
    if (db.query("SELECT 1 FROM pg_roles WHERE rolname = $1", {kClusterRole}).empty())
      db.execute(std::string("CREATE ROLE ") + kClusterRole + " LOGIN SUPERUSER");
    set_password(db, kOwner, owner_password_, "LOGIN ");
    if (const auto it = s_.passwords.find(kClusterRole); it != s_.passwords.end())
      set_password(db, kClusterRole, it->second.reveal(), "");
    execute_all(db, with_cell(file_text("roles.sql"), quoted_cell));
    db.execute("ALTER DATABASE " + quoted_cell + " SET citus.shard_count = " + shard_count());
    // Patroni drops what it does not know of from a server's file.
    if (s_.patroni)
      set_optional(db, "ALTER DATABASE " + quoted_cell);
    else
      set_server(db, administrator);
    Direct cell(in_cell(administrator));
    quiet(cell);
    cell.execute("CREATE EXTENSION IF NOT EXISTS citus");
    execute_all(cell, file_text("node.sql"));
    write_credentials(cell);
    report_(address_of(administrator) + " is prepared (" + kind + ")");
  }

  /// Those that only some releases of PostgreSQL know.
  static void set_optional(Direct& db, const std::string& alter) {
    for (const auto& [name, value] : settings_in("setup/settings.conf"))
      if (is_optional(name) &&
          !db.query("SELECT 1 FROM pg_settings WHERE name = $1", {name.substr(1)}).empty())
        db.execute(alter + " SET " + name.substr(1) + " = " + value);
  }

  void set_server(Direct& db, const std::string& administrator) {
    for (const auto& [name, value] : settings_in("setup/settings.conf"))
      if (!is_optional(name)) db.execute("ALTER SYSTEM SET " + name + " = " + db.quote_text(value));
    set_optional(db, "ALTER SYSTEM");
    if (!s_.node_conninfo.empty() || db.query("SELECT source FROM pg_settings WHERE name = "
                                              "'citus.node_conninfo'")[0][0] == "default")
      db.execute("ALTER SYSTEM SET citus.node_conninfo = " +
                 db.quote_text(s_.node_conninfo.empty() ? kNodeConninfo : s_.node_conninfo));
    // A node logs in to itself, too; "localhost" is in no certificate.
    if (const auto host = pg::option_of(administrator, "host");
        !host.empty() && !host.starts_with('/') &&
        db.query("SELECT source FROM pg_settings WHERE name = 'citus.local_hostname'")[0][0] ==
            "default")
      db.execute("ALTER SYSTEM SET citus.local_hostname = " + db.quote_text(host));
    db.execute("SELECT pg_reload_conf()");
  }

  /// No password in the server's log, whatever its settings.
  static void quiet(Direct& db) {
    db.execute("SET log_statement = 'none'");
    db.execute("SET log_min_error_statement = 'panic'");
    db.execute("SET log_min_duration_statement = -1");
  }

  static void set_password(Direct& db, const std::string& role, const std::string& password,
                           const std::string& options) {
    db.execute("ALTER ROLE " + role + " " + options + "PASSWORD " +
               db.quote_text(db.scram_verifier(password, role)));
  }

  /// Citus copies everything to new nodes but this.
  void write_credentials(Direct& cell) {
    std::map<std::string, std::string> known{
        {kOwner, owner_password_},
        {pg::option_of(s_.coordinator, "user"), pg::option_of(s_.coordinator, "password")}};
    for (const auto& [role, password] : s_.passwords) known[role] = password.reveal();
    cell.execute("BEGIN");
    for (const auto& [role, password] : known) {
      if (password.empty()) continue;
      cell.query("DELETE FROM pg_dist_authinfo WHERE nodeid = 0 AND rolename = $1", {role});
      cell.query("INSERT INTO pg_dist_authinfo (nodeid, rolename, authinfo) VALUES (0, $1, $2)",
                 {role, pg::with_options("", {{"password", password}})});
    }
    cell.execute("COMMIT");
  }

  void join_nodes() {
    Direct cell(in_cell(s_.coordinator));
    const auto host = [](const std::string& conninfo) {
      const auto name = pg::option_of(conninfo, "host");
      return name.empty() || name.starts_with("/") ? std::string("127.0.0.1") : name;
    };
    const auto port = [](const std::string& conninfo) {
      const auto text = pg::option_of(conninfo, "port");
      return text.empty() ? std::string("5432") : text;
    };
    const auto coordinator =
        cell.query("SELECT nodename, nodeport::text FROM pg_dist_node WHERE groupid = 0");
    if (coordinator.empty() || coordinator[0][1] != port(s_.coordinator) ||
        (coordinator[0][0] != host(s_.coordinator) && s_.coordinator.contains("host='/") == false))
      cell.query("SELECT citus_set_coordinator_host($1, $2::int)",
                 {host(s_.coordinator), port(s_.coordinator)});
    for (const auto& worker : s_.workers) {
      if (!cell.query("SELECT 1 FROM pg_dist_node WHERE nodename = $1 AND nodeport = $2::int",
                      {host(worker), port(worker)})
               .empty())
        continue;
      cell.query("SELECT citus_add_node($1, $2::int)", {host(worker), port(worker)});
      report_(address_of(worker) + " is a node of the cluster");
    }
  }

  const Setup& s_;
  const Report& report_;
  std::string owner_password_;
};

}  // namespace

std::vector<std::pair<std::string, std::string>> settings_in(const std::string& file) {
  std::vector<std::pair<std::string, std::string>> out;
  std::istringstream lines(file_text(file));
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    const auto equals = line.find('=');
    out.emplace_back(trim(line.substr(0, equals)), trim(line.substr(equals + 1)));
  }
  return out;
}

std::vector<std::string> missing_for_node(const std::string& administrator) {
  std::vector<std::string> out;
  Direct db(pg::with_options(administrator, {{"dbname", "postgres"}}));
  if (db.query("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")[0][0] != "t")
    out.push_back("the administrator must be a superuser, as the extension citus asks for");
  if (db.query("SELECT 1 FROM pg_available_extensions WHERE name = 'citus'").empty())
    out.push_back("the extension citus is not installed; see docs/SCALING.md");
  std::istringstream lines(file_text("setup/restart.conf"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, how, want;
    if (!(words >> name >> how >> want) || name[0] == '#') continue;
    const auto rows = db.query("SELECT setting FROM pg_settings WHERE name = $1", {name});
    const auto have = rows.empty() ? std::string() : *rows[0][0];
    if (!compare(have, how, want))
      out.push_back(name + " is " + (have.empty() ? "empty" : have) + ", which must be " +
                    (how == "="     ? ""
                     : how == "has" ? "with "
                                    : "at least ") +
                    want + ": set it and restart the server");
  }
  return out;
}

std::vector<std::string> unset_on_node(const std::string& administrator) {
  std::vector<std::string> out;
  Direct db(pg::with_options(administrator, {{"dbname", "postgres"}}));
  for (const auto& [name, want] : settings_in("setup/settings.conf")) {
    if (is_optional(name)) continue;
    const auto rows = db.query(
        "SELECT setting, CASE WHEN $2 !~ '^-?[0-9]+$' AND unit IN ('ms', 's') THEN "
        "(extract(epoch FROM $2::interval) * CASE unit WHEN 'ms' THEN 1000 ELSE 1 "
        "END)::bigint::text ELSE $2 END FROM pg_settings WHERE name = $1",
        {name, want});
    const auto have = rows.empty() ? std::string("not known") : *rows[0][0];
    if (rows.empty() || have != *rows[0][1])
      out.push_back(name + " is " + have + ", which must be " + want +
                    ": set it in Patroni's configuration");
  }
  return out;
}

std::int64_t plan_leak(const std::string& coordinator_cell) {
  Direct db(coordinator_cell);
  db.execute("DROP TABLE IF EXISTS coditect_cluster.plan_probe");
  db.execute("CREATE TABLE coditect_cluster.plan_probe (tenant_id bigint PRIMARY KEY)");
  db.execute(
      "SELECT create_distributed_table('coditect_cluster.plan_probe', 'tenant_id', colocate_with "
      "=> "
      "'none', shard_count => 1)");
  const auto place = db.query(
      "SELECT n.nodename, n.nodeport FROM pg_dist_shard s JOIN pg_dist_placement p USING (shardid) "
      "JOIN pg_dist_node n USING (groupid) WHERE s.logicalrelid = "
      "'coditect_cluster.plan_probe'::regclass");
  std::int64_t kept = 0;
  {
    Direct worker(pg::with_options(
        coordinator_cell, {{"host", *place[0][0]}, {"hostaddr", ""}, {"port", *place[0][1]}}));
    worker.execute("SET plan_cache_mode = 'force_generic_plan'");
    worker.execute(
        "PREPARE probe (bigint) AS SELECT tenant_id FROM coditect_cluster.plan_probe WHERE "
        "tenant_id = $1");
    const auto memory = [&worker] {
      return std::stoll(
          *worker.query("SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts")[0][0]);
    };
    constexpr int kWarm = 20, kRuns = 300;
    for (int i = 0; i < kWarm; ++i) worker.execute("EXECUTE probe (1)");
    const auto before = memory();
    for (int i = 0; i < kRuns; ++i) worker.execute("EXECUTE probe (1)");
    kept = std::max<std::int64_t>(memory() - before, 0) / kRuns;
  }
  db.execute("DROP TABLE coditect_cluster.plan_probe");
  return kept;
}

void update_ports(const Setup& setup, const std::map<std::string, std::string>& moved,
                  const Report& report) {
  if (moved.empty()) return;
  Direct cell(pg::with_options(setup.coordinator, {{"dbname", setup.cell}}));
  for (const auto& [before, now] : moved) {
    const auto colon = [](const std::string& address) { return address.rfind(':'); };
    cell.query(
        "SELECT citus_update_node(nodeid, $1, $2::int) FROM pg_dist_node WHERE nodename = $3 AND "
        "nodeport = $4::int",
        {now.substr(0, colon(now)), now.substr(colon(now) + 1), before.substr(0, colon(before)),
         before.substr(colon(before) + 1)});
    report(before + " is at " + now + " now");
  }
}

void init(const Setup& given, const Report& report) {
  auto setup = given;
  // Also the nodes that were added since: a changed password must reach all.
  try {
    Direct cell(pg::with_options(setup.coordinator, {{"dbname", setup.cell}}));
    if (setup.patroni) {
      const auto coordinator = cell.query(
          "SELECT nodename, nodeport FROM pg_dist_node WHERE groupid = 0 AND noderole = 'primary'");
      if (coordinator.empty())
        fail(Code::failed_precondition, "not_registered",
             "Patroni has not put the coordinator into the list of nodes yet");
      setup.coordinator = pg::with_options(
          setup.coordinator,
          {{"host", *coordinator[0][0]}, {"hostaddr", ""}, {"port", *coordinator[0][1]}});
    }
    for (const auto& row : cell.query("SELECT nodename, nodeport FROM pg_dist_node WHERE groupid > "
                                      "0 AND noderole = 'primary'")) {
      const auto worker = pg::with_options(
          setup.coordinator, {{"host", *row[0]}, {"hostaddr", ""}, {"port", *row[1]}});
      const auto same = [&worker](const std::string& w) {
        return address_of(w) == address_of(worker);
      };
      if (std::ranges::none_of(setup.workers, same)) setup.workers.push_back(worker);
    }
  } catch (const Failure& f) {  // no such database or extension yet
    if (setup.patroni || !f.error().detail.contains("does not exist")) throw;
  }
  if (setup.patroni && setup.workers.empty())
    fail(Code::failed_precondition, "not_registered",
         "Patroni has not put a worker into the list of nodes yet");
  Init(setup, report).run();
}
void add(const Setup& setup, const Report& report) { Init(setup, report).add(); }

}  // namespace coditect::cluster
