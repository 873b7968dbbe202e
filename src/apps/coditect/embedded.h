#pragma once
#include <map>
#include <string>
#include <vector>

#include "apps/coditect/server_process.h"
#include "apps/coditect/state_dir.h"

namespace coditect::app {

constexpr int kRedisClusterServers = 6;

/// Private servers on loopback and Unix sockets, with passwords, data in the state directory: a
/// PostgreSQL, with its tenants on a Citus cluster if asked, and a Redis. Runs as the present user,
/// who must not be root.
class EmbeddedServers {
 public:
  enum class Redis {
    none,
    one,
    cluster,  ///< three masters with a replica each
  };
  struct Options {
    bool postgres = true;
    Redis redis = Redis::one;
    int citus_workers = 0;  ///< the least; a cluster that has more keeps them
  };

  explicit EmbeddedServers(const StateDir& state) : state_(state) {}

  /// Makes what is missing and starts them; stops first what a killed program left running.
  void start(const Options& options);
  /// Starts again what has died; called about every 100 ms.
  void watch() { children_.watch(); }
  void stop() { children_.stop(); }

  /// An administrator's connection string.
  std::string database_url() const { return url_of(servers_.front()); }
  /// The same of the server that has the cell: the coordinator when there is a cluster.
  std::string cell_url() const;
  std::string redis_url() const;
  int postgres_port() const { return servers_.empty() ? 0 : servers_.front().port; }
  int redis_port() const { return redis_port_; }
  /// Of the Citus workers, as "127.0.0.1:port".
  std::vector<std::string> citus_workers() const;
  /// Of the Redis Cluster's servers: their clients' ports, in the order of their names redis-1 to
  /// redis-6.
  const std::vector<int>& cluster_ports() const { return cluster_ports_; }
  const std::string& redis_password() const { return secrets_.at("redis"); }

 private:
  /// A PostgreSQL server; its name is also its folder and its port's name.
  struct Server {
    std::string name;
    int port = 0;
    bool citus = false;
  };
  void prepare_secrets();
  void plan_servers(const Options& options);
  void make_cluster(const std::string& name);
  void start_server(const Server& server);
  std::string url_of(const Server& server) const;
  std::string redis_config(const std::string& name, int port) const;
  void start_redis();
  void start_redis_cluster();
  void form_redis_cluster();
  void wait_for_server(const Server& server);
  void wait_for_redis(const std::string& name);

  const StateDir& state_;
  Children children_;
  std::vector<Server> servers_;  ///< "postgres" first
  std::map<std::string, std::string> secrets_;
  std::string socket_dir_, bin_dir_;
  int redis_port_ = 0;
  std::vector<int> cluster_ports_;
  std::string cluster_plan_;  ///< "port bus-port" lines
};

/// Where the server programs of PostgreSQL are: the version of the data, else the newest from 15
/// on.
std::string find_postgres_bin(const std::string& data_version);
/// Whether Citus is installed for the server programs of this directory.
bool has_citus(const std::string& bin_dir);

}  // namespace coditect::app
