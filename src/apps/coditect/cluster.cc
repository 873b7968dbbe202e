#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "apps/coditect/commands.h"
#include "apps/coditect/progress_line.h"
#include "apps/coditect/state_dir.h"
#include "cluster/operations.h"
#include "cluster/status.h"
#include "pg/conninfo.h"
#include "schema/direct.h"

namespace coditect::app {
namespace {

using namespace std::chrono_literals;

volatile std::sig_atomic_t stop_asked = 0;

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

/// How far a move is.
class MoveLine {
 public:
  void show(const std::string& what, std::int64_t done, std::int64_t all, double left) {
    if (!line_.due()) return;
    const auto mib = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    line_.show(fmt::format("{}: {:.1f} of {:.1f} MiB{}", what, mib(done), mib(all),
                           left >= 0 ? fmt::format(", {:.0f} s left", left) : ""));
  }
  void end() { line_.clear(); }

 private:
  ProgressLine line_;
};

/// The tenant's number, by its slug, in the directory.
std::int64_t tenant_of(const ProgramSettings& s, const std::string& slug) {
  schema::Direct db(s.directory_conninfo("coditect_operator", s.database.operator_password));
  const auto rows = db.query("SELECT id FROM tenants WHERE slug = $1", {slug});
  if (rows.empty())
    fail(Code::not_found, "tenant_not_found", "no organization has the slug '" + slug + "'");
  return std::stoll(*rows[0][0]);
}

std::string slug_of(const ProgramSettings& s, std::int64_t tenant) {
  schema::Direct db(s.directory_conninfo("coditect_operator", s.database.operator_password));
  const auto rows =
      db.query("SELECT slug FROM tenants WHERE id = $1::bigint", {std::to_string(tenant)});
  return rows.empty() ? std::to_string(tenant) : *rows[0][0];
}

/// Numbers of tenants are for programs; people know slugs.
void add_slugs(const ProgramSettings& s, boost::json::object& status) {
  for (const char* list : {"tenants_by_size", "tenants_by_load"}) {
    if (!status.contains(list)) continue;
    for (auto& t : status[list].as_array()) {
      auto& id = t.as_object()["tenant_id"];
      const auto number =
          id.is_string() ? std::atoll(id.as_string().c_str()) : id.to_number<std::int64_t>();
      t.as_object()["slug"] = slug_of(s, number);
    }
  }
}

int show_status(cluster::Cluster& c, const ProgramSettings& s, const ClusterOptions& o) {
  do {
    auto status = cluster::status(c, o.top, o.shards);
    if (o.load > 0)
      status["tenants_by_load"] =
          cluster::busiest_tenants(c, o.load, o.top, [] { return stop_asked != 0; });
    add_slugs(s, status);
    if (o.json)
      say(boost::json::serialize(status));
    else
      say((o.watch && isatty(STDOUT_FILENO) == 1 ? "\033[H\033[J" : "") +
          cluster::status_text(status));
    for (double waited = 0; o.watch && waited < o.every && stop_asked == 0; waited += 0.1)
      std::this_thread::sleep_for(100ms);
  } while (o.watch && stop_asked == 0);
  return 0;
}

int show_log(cluster::Cluster& c, const ClusterOptions& o) {
  const auto all = cluster::operations(c, o.last);
  if (o.json) {
    say(boost::json::serialize(all));
    return 0;
  }
  for (const auto& value : all) {
    const auto& op = value.as_object();
    const auto text = [&op](const char* name) {
      return op.at(name).is_string() ? std::string(op.at(name).as_string()) : std::string("-");
    };
    say(fmt::format("{}  {:<12} {:<12} {} {}  {}", text("started_at").substr(0, 19),
                    text("operation"), text("state"), boost::json::serialize(op.at("arguments")),
                    text("started_by"), text("outcome")));
  }
  return 0;
}

int init(const Application& application, ProgramSettings& s, const ClusterOptions& o) {
  cluster::Setup setup;
  setup.coordinator = o.administrator.empty() ? s.cell_url().reveal() : o.administrator;
  if (setup.coordinator.empty())
    fail(Code::invalid_argument, "setting_missing",
         "give --administrator, a superuser's connection string to the coordinator");
  setup.cell = s.database.names.cell;
  setup.node_conninfo = o.node_conninfo;
  setup.patroni = o.patroni;
  if (o.patroni && !(o.workers.empty() && o.node_conninfo.empty()))
    fail(Code::invalid_argument, "invalid_option",
         "--patroni takes the workers and their options from Patroni: without --worker and "
         "--node-conninfo");
  setup.dry_run = o.dry_run;
  setup.tables = {application.tables.begin(), application.tables.end()};
  for (const auto& worker : o.workers) {
    const auto [host, port] = cluster::parse_address(worker, "--worker");
    setup.workers.push_back(pg::with_options(
        setup.coordinator, {{"host", host}, {"hostaddr", ""}, {"port", std::to_string(port)}}));
  }
  setup.passwords = s.database.role_passwords();
  if (!s.database.cluster_password.empty())
    setup.passwords.emplace(cluster::kClusterRole, s.database.cluster_password);
  for (const char* role : {"coditect_app", "coditect_operator", "coditect_maintenance",
                           "coditect_migrator", "coditect_import", cluster::kClusterRole})
    if (!setup.passwords.contains(role))
      say(std::string("note: no password for ") + role +
          " is given; nodes cannot log in to each other as this role until one is");
  cluster::init(setup, [](const std::string& line) { say(line); });
  if (!o.dry_run) say("the cluster is set up; next: coditect migrate up, coditect cluster status");
  return 0;
}

/// With a superuser for the new server: the setting's options at the new address.
std::string administrator_at(const ClusterOptions& o, const cluster::Cluster& c) {
  const auto [host, port] = cluster::parse_address(o.node, "NODE");
  auto base = o.administrator;
  if (base.empty()) {
    // Of a running 'coditect up', whose servers all have the same; else the cluster's own role.
    const auto secrets = StateDir::open(o.state).read_values("secrets");
    const auto known = secrets.find("postgres");
    base = known == secrets.end() ? c.conninfo()
                                  : pg::with_options(c.conninfo(), {{"user", "coditect_admin"},
                                                                    {"password", known->second}});
  }
  return pg::with_options(
      base,
      {{"host", host}, {"hostaddr", ""}, {"port", std::to_string(port)}, {"dbname", "postgres"}});
}

}  // namespace

int cluster(const std::string& command, const Application& application, ProgramSettings& s,
            const ClusterOptions& o) {
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  if (command == "init") return init(application, s, o);
  if (s.database.url.empty() && s.cell.url.empty()) {
    settings_from_state(s, o.state);
    if (s.cell.url.empty() && !StateDir::open(o.state).read_file("citus"))
      fail(Code::failed_precondition, "not_a_cluster",
           "the cell of " + o.state +
               " is one PostgreSQL: 'coditect up --citus 3' makes it a cluster, 'coditect cluster "
               "init' one of your own servers");
  }
  cluster::Cluster c(s.cell_conninfo(cluster::kClusterRole, s.database.cluster_password));
  MoveLine line;
  cluster::Options options;
  options.dry_run = o.dry_run;
  options.force = o.force;
  options.block_writes = o.block_writes;
  options.stopped = [] { return stop_asked != 0; };
  options.report = [&line](const std::string& text) { line.end(), say(text); };
  options.progress = [&line](const std::string& what, std::int64_t done, std::int64_t all,
                             double left) { line.show(what, done, all, left); };
  constexpr int kStopped = 130;
  try {
    if (command == "status") return show_status(c, s, o);
    if (command == "log") return show_log(c, o);
    if (command == "stop") {
      say(cluster::ask_to_stop(c) ? "it stops after its present step" : "no operation runs");
    } else if (command == "add-node") {
      cluster::add_node(c, administrator_at(o, c), options);
      if (!o.dry_run) say("next: coditect cluster rebalance");
    } else if (command == "remove-node") {
      if (!cluster::remove_node(c, o.node, options)) return kStopped;
    } else if (command == "rebalance") {
      const auto by = o.by_shards ? cluster::Balance::shards : cluster::Balance::size;
      if (!cluster::rebalance(c, by, options)) return kStopped;
    } else if (command == "isolate") {
      cluster::isolate(c, tenant_of(s, o.tenant), o.node, options);
    } else if (command == "move") {
      cluster::move_shard(c, o.shard, o.node, options);
    } else if (command == "split") {
      cluster::split(c, o.shard, o.pieces, options);
    } else if (command == "failover") {
      cluster::failover(c, o.node, o.address, options);
    } else if (command == "restore-point") {
      say("restore point '" + o.name + "' at " + cluster::restore_point(c, o.name, options));
    } else if (command == "verify") {
      const auto problems = cluster::verify(c, application.tables, o.rows, options.report);
      for (const auto& problem : problems) say(problem);
      if (problems.empty()) say("every node agrees with the registry");
      return problems.empty() ? 0 : 1;
    }
  } catch (const Failure& f) {  // the line on the terminal ends before the error is told
    line.end();
    if (f.error().reason == "stopped") {
      say(f.error().detail);
      return kStopped;
    }
    throw;
  }
  line.end();
  return 0;
}

}  // namespace coditect::app
