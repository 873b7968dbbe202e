#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/task_group.h"
#include "obs/metrics.h"
#include "redis/link.h"
#include "redis/settings.h"
#include "redis/slots.h"

namespace coditect::redis {

/// One Redis server or a Redis Cluster, over one connection of one loop to each (master) server;
/// commands that are issued together share a packet. A cluster's slot map is learned from its
/// servers, corrected by MOVED, and asked for anew when a server is lost, every 30 s, and until all
/// slots have a master that answers.
class Client {
 public:
  Client(async::Loop& loop, Settings settings, obs::Metrics& metrics);
  ~Client();

  /// Connects in the background and stays connected.
  void start();
  Async<> stop();

  /// The reply, an error reply included. The key is given apart from the words because it chooses
  /// the server; a cluster wants all keys of a command in one slot, so they share a {hash tag}.
  /// Follows MOVED and ASK. Throws `redis_unavailable` when there is no connection to the key's
  /// server (at once), when it is lost (whether the command ran is unknown then), or after the
  /// timeout (at most twice that when it was sent on): callers go on without Redis.
  Async<Reply> command(std::string_view key, std::vector<std::string> words);

  /// Whether there is a server to ask; of a cluster: some server.
  bool connected() const;

 private:
  struct Server;
  Async<> stay_connected(std::shared_ptr<Server> server);
  Async<> retire(std::shared_ptr<Link> link);
  std::shared_ptr<Server> server_at(const Address& address);
  std::shared_ptr<Link> link_to(const Address* address);
  Async<std::shared_ptr<Link>> wait_for_link(Address address, Deadline deadline);
  Async<Reply> in_cluster(int slot, const std::vector<std::string>& words);
  std::optional<Redirect> redirect_of(const Reply& reply, const Link& link, int slot);

  Async<> stay_informed();
  Async<bool> refresh();
  void refresh_soon();
  void adopt(SlotMap map);
  bool is_settled() const;
  bool lost_lately() const;

  async::Loop& loop_;
  const Settings settings_;
  std::map<Address, std::shared_ptr<Server>> servers_;
  SlotMap slots_;
  std::size_t next_to_ask_ = 0;
  bool refresh_wanted_ = false;
  bool told_ = false;  ///< that a server tells no map
  std::chrono::steady_clock::time_point last_loss_{};
  asio::steady_timer refresh_wake_;
  async::TaskGroup tasks_;
  obs::Counter& failures_;
  obs::Counter& moved_;
  obs::Counter& asked_;
  obs::Counter& refreshes_;
  obs::Gauge& up_;
};

}  // namespace coditect::redis
