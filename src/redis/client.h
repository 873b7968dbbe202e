#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/task_group.h"
#include "obs/metrics.h"
#include "redis/resp.h"

namespace coditect::redis {

struct Settings {
  std::string host = "127.0.0.1";  ///< a path is a Unix socket
  int port = 6379;
  std::string user, password;
  bool tls = false;
  std::chrono::milliseconds timeout{250};  ///< of one command
  std::chrono::milliseconds connect_timeout{1000};
  int max_pending = 10000;

  /// redis://[user][:password@]host[:port], rediss:// for TLS, unix:///path?password=...
  static coditect::Result<Settings> parse(const std::string& url);
};

/// One Redis server over one connection of one loop; commands that are issued together share a
/// packet. The key is given apart from the words, so that a cluster's slot map can choose the
/// connection beneath the same interface.
class Client {
 public:
  Client(async::Loop& loop, Settings settings, obs::Metrics& metrics);
  ~Client();

  /// Connects in the background and stays connected.
  void start();
  Async<> stop();

  /// The reply, an error reply included. Throws `redis_unavailable` when there is no connection (at
  /// once), when it is lost, or after the timeout: callers go on without Redis.
  Async<Reply> command(std::string_view key, std::vector<std::string> words);

  bool connected() const { return link_ != nullptr; }

 private:
  struct Pending;
  class Link;
  Async<> stay_connected();

  async::Loop& loop_;
  const Settings settings_;
  std::shared_ptr<Link> link_;
  async::TaskGroup tasks_;
  obs::Counter& failures_;
  obs::Gauge& up_;
};

}  // namespace coditect::redis
