#include "redis/client.h"

#include <boost/asio/ssl.hpp>
#include <charconv>
#include <variant>

#include "base/bytes.h"
#include "obs/log.h"

namespace coditect::redis {
namespace {

using Tcp = asio::ip::tcp::socket;
using Unix = asio::local::stream_protocol::socket;
using Tls = asio::ssl::stream<Tcp>;

[[noreturn]] void unavailable(std::string detail) {
  throw Failure(
      {Code::unavailable, "redis_unavailable", std::move(detail), {}, std::chrono::seconds(1)});
}

}  // namespace

coditect::Result<Settings> Settings::parse(const std::string& url) {
  const auto wrong = [](std::string_view why) {
    return coditect::error(Code::invalid_argument, "invalid_redis_url",
                           std::string(why) +
                               "; write redis://[user][:password@]host[:port], rediss:// or "
                               "unix:///path?password=...");
  };
  Settings s;
  std::string_view rest = url;
  if (rest.starts_with("unix://")) {
    rest.remove_prefix(7);
    const auto mark = rest.find('?');
    s.host = rest.substr(0, mark);
    if (!s.host.starts_with('/')) return wrong("the socket's path must be absolute");
    constexpr std::string_view kPassword = "?password=";
    if (mark != rest.npos) {
      if (!rest.substr(mark).starts_with(kPassword))
        return wrong("only ?password= is known after the path");
      s.password = rest.substr(mark + kPassword.size());
    }
    return s;
  }
  if (rest.starts_with("rediss://"))
    s.tls = true;
  else if (!rest.starts_with("redis://"))
    return wrong("the scheme is unknown");
  rest.remove_prefix(s.tls ? 9 : 8);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (const auto at = rest.rfind('@'); at != rest.npos) {
    const auto login = rest.substr(0, at);
    const auto colon = login.find(':');
    s.user = login.substr(0, colon);
    if (colon != login.npos) s.password = login.substr(colon + 1);
    rest.remove_prefix(at + 1);
  }
  const auto colon = rest.rfind(':');
  s.host = rest.substr(0, colon);
  if (s.host.empty()) return wrong("the host is missing");
  if (colon != rest.npos) {
    const auto port = rest.substr(colon + 1);
    const auto [end, bad] = std::from_chars(port.data(), port.data() + port.size(), s.port);
    if (bad != std::errc() || end != port.data() + port.size() || s.port < 1 || s.port > 65535)
      return wrong("the port is malformed");
  }
  return s;
}

struct Client::Pending {
  explicit Pending(asio::io_context& io) : done(io, Deadline::max()) {}
  asio::steady_timer done;
  Reply reply;
  bool answered = false;
  bool failed = false;
};

/// One connection: a writer that sends what has gathered, a reader that hands out replies in order.
class Client::Link : public async::Watchdog::Entry {
 public:
  Link(async::Loop& loop, const Settings& settings)
      : Entry(loop.watchdog()),
        loop_(loop),
        settings_(settings),
        wake_(loop.io(), Deadline::max()),
        tls_(asio::ssl::context::tls_client) {}

  Async<> connect() {
    arm(after(settings_.connect_timeout));
    try {
      if (settings_.host.starts_with('/')) {
        auto& socket = stream_.emplace<Unix>(loop_.io());
        co_await socket.async_connect(asio::local::stream_protocol::endpoint(settings_.host),
                                      asio::use_awaitable);
      } else {
        asio::ip::tcp::resolver resolver(loop_.io());
        const auto found = co_await resolver.async_resolve(
            settings_.host, std::to_string(settings_.port), asio::use_awaitable);
        if (settings_.tls) {
          tls_.set_default_verify_paths();
          auto& stream = stream_.emplace<Tls>(loop_.io(), tls_);
          stream.set_verify_mode(asio::ssl::verify_peer);
          stream.set_verify_callback(asio::ssl::host_name_verification(settings_.host));
          SSL_set_tlsext_host_name(stream.native_handle(), settings_.host.c_str());
          co_await asio::async_connect(stream.next_layer(), found, asio::use_awaitable);
          co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
        } else {
          co_await asio::async_connect(stream_.emplace<Tcp>(loop_.io()), found,
                                       asio::use_awaitable);
        }
      }
    } catch (const boost::system::system_error& e) {  // Asio's error becomes ours
      unavailable(e.code().message());
    }
    disarm();
    open_ = true;
  }

  /// Sends and receives until the connection ends; never throws. The loops share in the ownership.
  static Async<> write_loop(std::shared_ptr<Link> self) { co_await self->write_all(); }
  static Async<> read_loop(std::shared_ptr<Link> self) { co_await self->read_all(); }

  Async<> write_all() {
    while (open_) {
      if (outgoing_.empty()) {
        wake_.expires_at(Deadline::max());
        boost::system::error_code ec;
        co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        continue;
      }
      const auto bytes = std::exchange(outgoing_, {});
      if (co_await write(bytes)) close("write");
    }
  }

  Async<> read_all() {
    Parser parser;
    std::array<char, 16384> chunk;
    while (open_) {
      const auto size = co_await read(chunk);
      if (size == 0) break;
      parser.append({chunk.data(), size});
      Reply reply;
      for (;;) {
        const auto status = parser.next(reply);
        if (status == Parser::Status::incomplete) break;
        if (status == Parser::Status::malformed || waiting_.empty()) {
          close("malformed reply");
          co_return;
        }
        deliver(std::move(reply));
      }
    }
    close("read");
  }

  Async<Reply> ask(std::vector<std::string> words) {
    if (!open_) unavailable("not connected");
    if (waiting_.size() >= static_cast<std::size_t>(settings_.max_pending))
      unavailable("too many commands wait");
    const auto pending = std::make_shared<Pending>(loop_.io());
    append_command(outgoing_, words);
    waiting_.push_back({pending, after(settings_.timeout)});
    if (waiting_.size() == 1) arm(waiting_.front().deadline);
    wake_.cancel();
    boost::system::error_code ec;
    while (!pending->answered && !pending->failed)
      co_await pending->done.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    if (pending->failed) unavailable("the connection was lost or too slow");
    co_return std::move(pending->reply);
  }

  void close(std::string_view) {
    if (!std::exchange(open_, false)) return;
    disarm();
    cancel();
    wake_.cancel();
    for (auto& entry : std::exchange(waiting_, {})) {
      entry.pending->failed = true;
      entry.pending->done.cancel();
    }
  }

  bool open() const { return open_; }

 private:
  struct Waiting {
    std::shared_ptr<Pending> pending;
    Deadline deadline;
  };

  /// The oldest command is late: later replies could not be told from its own, so the end.
  void on_deadline() override {
    if (open_)
      close("timeout");
    else
      cancel();
  }

  void cancel() {
    boost::system::error_code ec;
    if (auto* tcp = std::get_if<Tcp>(&stream_))
      tcp->close(ec);
    else if (auto* local = std::get_if<Unix>(&stream_))
      local->close(ec);
    else if (auto* tls = std::get_if<Tls>(&stream_))
      tls->next_layer().close(ec);
  }

  void deliver(Reply reply) {
    const auto pending = std::move(waiting_.front().pending);
    waiting_.pop_front();
    if (waiting_.empty())
      disarm();
    else
      arm(waiting_.front().deadline);
    pending->reply = std::move(reply);
    pending->answered = true;
    pending->done.cancel();
  }

  Async<boost::system::error_code> write(const std::string& bytes) {
    boost::system::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    if (auto* tcp = std::get_if<Tcp>(&stream_))
      co_await asio::async_write(*tcp, asio::buffer(bytes), token);
    else if (auto* local = std::get_if<Unix>(&stream_))
      co_await asio::async_write(*local, asio::buffer(bytes), token);
    else if (auto* tls = std::get_if<Tls>(&stream_))
      co_await asio::async_write(*tls, asio::buffer(bytes), token);
    co_return ec;
  }

  Async<std::size_t> read(std::array<char, 16384>& chunk) {
    boost::system::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    std::size_t size = 0;
    if (auto* tcp = std::get_if<Tcp>(&stream_))
      size = co_await tcp->async_read_some(asio::buffer(chunk), token);
    else if (auto* local = std::get_if<Unix>(&stream_))
      size = co_await local->async_read_some(asio::buffer(chunk), token);
    else if (auto* tls = std::get_if<Tls>(&stream_))
      size = co_await tls->async_read_some(asio::buffer(chunk), token);
    co_return ec ? 0 : size;
  }

  async::Loop& loop_;
  const Settings& settings_;
  asio::steady_timer wake_;
  asio::ssl::context tls_;
  std::variant<std::monostate, Tcp, Unix, Tls> stream_;
  std::string outgoing_;
  std::deque<Waiting> waiting_;
  bool open_ = false;
};

Client::Client(async::Loop& loop, Settings settings, obs::Metrics& metrics)
    : loop_(loop),
      settings_(std::move(settings)),
      tasks_(loop.io()),
      failures_(
          metrics.counter("coditect_redis_failures_total", "Redis commands that got no answer")),
      up_(metrics.gauge("coditect_redis_connections", "Open connections to Redis")) {}

Client::~Client() = default;

void Client::start() { tasks_.spawn("redis", stay_connected()); }

Async<> Client::stop() {
  if (link_) link_->close("stop");
  co_await tasks_.stop();
}

Async<> Client::stay_connected() {
  async::Backoff backoff(std::chrono::milliseconds(50), std::chrono::milliseconds(1000));
  bool told = false;
  while (!tasks_.stopping()) {
    const auto link = std::make_shared<Link>(loop_, settings_);
    try {
      co_await link->connect();
      tasks_.spawn("redis writer", Link::write_loop(link));
      tasks_.spawn("redis reader", Link::read_loop(link));
      if (!settings_.password.empty()) {
        std::vector<std::string> login{"AUTH"};
        if (!settings_.user.empty()) login.push_back(settings_.user);
        login.push_back(settings_.password);
        const auto reply = co_await link->ask(std::move(login));
        if (reply.is_error()) unavailable("AUTH: " + reply.text);
      }
      link_ = link;
      up_.Increment();
      backoff.reset();
      told = false;
      while (link->open()) co_await async::sleep_for(std::chrono::milliseconds(20));
      link_.reset();
      up_.Decrement();
    } catch (const Failure& f) {  // the connection failed, not the work: try again
      if (!std::exchange(told, true))
        obs::log(obs::Level::warn, "cannot reach Redis; going on without", {{"error", f.what()}});
    }
    link->close("over");
    co_await async::sleep_for(backoff.next());
  }
}

Async<Reply> Client::command(std::string_view, std::vector<std::string> words) {
  const auto link = link_;
  if (!link) {
    failures_.Increment();
    unavailable("not connected");
  }
  try {
    co_return co_await link->ask(std::move(words));
  } catch (const Failure&) {  // counted, then passed on
    failures_.Increment();
    throw;
  }
}

}  // namespace coditect::redis
