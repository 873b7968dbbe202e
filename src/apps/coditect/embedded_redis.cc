#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include "apps/coditect/embedded.h"
#include "base/error.h"

namespace coditect::app {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

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
  children_.start(
      {"redis", {program, state_.file("redis/redis.conf")}, state_.file("log/redis.log"), SIGTERM});
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
  if (cluster_ports_.size() != kRedisClusterServers ||
      !std::ranges::all_of(cluster_ports_, is_free) || !std::ranges::all_of(bus_ports, is_free)) {
    std::error_code ec;
    fs::remove_all(state_.file("redis-cluster"), ec);
    std::set<int> ports;
    while (ports.size() < 2 * kRedisClusterServers)
      if (const int port = choose_port(0);
          std::ranges::find(servers_, port, &Server::port) == servers_.end())
        ports.insert(port);
    cluster_ports_.assign(ports.begin(), std::next(ports.begin(), kRedisClusterServers));
    bus_ports.assign(std::next(ports.begin(), kRedisClusterServers), ports.end());
  }
  mkdir(state_.file("redis-cluster").c_str(), 0700);
  std::string plan;
  for (int n = 0; n < kRedisClusterServers; ++n) {
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
    children_.start({name,
                     {program, state_.file(dir + "/redis.conf")},
                     state_.file("log/" + name + ".log"),
                     SIGTERM});
    plan += std::to_string(cluster_ports_[i]) + " " + std::to_string(bus_ports[i]) + "\n";
  }
  cluster_plan_ = std::move(plan);
}

void EmbeddedServers::form_redis_cluster() {
  for (int n = 1; n <= kRedisClusterServers; ++n) wait_for_redis("redis-" + std::to_string(n));
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

std::string EmbeddedServers::redis_url() const {
  if (cluster_ports_.empty())
    return "unix://" + socket_dir_ + "/redis.sock?password=" + secrets_.at("redis");
  std::string url = "redis+cluster://:" + secrets_.at("redis") + "@";
  for (const int port : cluster_ports_)
    url += (url.ends_with('@') ? "127.0.0.1:" : ",127.0.0.1:") + std::to_string(port);
  return url;
}

void EmbeddedServers::wait_for_redis(const std::string& name) {
  auto& child = children_.find(name);
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

}  // namespace coditect::app
