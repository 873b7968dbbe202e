#include "apps/coditect/embedded.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/digest.h"
#include "obs/log.h"

namespace coditect::app {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int kClusterServers = 6;

/// Whether the process runs this program, so that a pid that was given anew is left alone.
bool runs(pid_t pid, const std::string& program) {
  std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(comm, name);
  return name == program;
}

/// Ends a server that a killed program left behind.
void stop_leftover(const std::string& pid_file, const std::string& program, int gentle, int harsh) {
  std::ifstream in(pid_file);
  pid_t pid = 0;
  if (!(in >> pid) || pid <= 1 || !runs(pid, program)) return;
  kill(pid, gentle);
  for (int i = 0; i < 200 && runs(pid, program); ++i) {
    if (i == 150) kill(pid, harsh);
    std::this_thread::sleep_for(50ms);
  }
  if (runs(pid, program))
    fail(Code::unavailable, "leftover_server",
         program + " of an earlier run (pid " + std::to_string(pid) + ") does not stop");
}

/// The exit status; of one that takes longer than the patience and is ended, 137.
int run_and_wait(const std::vector<std::string>& command, const std::string& log_file,
                 std::chrono::seconds patience = 300s) {
  Child child(command[0], command, log_file, SIGTERM);
  child.start();
  int status = 0;
  const auto until = std::chrono::steady_clock::now() + patience;
  for (pid_t ended = 0; ended != child.pid();) {
    ended = waitpid(child.pid(), &status, WNOHANG);
    if (ended < 0 && errno != EINTR)
      fail(Code::internal, "child_lost", command[0] + ": nobody knows how it ended");
    if (ended != 0) continue;
    if (std::chrono::steady_clock::now() > until) kill(child.pid(), SIGKILL);
    std::this_thread::sleep_for(5ms);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string find_program(const std::string& name) {
  for (const char* dir : {"/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin"})
    if (access((std::string(dir) + "/" + name).c_str(), X_OK) == 0)
      return std::string(dir) + "/" + name;
  fail(Code::failed_precondition, "program_missing",
       name + " is not installed; run scripts/setup.sh");
}

[[noreturn]] void server_failed(const Child& child, const std::string& what) {
  const auto tail = child.log_tail(5);
  const auto more = child.log_tail(100);
  const bool full =
      more.contains("No space left on device") || more.contains("Check free disk space");
  fail(Code::unavailable,
       full                    ? "disk_full"
       : child.runs_postgres() ? "postgres_failed"
                               : "redis_failed",
       (full ? "the disk is full (No space left on device): " : "") + what +
           (tail.empty() ? "" : "; its last words:\n" + tail));
}

}  // namespace

bool port_is_free(const std::string& host, int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    close(fd);
    return true;  // not an IPv4 address: listening itself will tell
  }
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool free =
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(fd, 1) == 0;
  close(fd);
  return free;
}

int choose_port(int remembered) {
  if (remembered > 0 && port_is_free("127.0.0.1", remembered)) return remembered;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool ok = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  if (!ok) fail(Code::unavailable, "no_free_port", "cannot find a free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

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

void Child::start() {
  std::vector<char*> argv;
  for (auto& word : command_) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) fail(Code::unavailable, "cannot_fork", std::strerror(errno));
  if (pid_ != 0) return;
  // In the child: only calls that are safe after fork() in a program with threads.
  setpgid(0, 0);  // Ctrl-C is for the parent, which stops the children in order
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_PDEATHSIG, stop_signal_);
  if (getppid() != parent) _exit(1);
  const int log = open(log_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int null = open("/dev/null", O_RDONLY);
  if (log >= 0) dup2(log, 1), dup2(log, 2);
  if (null >= 0) dup2(null, 0);
  for (int fd = 3; fd < 256; ++fd) close(fd);
  execv(argv[0], argv.data());
  _exit(127);
}

bool Child::alive() {
  if (pid_ <= 0) return false;
  int status = 0;
  const pid_t got = waitpid(pid_, &status, WNOHANG);
  if (got == 0) return true;
  pid_ = -1;
  return false;
}

void Child::stop(std::chrono::milliseconds patience) {
  if (!alive()) return;
  kill(pid_, stop_signal_);
  for (auto waited = 0ms; waited < patience; waited += 10ms) {
    if (!alive()) return;
    std::this_thread::sleep_for(10ms);
  }
  obs::log(obs::Level::warn, "a server does not stop; ending it", {{"server", name_}});
  kill(pid_, runs_postgres() ? SIGQUIT : SIGKILL);
  for (int i = 0; i < 500 && alive(); ++i) std::this_thread::sleep_for(10ms);
}

std::string Child::log_tail(std::size_t most) const {
  std::ifstream in(log_file_);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::string out;
  for (std::size_t i = lines.size() > most ? lines.size() - most : 0; i < lines.size(); ++i)
    out += "  " + lines[i] + "\n";
  return out;
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
  for (int n = 1; n <= kClusterServers; ++n)
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
  children_.emplace_back(server.name, std::move(command),
                         state_.file("log/" + server.name + ".log"), SIGINT);
  children_.back().start();
}

/// A cache that may forget anything: nothing is written to the disk.
std::string EmbeddedServers::redis_config(const std::string& name, int port) const {
  return "bind 127.0.0.1\nport " + std::to_string(port) + "\nunixsocket " + socket_dir_ + "/" +
         name + ".sock\nunixsocketperm 700\nrequirepass " + secrets_.at("redis") + "\npidfile " +
         socket_dir_ + "/" + name +
         ".pid\ndaemonize no\nsave \"\"\nappendonly no\nmaxmemory 256mb\nmaxmemory-policy "
         "allkeys-lru\nprotected-mode yes\n";
}

void EmbeddedServers::start_redis() {
  const auto program = find_program("redis-server");
  state_.write_file("redis/redis.conf",
                    redis_config("redis", redis_port_) + "dir " + state_.file("redis") + "\n");
  children_.emplace_back("redis",
                         std::vector<std::string>{program, state_.file("redis/redis.conf")},
                         state_.file("log/redis.log"), SIGTERM);
  children_.back().start();
}

/// The servers know each other by their ports, so a cluster lasts as long as all its ports are to
/// be had; otherwise a new one is made: there is nothing in it that cannot be lost.
void EmbeddedServers::start_redis_cluster() {
  const auto program = find_program("redis-server");
  cluster_ports_.clear();
  std::vector<int> bus_ports;
  std::istringstream formed(state_.read_file("redis-cluster/formed").value_or(""));
  for (int port = 0, bus = 0; formed >> port >> bus;) {
    cluster_ports_.push_back(port);
    bus_ports.push_back(bus);
  }
  const auto is_free = [](int port) { return port_is_free("127.0.0.1", port); };
  if (cluster_ports_.size() != kClusterServers || !std::ranges::all_of(cluster_ports_, is_free) ||
      !std::ranges::all_of(bus_ports, is_free)) {
    std::error_code ec;
    fs::remove_all(state_.file("redis-cluster"), ec);
    std::set<int> ports;
    while (ports.size() < 2 * kClusterServers)
      if (const int port = choose_port(0);
          std::ranges::find(servers_, port, &Server::port) == servers_.end())
        ports.insert(port);
    cluster_ports_.assign(ports.begin(), std::next(ports.begin(), kClusterServers));
    bus_ports.assign(std::next(ports.begin(), kClusterServers), ports.end());
  }
  mkdir(state_.file("redis-cluster").c_str(), 0700);
  std::string plan;
  for (int n = 0; n < kClusterServers; ++n) {
    const auto i = static_cast<std::size_t>(n);
    const auto name = "redis-" + std::to_string(n + 1);
    const auto dir = "redis-cluster/" + name;
    mkdir(state_.file(dir).c_str(), 0700);
    state_.write_file(dir + "/redis.conf",
                      redis_config(name, cluster_ports_[i]) + "dir " + state_.file(dir) +
                          "\nmasterauth " + secrets_["redis"] +
                          "\ncluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port " +
                          std::to_string(bus_ports[i]) +
                          "\ncluster-node-timeout 2000\ncluster-require-full-coverage no\n"
                          "cluster-replica-validity-factor 0\nrepl-diskless-sync-delay 0\n");
    children_.emplace_back(name,
                           std::vector<std::string>{program, state_.file(dir + "/redis.conf")},
                           state_.file("log/" + name + ".log"), SIGTERM);
    children_.back().start();
    plan += std::to_string(cluster_ports_[i]) + " " + std::to_string(bus_ports[i]) + "\n";
  }
  cluster_plan_ = std::move(plan);
}

void EmbeddedServers::form_redis_cluster() {
  for (int n = 1; n <= kClusterServers; ++n) wait_for_redis("redis-" + std::to_string(n));
  if (state_.read_file("redis-cluster/formed") == cluster_plan_) return;
  std::vector<std::string> command{find_program("redis-cli"), "--cluster", "create"};
  for (const int port : cluster_ports_) command.push_back("127.0.0.1:" + std::to_string(port));
  command.insert(command.end(), {"--cluster-replicas", "1", "--cluster-yes"});
  setenv("REDISCLI_AUTH", secrets_["redis"].c_str(), 1);  // not for everyone's eyes, as -a would be
  const int status = run_and_wait(command, state_.file("log/redis-cluster.log"), 60s);
  unsetenv("REDISCLI_AUTH");
  if (status != 0) {
    const Child made("redis-cli", {}, state_.file("log/redis-cluster.log"), SIGTERM);
    server_failed(made, "redis-cli --cluster create failed with status " + std::to_string(status));
  }
  state_.write_file("redis-cluster/formed", cluster_plan_);
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

std::string EmbeddedServers::redis_url() const {
  if (cluster_ports_.empty())
    return "unix://" + socket_dir_ + "/redis.sock?password=" + secrets_.at("redis");
  std::string url = "redis+cluster://:" + secrets_.at("redis") + "@";
  for (const int port : cluster_ports_)
    url += (url.ends_with('@') ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(port);
  return url;
}

void EmbeddedServers::wait_for_server(const Server& server) {
  auto& child = *std::ranges::find(children_, server.name, &Child::name);
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

void EmbeddedServers::wait_for_redis(const std::string& name) {
  auto& child = *std::ranges::find(children_, name, &Child::name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = socket_dir_ + "/" + name + ".sock";
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  for (int i = 0; i < 1000; ++i) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool ok = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (ok) return;
    if (!child.alive()) server_failed(child, name + " ended while starting");
    std::this_thread::sleep_for(10ms);
  }
  server_failed(child, name + " does not answer");
}

void EmbeddedServers::watch() {
  for (auto& child : children_) {
    if (child.alive()) continue;
    auto& [next, count] = restarts_[child.name()];
    const auto at = std::chrono::steady_clock::now();
    if (at < next) continue;
    if (at - next > 60s) count = 0;
    obs::log(obs::Level::warn, "a server has ended; starting it again", {{"server", child.name()}});
    child.start();
    // Processes of a killed postmaster hold its memory for a moment: the first tries may fail.
    next = at + std::min(100ms * (1 << std::min(count++, 6)), 5000ms);
  }
}

void EmbeddedServers::stop() {
  for (auto it = children_.rbegin(); it != children_.rend(); ++it) it->stop(20000ms);
  children_.clear();
}

}  // namespace coditect::app
