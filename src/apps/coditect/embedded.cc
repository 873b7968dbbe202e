#include "apps/coditect/embedded.h"

#include <libpq-fe.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <thread>

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/digest.h"
#include "obs/log.h"

namespace coditect::app {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string find_postgres_bin(const std::string& data_version) {
  int newest = 0;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ec)) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (!fs::exists(entry.path() / "bin/postgres", ec)) continue;
    if (!data_version.empty() ? version == std::atoi(data_version.c_str()) : version >= 15)
      newest = std::max(newest, version);
  }
  if (newest == 0)
    fail(Code::failed_precondition, "postgres_version",
         data_version.empty()
             ? "PostgreSQL 15 or newer is not installed; run scripts/setup.sh"
             : "the data is of PostgreSQL " + data_version +
                   ", which is not installed; install it or choose another --state");
  return "/usr/lib/postgresql/" + std::to_string(newest) + "/bin";
}

bool has_citus(const std::string& bin_dir) {
  std::error_code ec;
  return fs::exists(fs::path(bin_dir).parent_path() / "lib/citus.so", ec);
}

void EmbeddedServers::prepare_secrets() {
  secrets_ = state_.read_values("secrets");
  std::error_code ec;
  if (!secrets_.contains("postgres") && fs::exists(state_.file("postgres/PG_VERSION"), ec))
    fail(Code::failed_precondition, "state_directory_damaged",
         state_.file("secrets") +
             " has lost the database's password: restore it, or start with another --state");
  bool changed = false;
  for (const char* name : {"postgres", "redis"})
    if (!secrets_.contains(name)) secrets_[name] = crypto::random_base62(32), changed = true;
  if (changed) state_.write_values("secrets", secrets_);
}

void EmbeddedServers::start(const Options& options) {
  prepare_secrets();
  socket_dir_ = state_.socket_dir();
  for (const auto& dir : {state_.file("log"), state_.file("redis"), socket_dir_}) {
    mkdir(dir.c_str(), 0700);
    struct stat s{};
    if (stat(dir.c_str(), &s) != 0 || s.st_uid != geteuid())
      fail(Code::unavailable, "state_directory_unusable",
           dir + " cannot be made or belongs to somebody else");
  }
  stop_leftover(socket_dir_ + "/redis.pid", "redis-server", SIGTERM, SIGKILL);
  for (int n = 1; n <= kRedisClusterServers; ++n)
    stop_leftover(socket_dir_ + "/redis-" + std::to_string(n) + ".pid", "redis-server", SIGTERM,
                  SIGKILL);
  plan_servers(options);
  for (const auto& server : servers_)
    stop_leftover(state_.file(server.name + "/postmaster.pid"), "postgres", SIGINT, SIGQUIT);
  auto ports = state_.read_values("ports");
  std::set<int> taken;
  const auto port_for = [&](const std::string& name) {
    int port = choose_port(ports.contains(name) ? std::atoi(ports[name].c_str()) : 0);
    while (!taken.insert(port).second) port = choose_port(0);
    ports[name] = std::to_string(port);
    return port;
  };
  for (auto& server : servers_) server.port = port_for(server.name);
  redis_port_ = port_for("redis");
  if (options.redis == Redis::cluster) {
    start_redis_cluster();
    ports["redis"] = std::to_string(cluster_ports_.front());
  }
  state_.write_values("ports", ports);
  // All start at once; each is waited for.
  if (options.postgres)
    for (const auto& server : servers_) start_server(server);
  if (options.redis == Redis::one) start_redis();
  if (options.postgres)
    for (const auto& server : servers_) wait_for_server(server);
  if (options.redis == Redis::one) wait_for_redis("redis");
  if (options.redis == Redis::cluster) form_redis_cluster();
}

/// Which PostgreSQL servers there are, from the options and from what there was: data that is there
/// stays in use. A fresh cluster has a coordinator of its own beside the directory's server, so
/// that the loss of one is not the loss of the other; a server that had the tenants before becomes
/// the coordinator.
void EmbeddedServers::plan_servers(const Options& options) {
  std::error_code ec;
  auto topology = state_.read_values("citus");
  const bool had_data = fs::exists(state_.file("postgres/PG_VERSION"), ec);
  int workers = std::max(options.citus_workers,
                         topology.contains("workers") ? std::atoi(topology["workers"].c_str()) : 0);
  if (workers > 0 && !topology.contains("coordinator"))
    topology["coordinator"] = had_data ? "postgres" : "citus-coordinator";
  const auto coordinator = topology["coordinator"];
  servers_ = {{"postgres", 0, coordinator == "postgres"}};
  if (workers == 0 || !options.postgres) return;
  if (coordinator != "postgres") servers_.push_back({coordinator, 0, true});
  for (int n = 1; n <= workers; ++n)
    servers_.push_back({"citus-worker-" + std::to_string(n), 0, true});
  topology["workers"] = std::to_string(workers);
  std::string version;
  if (auto text = state_.read_file("postgres/PG_VERSION")) version = trim(*text);
  if (!has_citus(find_postgres_bin(version)))
    fail(Code::failed_precondition, "citus_missing",
         "--citus needs the extension citus for the PostgreSQL at " + find_postgres_bin(version) +
             ": install a package of Citus 13 for it (https://docs.citusdata.com/en/stable/"
             "installation/), or build it from https://github.com/citusdata/citus with its "
             "./configure, make and make install");
  state_.write_values("citus", topology);
}

/// An eighth of the machine's memory for all servers, which is touched only as data comes in.
static std::string shared_buffers(std::size_t servers) {
  const auto bytes = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return std::to_string(std::clamp<std::int64_t>(
             (bytes / 8 >> 20) / static_cast<std::int64_t>(servers), 128, 4096)) +
         "MB";
}

/// The data directory of a server, where it is missing.
void EmbeddedServers::make_cluster(const std::string& name) {
  const auto data = state_.file(name);
  std::string version;
  std::error_code ec;
  if (fs::exists(data, ec)) {
    if (auto text = state_.read_file(name + "/PG_VERSION"))
      version = trim(*text);
    else if (!fs::is_empty(data, ec))
      fail(Code::failed_precondition, "state_directory_damaged",
           data + " has no PG_VERSION: it is damaged; restore it, or start with another --state");
  }
  bin_dir_ = find_postgres_bin(version);
  if (!version.empty()) return;
  // Made beside and renamed: a start that is killed here leaves no half cluster.
  const auto fresh = state_.file(name + ".new");
  const auto log = state_.file("log/" + name + ".log");
  fs::remove_all(fresh, ec);
  state_.write_file("initial-password", secrets_["postgres"] + "\n");
  const int status = run_and_wait(
      {bin_dir_ + "/initdb", "-D", fresh, "-U", "coditect_admin", "--auth-local=scram-sha-256",
       "--auth-host=scram-sha-256", "--pwfile=" + state_.file("initial-password"),
       "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"},
      log);
  unlink(state_.file("initial-password").c_str());
  Child made("postgres", {}, log, SIGINT);
  if (status != 0) server_failed(made, "initdb failed with status " + std::to_string(status));
  fs::remove(data, ec);
  fs::rename(fresh, data, ec);
  if (ec)
    fail(Code::unavailable, "state_directory_unusable",
         "cannot rename " + fresh + ": " + ec.message());
}

void EmbeddedServers::start_server(const Server& server) {
  make_cluster(server.name);
  std::vector<std::string> command{bin_dir_ + "/postgres",
                                   "-D",
                                   state_.file(server.name),
                                   "-p",
                                   std::to_string(server.port),
                                   "-k",
                                   socket_dir_};
  std::vector<std::string> settings{
      "listen_addresses=127.0.0.1",
      // Workers connect to each other for every session they serve.
      "max_connections=" + std::string(server.citus ? "400" : "200"),
      "shared_buffers=" + shared_buffers(servers_.size()), "wal_level=logical", "max_wal_size=2GB",
      "logging_collector=off", "unix_socket_permissions=0700", "password_encryption=scram-sha-256"};
  if (server.citus) {
    settings.insert(settings.end(),
                    {"shared_preload_libraries=citus", "max_worker_processes=32",
                     "max_replication_slots=32", "max_wal_senders=32",
                     "max_logical_replication_workers=16", "citus.node_conninfo=sslmode=prefer"});
  }
  for (auto& setting : settings) command.insert(command.end(), {"-c", std::move(setting)});
  children_.start(
      {server.name, std::move(command), state_.file("log/" + server.name + ".log"), SIGINT});
}

std::string EmbeddedServers::url_of(const Server& server) const {
  return "host=" + socket_dir_ + " port=" + std::to_string(server.port) +
         " user=coditect_admin dbname=postgres password=" + secrets_.at("postgres");
}

std::string EmbeddedServers::cell_url() const {
  const auto coordinator = std::ranges::find(servers_, true, &Server::citus);
  return url_of(coordinator != servers_.end() ? *coordinator : servers_.front());
}

std::vector<std::string> EmbeddedServers::citus_workers() const {
  std::vector<std::string> out;
  for (const auto& server : servers_)
    if (server.name.starts_with("citus-worker-"))
      out.push_back("127.0.0.1:" + std::to_string(server.port));
  return out;
}

void EmbeddedServers::wait_for_server(const Server& server) {
  auto& child = children_.find(server.name);
  std::string last;
  for (int i = 0; i < 3000; ++i) {
    PGconn* c = PQconnectdb(url_of(server).c_str());
    const bool ok = PQstatus(c) == CONNECTION_OK;
    last = trim(PQerrorMessage(c));
    PQfinish(c);
    if (ok) return;
    if (!child.alive()) server_failed(child, "PostgreSQL ended while starting");
    if (last.contains("password authentication failed")) break;
    std::this_thread::sleep_for(20ms);
  }
  child.stop(5000ms);
  fail(Code::unavailable, "postgres_failed", "PostgreSQL does not answer: " + last);
}

}  // namespace coditect::app
