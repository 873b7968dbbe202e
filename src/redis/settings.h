#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"

namespace coditect::redis {

/// Where a server listens. A host that is a path is a Unix socket.
struct Address {
  std::string host = "127.0.0.1";
  int port = 6379;

  std::string text() const {
    return host.starts_with('/') ? host : host + ":" + std::to_string(port);
  }
  auto operator<=>(const Address&) const = default;
};

struct Settings {
  std::vector<Address> addresses{{}};  ///< one server, or some of a cluster's to begin with
  bool cluster = false;
  std::string user, password;
  bool tls = false;
  std::string ca_file;  ///< PEM of who may sign the servers' certificates; empty: the system's
  std::chrono::milliseconds timeout{250};  ///< of one command
  std::chrono::milliseconds connect_timeout{1000};
  int max_pending = 10000;  ///< commands of one connection that wait for their answers

  /// redis://[user][:password@]host[:port], rediss:// for TLS, unix:///path?password=...;
  /// redis+cluster:// and rediss+cluster:// with one or more host[:port], separated by commas. An
  /// IPv6 address is written in brackets. Percent signs escape bytes of user and password.
  static coditect::Result<Settings> parse(const std::string& url);
};

}  // namespace coditect::redis
