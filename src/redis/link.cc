#include "redis/link.h"

namespace coditect::redis {

void unavailable(std::string detail) {
  throw Failure(
      {Code::unavailable, "redis_unavailable", std::move(detail), {}, std::chrono::seconds(1)});
}

Link::Link(async::Loop& loop, const Settings& settings, Address address)
    : Entry(loop.watchdog()),
      loop_(loop),
      settings_(settings),
      address_(std::move(address)),
      wake_(loop.io(), Deadline::max()),
      tls_(asio::ssl::context::tls_client) {}

Async<> Link::open(async::TaskGroup& tasks) {
  arm(after(settings_.connect_timeout));
  try {
    co_await connect();
  } catch (const boost::system::system_error& e) {  // Asio's error becomes ours
    close_socket();
    unavailable(address_.text() + ": " + e.code().message());
  }
  disarm();
  open_ = true;
  tasks.spawn("redis writer", write_loop(shared_from_this()));
  tasks.spawn("redis reader", read_loop(shared_from_this()));
  if (!settings_.password.empty()) co_await log_in();
}

Async<> Link::connect() {
  if (address_.host.starts_with('/')) {
    auto& socket = stream_.emplace<Unix>(loop_.io());
    co_await socket.async_connect(asio::local::stream_protocol::endpoint(address_.host),
                                  asio::use_awaitable);
    co_return;
  }
  asio::ip::tcp::resolver resolver(loop_.io());
  const auto found = co_await resolver.async_resolve(address_.host, std::to_string(address_.port),
                                                     asio::use_awaitable);
  // There was no socket yet to close.
  if (late_) throw boost::system::system_error(asio::error::timed_out);
  if (settings_.tls) {
    if (settings_.ca_file.empty())
      tls_.set_default_verify_paths();
    else
      tls_.load_verify_file(settings_.ca_file);
    auto& stream = stream_.emplace<Tls>(loop_.io(), tls_);
    co_await asio::async_connect(stream.next_layer(), found, asio::use_awaitable);
    co_await handshake(stream);
  } else {
    co_await asio::async_connect(stream_.emplace<Tcp>(loop_.io()), found, asio::use_awaitable);
  }
}

Async<> Link::handshake(Tls& stream) {
  stream.set_verify_mode(asio::ssl::verify_peer);
  stream.set_verify_callback(asio::ssl::host_name_verification(address_.host));
  boost::system::error_code not_an_address;
  asio::ip::make_address(address_.host, not_an_address);
  // The server name of RFC 6066 is never an address.
  if (not_an_address) SSL_set_tlsext_host_name(stream.native_handle(), address_.host.c_str());
  co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
}

Async<> Link::log_in() {
  std::vector<std::string> words{"AUTH"};
  if (!settings_.user.empty()) words.push_back(settings_.user);
  words.push_back(settings_.password);
  const auto reply = co_await ask(words);
  if (reply.is_error()) {
    close();
    unavailable(address_.text() + ": AUTH: " + reply.text);
  }
}

Async<> Link::write_loop(std::shared_ptr<Link> self) {
  while (self->open_) {
    if (self->outgoing_.empty()) {
      self->wake_.expires_at(Deadline::max());
      boost::system::error_code ec;
      co_await self->wake_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      continue;
    }
    const auto bytes = std::exchange(self->outgoing_, {});
    if (co_await self->write(bytes)) self->close();
  }
}

Async<> Link::read_loop(std::shared_ptr<Link> self) {
  Parser parser;
  std::array<char, 16384> chunk;
  while (self->open_) {
    const auto size = co_await self->read(chunk);
    if (size == 0) break;
    parser.append({chunk.data(), size});
    Reply reply;
    for (;;) {
      const auto status = parser.next(reply);
      if (status == Parser::Status::incomplete) break;
      if (status == Parser::Status::malformed || self->waiting_.empty()) {
        self->close();
        co_return;
      }
      self->deliver(std::move(reply));
    }
  }
  self->close();
}

void Link::require_room(std::size_t commands) const {
  if (!open_) unavailable(address_.text() + ": not connected");
  if (waiting_.size() + commands > static_cast<std::size_t>(settings_.max_pending))
    unavailable(address_.text() + ": too many commands wait");
}

std::shared_ptr<Link::Pending> Link::enqueue(const std::vector<std::string>& words) {
  require_room(1);
  auto pending = std::make_shared<Pending>();
  append_command(outgoing_, words);
  waiting_.push_back({pending, after(settings_.timeout)});
  if (waiting_.size() == 1) arm(waiting_.front().deadline);
  wake_.cancel();
  return pending;
}

Async<Reply> Link::reply_of(std::shared_ptr<Pending> pending) {
  co_await pending->done.wait();
  if (!pending->answered) unavailable(address_.text() + ": the connection was lost or too slow");
  co_return std::move(pending->reply);
}

Async<Reply> Link::ask(const std::vector<std::string>& words) {
  co_return co_await reply_of(enqueue(words));
}

Async<Reply> Link::ask_moving(const std::vector<std::string>& words) {
  require_room(2);
  enqueue({"ASKING"});
  co_return co_await reply_of(enqueue(words));
}

void Link::close() {
  if (!std::exchange(open_, false)) return;
  disarm();
  close_socket();
  wake_.cancel();
  for (auto& entry : std::exchange(waiting_, {})) entry.pending->done.set();
  closed_.set();
}

void Link::on_deadline() {
  late_ = true;
  if (open_)
    close();
  else
    close_socket();
}

void Link::close_socket() {
  boost::system::error_code ec;
  if (auto* tcp = std::get_if<Tcp>(&stream_))
    tcp->close(ec);
  else if (auto* local = std::get_if<Unix>(&stream_))
    local->close(ec);
  else if (auto* tls = std::get_if<Tls>(&stream_))
    tls->next_layer().close(ec);
}

void Link::deliver(Reply reply) {
  const auto pending = std::move(waiting_.front().pending);
  waiting_.pop_front();
  if (waiting_.empty())
    disarm();
  else
    arm(waiting_.front().deadline);
  pending->reply = std::move(reply);
  pending->answered = true;
  pending->done.set();
}

Async<boost::system::error_code> Link::write(const std::string& bytes) {
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

Async<std::size_t> Link::read(std::array<char, 16384>& chunk) {
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

}  // namespace coditect::redis
