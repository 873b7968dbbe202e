#pragma once
#include <functional>
#include <string>

#include "async/loop.h"
#include "async/task_group.h"
#include "http/message.h"
#include "http/tls.h"
#include "obs/metrics.h"

namespace coditect::http {

struct ServerSettings {
  std::string host = "127.0.0.1";
  int port = 8080;
  int max_connections = 10000;  ///< of one loop
  int max_header_bytes = 16384;
  int max_url_bytes = 8192;
  int max_body_bytes = 1048576;
  std::chrono::milliseconds header_timeout{
      10000};                                     ///< from the first byte to the end of the headers
  std::chrono::milliseconds body_timeout{30000};  ///< from the headers to the end of the body
  std::chrono::milliseconds idle_timeout{60000};  ///< between two requests
  std::chrono::milliseconds write_timeout{30000};    ///< for the client to take the answer
  std::chrono::milliseconds request_timeout{10000};  ///< for the work
  std::chrono::milliseconds drain_timeout{10000};    ///< for running requests at shutdown
  bool access_log = true;
  int trust_proxies = 0;    ///< how many X-Forwarded-For entries, from the right, are our proxies'
  TlsSettings tls;          ///< of the port that serves the API
  int management_port = 0;  ///< a plain one of its own for health and metrics; 0: none
  int listening_socket = -1;  ///< one that is bound already and shared by all loops; -1: bind host
};

/// Answers a request. Must not throw: dispatch is the boundary.
using Handler = std::function<Async<Response>(Request&)>;

/// An HTTP/1.1 server on one loop. All loops bind the same port (SO_REUSEPORT); the kernel spreads
/// the connections. Framing is strict (RFC 9112): what two parsers could read in two ways is a 400.
class Server {
 public:
  /// With `tls`, which must outlive it, connections are TLS and nothing else.
  Server(async::Loop& loop, ServerSettings settings, Handler handler, obs::Metrics& metrics,
         const ServerTls* tls = nullptr);
  ~Server();

  /// Binds, unless a bound socket was given, and starts to accept. Throws `port_in_use` or
  /// `cannot_listen`.
  void listen();
  /// Accepts no more, closes idle connections, and waits for running requests until the timeout.
  Async<> drain();

  int port() const { return static_cast<int>(acceptor_.local_endpoint().port()); }

 private:
  class Session;
  void bind();
  void take_listening_socket();
  Async<> accept();
  void accept_waiting();
  void open(asio::ip::tcp::socket socket);
  Async<> serve(asio::ip::tcp::socket socket);
  void refused_handshake(const std::string& why, const std::string& remote);

  async::Loop& loop_;
  const ServerSettings settings_;
  const ServerTls* tls_;
  Handler handler_;
  asio::ip::tcp::acceptor acceptor_;
  async::TaskGroup tasks_;
  async::TaskGroup sessions_;
  std::list<Session*> open_;
  bool draining_ = false;

  obs::Metrics& metrics_;
  obs::Gauge& connections_;
  obs::Gauge& in_flight_;
  obs::Counter& handshake_failures_;
  std::chrono::steady_clock::time_point next_handshake_log_{};
  struct RouteMetrics {
    obs::Histogram* seconds;
    obs::Counter* by_class[6];
  };
  std::map<std::string, RouteMetrics, std::less<>> routes_;
  void observe(const Request& request, int status, std::chrono::steady_clock::duration time);
};

}  // namespace coditect::http
