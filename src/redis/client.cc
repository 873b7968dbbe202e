#include "redis/client.h"

#include "obs/log.h"

namespace coditect::redis {
namespace {

using namespace std::chrono_literals;

constexpr int kMostHops = 5;
constexpr auto kRefresh = 30s;

/// Replies of a server that cannot serve the slot now; the command did not run.
bool is_out_of_service(std::string_view error) {
  for (const char* code : {"CLUSTERDOWN ", "LOADING ", "MASTERDOWN ", "READONLY "})
    if (error.starts_with(code)) return true;
  return false;
}

}  // namespace

struct Client::Server {
  Address address;
  std::shared_ptr<Link> link;  ///< null while there is no connection
  bool retired = false;
};

Client::Client(async::Loop& loop, Settings settings, obs::Metrics& metrics)
    : loop_(loop),
      settings_(std::move(settings)),
      refresh_wake_(loop.io(), Deadline::max()),
      tasks_(loop.io()),
      failures_(
          metrics.counter("coditect_redis_failures_total", "Redis commands that got no answer")),
      moved_(metrics.counter("coditect_redis_redirects_total",
                             "Redirections by servers of a Redis Cluster", {{"kind", "moved"}})),
      asked_(metrics.counter("coditect_redis_redirects_total",
                             "Redirections by servers of a Redis Cluster", {{"kind", "ask"}})),
      refreshes_(metrics.counter("coditect_redis_slot_maps_total",
                                 "Slot maps learned from a Redis Cluster")),
      up_(metrics.gauge("coditect_redis_connections", "Open connections to Redis")) {}

Client::~Client() = default;

void Client::start() {
  for (const auto& address : settings_.addresses) server_at(address);
  if (settings_.cluster) tasks_.spawn("redis slot map", stay_informed());
}

Async<> Client::stop() {
  for (const auto& [address, server] : servers_)
    if (server->link) server->link->close();
  co_await tasks_.stop();
}

bool Client::connected() const {
  for (const auto& [address, server] : servers_)
    if (server->link) return !settings_.cluster || !slots_.masters().empty();
  return false;
}

std::shared_ptr<Client::Server> Client::server_at(const Address& address) {
  auto& server = servers_[address];
  if (!server) {
    server = std::make_shared<Server>();
    server->address = address;
    tasks_.spawn("redis", stay_connected(server));
  }
  return server;
}

Async<> Client::stay_connected(std::shared_ptr<Server> server) {
  async::Backoff backoff(50ms, 1000ms);
  bool told = false;
  while (!tasks_.stopping() && !server->retired) {
    const auto link = std::make_shared<Link>(loop_, settings_, server->address);
    try {
      co_await link->open(tasks_);
      backoff.reset();
      told = false;
      if (!server->retired) {
        server->link = link;
        up_.Increment();
        co_await link->wait_closed();
        up_.Decrement();
        server->link.reset();
        if (!server->retired) {
          last_loss_ = std::chrono::steady_clock::now();
          refresh_soon();
        }
      }
    } catch (const Failure& f) {  // the connection failed, not the work: try again
      if (!std::exchange(told, true) && !server->retired)
        obs::log(obs::Level::warn, "cannot reach Redis; going on without", {{"error", f.what()}});
      refresh_soon();
    }
    if (server->retired) {
      co_await retire(link);
      co_return;
    }
    link->close();
    co_await async::sleep_for(backoff.next());
  }
}

/// Commands on their way get their answers.
Async<> Client::retire(std::shared_ptr<Link> link) {
  while (link->is_open() && !link->is_idle()) co_await async::sleep_for(20ms);
  link->close();
}

std::shared_ptr<Link> Client::link_to(const Address* address) {
  if (address == nullptr) {
    refresh_soon();
    unavailable("no server of the cluster is known to have the key");
  }
  const auto it = servers_.find(*address);
  if (it == servers_.end() || !it->second->link) {
    refresh_soon();
    unavailable(address->text() + ": not connected");
  }
  return it->second->link;
}

/// To a server that has just been heard of.
Async<std::shared_ptr<Link>> Client::wait_for_link(Address address, Deadline deadline) {
  // Looked up anew each time: a map that does not know the server yet may have retired it.
  while (!server_at(address)->link) {
    if (remaining(deadline).count() == 0) unavailable(address.text() + ": not connected");
    co_await async::sleep_for(2ms);
  }
  co_return server_at(address)->link;
}

Async<Reply> Client::command(std::string_view key, std::vector<std::string> words) {
  try {
    if (settings_.cluster) co_return co_await in_cluster(slot_of(key), words);
    const auto link = link_to(&settings_.addresses.front());
    co_return co_await link->ask(words);
  } catch (const Failure&) {  // counted, then passed on
    failures_.Increment();
    throw;
  }
}

Async<Reply> Client::in_cluster(int slot, const std::vector<std::string>& words) {
  const auto deadline = after(settings_.timeout);
  auto link = link_to(slots_.master_of(slot));
  bool moving = false;
  for (int hop = 0; hop < kMostHops && remaining(deadline).count() > 0; ++hop) {
    auto reply = moving ? co_await link->ask_moving(words) : co_await link->ask(words);
    if (!reply.is_error()) co_return reply;
    if (const auto redirect = redirect_of(reply, *link, slot)) {
      link = co_await wait_for_link(redirect->to, deadline);
      moving = redirect->kind == Redirect::Kind::ask;
    } else if (reply.text.starts_with("TRYAGAIN ")) {  // some of its keys have moved, others not
      co_await async::sleep_for(5ms);
    } else if (is_out_of_service(reply.text)) {
      refresh_soon();
      unavailable(link->address().text() + ": " + reply.text);
    } else {
      co_return reply;
    }
  }
  unavailable("sent from server to server without an end");
}

std::optional<Redirect> Client::redirect_of(const Reply& reply, const Link& link, int slot) {
  auto redirect = Redirect::from(reply.text, link.address());
  if (!redirect) return std::nullopt;
  if (redirect->kind == Redirect::Kind::moved) {
    moved_.Increment();
    slots_.set(slot, redirect->to);
    refresh_soon();
  } else {
    asked_.Increment();  // the slot is still the other's: the map stays
  }
  return redirect;
}

void Client::refresh_soon() {
  refresh_wanted_ = true;
  refresh_wake_.cancel();
}

/// Whether nothing is left to learn.
bool Client::is_settled() const {
  if (refresh_wanted_ || !slots_.complete()) return false;
  for (const auto& master : slots_.masters()) {
    const auto it = servers_.find(master);
    if (it == servers_.end() || !it->second->link) return false;
  }
  return true;
}

Async<> Client::stay_informed() {
  async::Backoff backoff(20ms, 5000ms);
  for (;;) {
    refresh_wanted_ = false;
    const bool learned = co_await refresh();
    if (learned && is_settled()) {
      backoff.reset();
      refresh_wake_.expires_after(kRefresh);
      boost::system::error_code ec;
      co_await refresh_wake_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
    // Many MOVED at once ask once; a cluster that stays broken is asked less and less.
    co_await async::sleep_for(std::min(backoff.next(), lost_lately() ? 500ms : 5000ms));
  }
}

/// A replica takes some seconds to take over: it is worth asking often for half a minute.
bool Client::lost_lately() const {
  return std::chrono::steady_clock::now() - last_loss_ < kRefresh;
}

/// Asks one server after the other, until one tells.
Async<bool> Client::refresh() {
  std::vector<std::shared_ptr<Link>> links;
  for (const auto& [address, server] : servers_)
    if (server->link) links.push_back(server->link);
  for (std::size_t i = 0; i < links.size(); ++i) {
    const auto& link = links[next_to_ask_++ % links.size()];
    try {
      const auto reply = co_await link->ask({"CLUSTER", "SLOTS"});
      if (auto map = SlotMap::from(reply, link->address())) {
        adopt(std::move(*map));
        co_return true;
      }
      if (!std::exchange(told_, true))
        obs::log(obs::Level::warn, "a Redis server tells no slot map",
                 {{"server", link->address().text()}, {"error", reply.text}});
    } catch (const Failure&) {  // the next one may know
    }
  }
  // Nobody is left: begin anew with the servers of the settings.
  for (const auto& address : settings_.addresses) server_at(address);
  co_return false;
}

void Client::adopt(SlotMap map) {
  refreshes_.Increment();
  told_ = false;
  slots_ = std::move(map);
  for (const auto& master : slots_.masters()) server_at(master);
  for (auto it = servers_.begin(); it != servers_.end();) {
    const auto server = it->second;
    if (std::ranges::find(slots_.masters(), server->address) != slots_.masters().end()) {
      ++it;
      continue;
    }
    it = servers_.erase(it);
    server->retired = true;
    if (const auto link = std::exchange(server->link, nullptr))
      tasks_.spawn("redis retirement", retire(link));
  }
}

}  // namespace coditect::redis
