#include "http/server.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/bytes.h"
#include "base/id.h"
#include "http/problem.h"
#include "http/stream.h"
#include "http/wire.h"
#include "obs/log.h"

namespace coditect::http {
namespace {

namespace beast = boost::beast;
using Parser = beast::http::request_parser<beast::http::string_body>;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

struct Status {
  int status;
  std::string_view code, detail;
};

/// What to answer when the parser refuses the bytes.
Status status_of_parse_error(beast::error_code ec, std::string_view bytes) {
  using beast::http::error;
  if (ec == error::header_limit) return {431, "headers_too_large", "the headers are too large"};
  if (ec == error::body_limit) return {413, "body_too_large", "the body is too large"};
  if (ec == error::bad_version && names_a_version(bytes))
    return {505, "http_version_not_supported", "send HTTP/1.1"};
  if (ec == error::bad_transfer_encoding)
    return {400, "malformed_request", "the transfer coding is not understood"};
  return {400, "malformed_request", "the request's framing is malformed"};
}

/// An IPv4 address reads the same whether it came over IPv4 or a dual-stack socket.
std::string plain_address(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
}

std::string make_request_id() { return "req_" + to_base32(make_uuid7()); }

}  // namespace

/// One connection: reads a request, awaits its answer, writes it, and again.
class Server::Session : public async::Watchdog::Entry {
 public:
  Session(Server& server, asio::ip::tcp::socket socket)
      : Entry(server.loop_.watchdog()), server_(server), stream_(std::move(socket)) {
    place_ = server_.open_.insert(server_.open_.end(), this);
    boost::system::error_code ec;
    stream_.socket().non_blocking(true, ec);
    const auto peer = stream_.socket().remote_endpoint(ec);
    if (!ec) remote_ = plain_address(peer.address());
  }
  ~Session() override { server_.open_.erase(place_); }

  Async<> run() {
    if (server_.tls_ != nullptr && !co_await shake_hands()) co_return;
    while (co_await read_request()) {
      if (!co_await answer()) break;
    }
    co_await end();
  }

  /// At the start of a drain: ends a connection that waits for its next request, unless that is
  /// here already. One that has just been opened, or is sending a header, gets a moment: its client
  /// may not expect to be hung up on.
  void close_if_waiting() {
    boost::system::error_code ec;
    if (idle_ && served_) {
      if (stream_.socket().available(ec) == 0 && !stream_.holds_bytes())
        stream_.socket().cancel(ec);
    } else if (idle_ || (parser_ && !parser_->is_header_done())) {
      arm(after(std::min<std::chrono::milliseconds>(server_.settings_.header_timeout,
                                                    std::chrono::seconds(1))));
    }
  }

 private:
  void on_deadline() override {
    expired_ = true;
    stream_.socket().cancel();
    // TLS reads on by itself when there is something to read, past one cancellation.
    if (stream_.secured()) arm(after(async::Watchdog::kTick));
  }

  Async<bool> shake_hands() {
    arm(after(server_.settings_.header_timeout));
    const auto wrong = co_await stream_.secure(server_.tls_->context());
    disarm();
    const bool late = std::exchange(expired_, false);
    if (wrong.empty()) co_return true;
    server_.refused_handshake(late ? "it took too long" : wrong, remote_);
    co_return false;
  }

  /// Sends no more. What is on its way to us is another matter.
  Async<> end() {
    if (std::exchange(ended_, true)) co_return;
    if (stream_.secured()) {
      arm(after(std::chrono::seconds(2)));
      co_await stream_.close_notify();
      disarm();
    }
    boost::system::error_code ec;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ec);
  }

  /// True when parser_ holds a whole request; false when the connection is over.
  Async<bool> read_request() {
    const auto& limits = server_.settings_;
    parser_.emplace();
    parser_->eager(true);
    parser_->header_limit(
        static_cast<std::uint32_t>(limits.max_header_bytes + limits.max_url_bytes));
    parser_->body_limit(static_cast<std::uint64_t>(limits.max_body_bytes));
    idle_ = buffer_.size() == 0;
    if (idle_ && served_ && server_.draining_) co_return false;
    arm(after(idle_ ? limits.idle_timeout : limits.header_timeout));
    bool in_body = false;
    std::uint64_t received = buffer_.size();
    for (;;) {
      skip_empty_lines(in_body);
      if (buffer_.size() > 0) {
        if (!in_body && has_folded_header(bytes_read()))
          co_return co_await refuse({400, "malformed_request", "folded headers are not allowed"});
        beast::error_code ec;
        const auto used = parser_->put(buffer_.data(), ec);
        if (ec && ec != beast::http::error::need_more)
          co_return co_await refuse(status_of_parse_error(ec, bytes_read()));
        buffer_.consume(used);
        if (parser_->is_done()) break;
        if (parser_->is_header_done() && !in_body) {
          in_body = true;
          arm(after(limits.body_timeout));
          if (!co_await expectation()) co_return false;
        }
        if (const auto bad = framing_problem(in_body, received)) co_return co_await refuse(*bad);
      }
      boost::system::error_code ec;
      const auto size = co_await stream_.async_read_some(
          buffer_.prepare(8192), asio::redirect_error(asio::use_awaitable, ec));
      if (ec) {
        if (expired_ && !idle_) {
          expired_ = false;
          co_return co_await refuse({408, "request_timeout", "the request did not arrive in time"});
        }
        co_return false;
      }
      buffer_.commit(size);
      received += size;
      if (idle_) arm(after(limits.header_timeout));
      idle_ = false;
    }
    disarm();
    served_ = true;
    co_return true;
  }

  /// RFC 9112 section 2.2: empty lines before a request are skipped.
  void skip_empty_lines(bool in_body) {
    while (!in_body && !parser_->is_header_done() && bytes_read().starts_with("\r\n"))
      buffer_.consume(2);
  }

  /// The size lines, extensions and trailers of a chunked body have no limit in the parser: what it
  /// has not taken yet, and all that was received for one request, are bounded here.
  std::optional<Status> framing_problem(bool in_body, std::uint64_t received) const {
    const auto& limits = server_.settings_;
    const auto most = static_cast<std::uint64_t>(limits.max_header_bytes + limits.max_url_bytes) +
                      2 * static_cast<std::uint64_t>(limits.max_body_bytes);
    if (received > most) return Status{413, "body_too_large", "the body is too large"};
    if (!in_body) return std::nullopt;
    const auto waiting = bytes_read();
    const auto line_end = waiting.find('\n');
    const bool bare = line_end != waiting.npos && (line_end == 0 || waiting[line_end - 1] != '\r');
    if (parser_->chunked() && (bare || waiting.size() > 4096))
      return Status{400, "malformed_request", "the chunked body is malformed"};
    return std::nullopt;
  }

  std::string_view bytes_read() const {
    const auto bytes = buffer_.data();
    return {static_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// Answers Expect: 100-continue; false when the expectation is another.
  Async<bool> expectation() {
    const auto expect = parser_->get().find(beast::http::field::expect);
    if (expect == parser_->get().end()) co_return true;
    if (!beast::iequals(expect->value(), "100-continue"))
      co_return co_await refuse({417, "expectation_failed", "only 100-continue is understood"});
    if (parser_->get().version() < 11) co_return true;
    boost::system::error_code ec;
    co_await asio::async_write(stream_,
                               asio::buffer(std::string_view("HTTP/1.1 100 Continue\r\n\r\n")),
                               asio::redirect_error(asio::use_awaitable, ec));
    co_return !ec;
  }

  /// A protocol error: one answer, then the end, for nobody knows where the next request starts.
  Async<bool> refuse(Status s) {
    Request request;
    request.id = make_request_id();
    request.trace = obs::TraceContext::start(false);
    std::string out;
    const auto response = problem(s.status, s.code, s.detail, request.id);
    write_head(out, response, false, request);
    out += response.body;
    arm(after(std::chrono::seconds(2)));
    boost::system::error_code ec;
    co_await asio::async_write(stream_, asio::buffer(out),
                               asio::redirect_error(asio::use_awaitable, ec));
    // Without reading on, the kernel would reset the connection and the client might lose the
    // answer.
    co_await end();
    arm(after(std::chrono::seconds(2)));
    for (int i = 0; i < 16 && !ec; ++i)
      co_await stream_.socket().async_read_some(buffer_.prepare(65536),
                                                asio::redirect_error(asio::use_awaitable, ec));
    server_.observe(request, s.status, {});
    co_return false;
  }

  std::optional<Status> take_request(Request& request) {
    auto& message = parser_->get();
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    if (request.target.size() > static_cast<std::size_t>(server_.settings_.max_url_bytes))
      return Status{414, "url_too_long", "the URL is too long"};
    int hosts = 0;
    for (const auto& field : message) {
      hosts += field.name() == beast::http::field::host;
      request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    }
    if (message.version() < 11 && message.count(beast::http::field::transfer_encoding) > 0)
      return Status{400, "malformed_request", "HTTP/1.0 has no transfer codings"};
    if (hosts > 1 || (hosts == 0 && message.version() >= 11))
      return Status{400, "malformed_request", "exactly one Host header is needed"};
    if (parser_->chunked()) {
      const auto coding = message[beast::http::field::transfer_encoding];
      if (!beast::iequals(coding, "chunked"))
        return Status{501, "transfer_coding_not_implemented", "only chunked is understood"};
    } else if (message.count(beast::http::field::transfer_encoding) > 0) {
      return Status{400, "malformed_request", "the transfer coding is not understood"};
    }
    // The absolute form (RFC 9112 section 3.2.2) names the host again.
    for (const std::string_view scheme : {"http://", "https://"})
      if (request.target.starts_with(scheme))
        request.target.erase(
            0, std::min(request.target.find('/', scheme.size()), request.target.size()));
    if (!parse_target(request)) return Status{400, "malformed_request", "the URL is malformed"};
    request.body = std::move(message.body());
    request.id = make_request_id();
    const auto* parent = request.header("traceparent");
    const auto context = parent != nullptr ? obs::TraceContext::parse(*parent) : std::nullopt;
    request.trace = context ? context->child() : obs::TraceContext::start(false);
    request.deadline = after(server_.settings_.request_timeout);
    request.remote = remote_;
    take_forwarded(request);
    return std::nullopt;
  }

  /// The address our own outermost proxy saw: a client may have put anything left of it.
  void take_forwarded(Request& request) {
    if (server_.settings_.trust_proxies == 0) return;
    std::string all;
    for (const auto& h : request.headers)
      if (to_lower_ascii(h.name) == "x-forwarded-for") all += (all.empty() ? "" : ",") + h.value;
    for (int hop = 1; !all.empty(); ++hop) {
      const auto comma = all.rfind(',');
      const std::string entry(
          trim(std::string_view(all).substr(comma == std::string::npos ? 0 : comma + 1)));
      boost::system::error_code ec;
      const auto address = asio::ip::make_address(entry, ec);
      if (ec) return;
      request.remote = plain_address(address);
      if (hop == server_.settings_.trust_proxies || comma == std::string::npos) return;
      all.resize(comma);
    }
  }

  /// True when the connection goes on.
  Async<bool> answer() {
    const auto start = std::chrono::steady_clock::now();
    Request request;
    const auto& message = parser_->get();
    bool keep_alive = message.keep_alive();
    const bool head = message.method() == beast::http::verb::head;
    if (const auto bad = take_request(request)) co_return co_await refuse(*bad);
    parser_.reset();

    Response response;
    {
      const obs::Counted counted(server_.in_flight_);
      response = co_await server_.handler_(request);
    }
    if (!headers_are_safe(response)) response = problem(500, "internal", "", request.id);
    if (server_.draining_) keep_alive = false;
    std::string out;
    out.reserve(512 + response.body.size());
    write_head(out, response, keep_alive, request);
    if (!head && response.status != 204 && response.status != 304) out += response.body;
    // Nearly every answer fits into the socket's buffer at once.
    boost::system::error_code ec;
    const auto written = stream_.write_now(asio::buffer(out), ec);
    if (ec == asio::error::would_block || (!ec && written < out.size())) {
      arm(after(server_.settings_.write_timeout));
      co_await asio::async_write(stream_, asio::buffer(out) + written,
                                 asio::redirect_error(asio::use_awaitable, ec));
      disarm();
    }
    server_.observe(request, response.status, std::chrono::steady_clock::now() - start);
    co_return keep_alive && !ec;
  }

  Server& server_;
  obs::Counted counted_{server_.connections_};
  Stream stream_;
  std::list<Session*>::iterator place_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::string remote_;
  bool idle_ = true;     ///< nothing of the next request is here
  bool served_ = false;  ///< a request has come
  bool expired_ = false;
  bool ended_ = false;
};

Server::Server(async::Loop& loop, ServerSettings settings, Handler handler, obs::Metrics& metrics,
               const ServerTls* tls)
    : loop_(loop),
      settings_(std::move(settings)),
      tls_(tls),
      handler_(std::move(handler)),
      acceptor_(loop.io()),
      tasks_(loop.io()),
      sessions_(loop.io()),
      metrics_(metrics),
      connections_(metrics.gauge("coditect_http_connections", "Open HTTP connections")),
      in_flight_(metrics.gauge("coditect_http_requests_in_flight", "Requests that are worked on")),
      handshake_failures_(
          metrics.counter("coditect_http_tls_handshake_failures_total",
                          "TLS connections that were refused, or given up by the client")) {}

Server::~Server() = default;

void Server::listen() {
  if (settings_.listening_socket >= 0)
    take_listening_socket();
  else
    bind();
  tasks_.spawn("accept", accept());
}

void Server::take_listening_socket() {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const int fd = fcntl(settings_.listening_socket, F_DUPFD_CLOEXEC, 3);
  if (fd < 0 || getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      (address.ss_family != AF_INET && address.ss_family != AF_INET6))
    fail(Code::invalid_argument, "cannot_listen", "the inherited socket is not one of TCP");
  acceptor_.assign(address.ss_family == AF_INET ? asio::ip::tcp::v4() : asio::ip::tcp::v6(), fd);
}

void Server::bind() {
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(settings_.host, ec);
  if (ec)
    fail(Code::invalid_argument, "cannot_listen",
         "http.host '" + settings_.host + "' is not an IP address");
  const asio::ip::tcp::endpoint endpoint(address, static_cast<std::uint16_t>(settings_.port));
  acceptor_.open(endpoint.protocol());
  acceptor_.set_option(asio::socket_base::reuse_address(true));
  acceptor_.set_option(ReusePort(true));
  acceptor_.bind(endpoint, ec);
  if (!ec) acceptor_.listen(4096, ec);
  if (ec)
    fail(Code::unavailable, ec == asio::error::address_in_use ? "port_in_use" : "cannot_listen",
         settings_.host + ":" + std::to_string(settings_.port) + ": " + ec.message());
}

Async<> Server::accept() {
  for (;;) {
    boost::system::error_code ec;
    auto socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, ec));
    if (ec == asio::error::operation_aborted) co_return;
    if (ec) {  // out of descriptors, or a client that left: wait, do not spin
      obs::log(obs::Level::warn, "cannot accept a connection", {{"error", ec.message()}});
      co_await async::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    open(std::move(socket));
  }
}

void Server::open(asio::ip::tcp::socket socket) {
  if (open_.size() >= static_cast<std::size_t>(settings_.max_connections)) return;  // closes it
  boost::system::error_code ec;
  socket.set_option(asio::ip::tcp::no_delay(true), ec);
  sessions_.spawn("connection", serve(std::move(socket)));
}

/// A socket of our own takes its waiting connections with it when it is closed.
void Server::accept_waiting() {
  boost::system::error_code ec;
  acceptor_.non_blocking(true, ec);
  for (;;) {
    auto socket = acceptor_.accept(ec);
    if (ec) return;
    open(std::move(socket));
  }
}

Async<> Server::serve(asio::ip::tcp::socket socket) {
  Session session(*this, std::move(socket));
  co_await session.run();
}

Async<> Server::drain() {
  draining_ = true;
  co_await tasks_.stop();
  if (settings_.listening_socket < 0) accept_waiting();
  for (Session* session : open_) session->close_if_waiting();
  boost::system::error_code ec;
  acceptor_.close(ec);
  if (!co_await sessions_.drained(after(settings_.drain_timeout)))
    obs::log(obs::Level::warn, "requests were still running at the end of the drain",
             {{"connections", open_.size()}});
  co_await sessions_.stop();
}

void Server::refused_handshake(const std::string& why, const std::string& remote) {
  handshake_failures_.Increment();
  // Strangers must not fill the log.
  const auto at = std::chrono::steady_clock::now();
  if (at < next_handshake_log_) return;
  next_handshake_log_ = at + std::chrono::seconds(1);
  obs::log(obs::Level::warn, "TLS handshake failed", {{"error", why}, {"remote", remote}});
}

void Server::observe(const Request& request, int status, std::chrono::steady_clock::duration time) {
  auto it = routes_.find(request.route);
  if (it == routes_.end()) {
    it = routes_.emplace(request.route, RouteMetrics{}).first;
    it->second.seconds = &metrics_.seconds("coditect_http_request_seconds", "Time to answer",
                                           {{"route", request.route}});
    for (int i = 1; i < 6; ++i)
      it->second.by_class[i] =
          &metrics_.counter("coditect_http_requests_total", "Requests answered",
                            {{"route", request.route}, {"status", std::to_string(i) + "xx"}});
  }
  const double seconds = std::chrono::duration<double>(time).count();
  it->second.seconds->Observe(seconds);
  it->second.by_class[std::clamp(status / 100, 1, 5)]->Increment();
  if (settings_.access_log)
    obs::log(obs::Level::info, "request",
             {{"method", request.method},
              {"path", request.path()},
              {"route", request.route},
              {"status", status},
              {"ms", seconds * 1000},
              {"tenant", request.tenant},
              {"request_id", request.id},
              {"trace_id", request.trace.trace_id_hex()},
              {"remote", request.remote}});
}

}  // namespace coditect::http
