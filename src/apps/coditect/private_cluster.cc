#include "apps/coditect/private_cluster.h"

#include <set>

#include "cluster/cluster.h"
#include "cluster/setup.h"
#include "obs/log.h"
#include "pg/conninfo.h"
#include "schema/direct.h"

namespace coditect::app {
namespace {

std::string name_of(std::size_t worker) { return "citus-worker-" + std::to_string(worker + 1); }

/// Those that were nodes once and were taken out.
std::set<std::string> removed_workers(const StateDir& state, const cluster::Setup& setup) {
  std::set<std::string> out;
  const auto known = state.read_values("citus-nodes");
  if (known.empty()) return out;
  schema::Direct cell(pg::with_options(setup.coordinator, {{"dbname", setup.cell}}));
  for (const auto& [name, address] : known)
    if (cell.query("SELECT 1 FROM pg_dist_node WHERE nodename || ':' || nodeport = $1", {address})
            .empty())
      out.insert(name);
  return out;
}

/// The workers whose port was taken by somebody else since the last run: old address to new.
std::map<std::string, std::string> moved_workers(const StateDir& state,
                                                 const EmbeddedServers& servers) {
  std::map<std::string, std::string> moved;
  const auto known = state.read_values("citus-nodes");
  const auto now = servers.citus_workers();
  for (std::size_t i = 0; i < now.size(); ++i)
    if (const auto at = known.find(name_of(i)); at != known.end() && at->second != now[i])
      moved[at->second] = now[i];
  return moved;
}

}  // namespace

void prepare_private_cluster(const Application& application, const ProgramSettings& settings,
                             const StateDir& state, const EmbeddedServers& servers) {
  cluster::Setup setup;
  setup.coordinator = settings.cell_url().reveal();
  setup.cell = settings.database.names.cell;
  setup.passwords = settings.database.role_passwords();
  setup.passwords.emplace(cluster::kClusterRole, settings.database.cluster_password);
  const auto removed = removed_workers(state, setup);
  const auto workers = servers.citus_workers();
  auto nodes = state.read_values("citus-nodes");
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (removed.contains(name_of(i))) continue;
    nodes[name_of(i)] = workers[i];
    const auto [host, port] = cluster::parse_address(workers[i], "worker");
    setup.workers.push_back(
        pg::with_options(setup.coordinator, {{"host", host}, {"port", std::to_string(port)}}));
  }
  setup.tables = {application.tables.begin(), application.tables.end()};
  const auto report = [](const std::string& line) {
    obs::log(obs::Level::info, "cluster", {{"step", line}});
  };
  cluster::update_ports(setup, moved_workers(state, servers), report);
  auto known = state.read_values("citus-nodes");
  for (auto& [name, address] : known)
    if (const auto at = nodes.find(name); at != nodes.end()) address = at->second;
  state.write_values("citus-nodes", known);  // new ones only when they are nodes
  cluster::init(setup, report);
  state.write_values("citus-nodes", nodes);
}

}  // namespace coditect::app
