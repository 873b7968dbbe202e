#pragma once
#include <boost/asio/ssl.hpp>
#include <deque>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "async/loop.h"
#include "async/signal.h"
#include "async/task_group.h"
#include "redis/resp.h"
#include "redis/settings.h"

namespace coditect::redis {

/// Throws `redis_unavailable`.
[[noreturn]] void unavailable(std::string detail);

/// One connection from its opening to its end: a writer that sends what has gathered, a reader that
/// hands out the replies in order. A command that is late ends the connection, because later
/// replies could not be told from its own.
class Link : public async::Watchdog::Entry, public std::enable_shared_from_this<Link> {
 public:
  /// The settings must outlive this.
  Link(async::Loop& loop, const Settings& settings, Address address);

  /// Connects, by TLS where that is set, and logs in. The reader and the writer become tasks of the
  /// group. Throws `redis_unavailable`.
  Async<> open(async::TaskGroup& tasks);

  /// The reply, an error reply included. Throws `redis_unavailable` when the connection is not open
  /// or ends before the reply, and then it is unknown whether the command ran.
  Async<Reply> ask(const std::vector<std::string>& words);
  /// The same after ASKING, nothing between the two: for a slot that is moving to this server.
  Async<Reply> ask_moving(const std::vector<std::string>& words);

  void close();
  bool is_open() const { return open_; }
  bool is_idle() const { return waiting_.empty(); }
  const Address& address() const { return address_; }
  /// Returns once the connection has ended.
  Async<> wait_closed() { return closed_.wait(); }

 private:
  using Tcp = asio::ip::tcp::socket;
  using Unix = asio::local::stream_protocol::socket;
  using Tls = asio::ssl::stream<Tcp>;

  struct Pending {
    async::Signal done;
    Reply reply;
    bool answered = false;
  };
  struct Waiting {
    std::shared_ptr<Pending> pending;
    Deadline deadline;
  };

  void on_deadline() override;
  void close_socket();
  Async<> connect();
  Async<> handshake(Tls& stream);
  Async<> log_in();
  static Async<> write_loop(std::shared_ptr<Link> self);
  static Async<> read_loop(std::shared_ptr<Link> self);
  void require_room(std::size_t commands) const;
  std::shared_ptr<Pending> enqueue(const std::vector<std::string>& words);
  Async<Reply> reply_of(std::shared_ptr<Pending> pending);
  void deliver(Reply reply);
  Async<boost::system::error_code> write(const std::string& bytes);
  Async<std::size_t> read(std::array<char, 16384>& chunk);

  async::Loop& loop_;
  const Settings& settings_;
  const Address address_;
  asio::steady_timer wake_;
  asio::ssl::context tls_;
  std::variant<std::monostate, Tcp, Unix, Tls> stream_;
  std::string outgoing_;
  std::deque<Waiting> waiting_;
  async::Signal closed_;
  bool open_ = false;
  bool late_ = false;  ///< a deadline has passed
};

}  // namespace coditect::redis
