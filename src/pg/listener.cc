#include "pg/listener.h"

#include "obs/log.h"

namespace coditect::pg {

using namespace std::chrono_literals;

Listener::Listener(async::Loop& loop, std::string conninfo, std::string channel,
                   OnMessage on_message, std::function<void()> on_gap)
    : loop_(loop),
      conninfo_(std::move(conninfo)),
      channel_(std::move(channel)),
      on_message_(std::move(on_message)),
      on_gap_(std::move(on_gap)) {}

Async<> Listener::run() {
  for (;;) {
    try {
      co_await listen();
    } catch (const Failure& f) {  // the connection, not the work, has ended: try again
      obs::log(obs::Level::warn, "LISTEN connection lost",
               {{"channel", channel_}, {"error", f.what()}});
    }
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return;
    co_await async::sleep_for(backoff_.next());
  }
}

Async<> Listener::listen() {
  const auto connection = co_await Connection::open(loop_, conninfo_, after(3s));
  const std::vector<Command> start{{{}, "LISTEN " + channel_, {}}};
  const std::vector<Command> sign{{{}, "SELECT 1", {}}};
  auto outcome = co_await connection->run(start, after(1s));
  if (outcome.error) throw SqlFailure(*outcome.error);
  on_gap_();
  backoff_.reset();
  for (;;) {
    const auto asked = std::chrono::steady_clock::now();
    outcome = co_await connection->run(sign, after(400ms));
    if (outcome.error) throw SqlFailure(*outcome.error);
    last_sign_ = asked;
    const auto payloads = co_await connection->notifications(after(200ms));
    for (const auto& payload : payloads) on_message_(payload);
  }
}

}  // namespace coditect::pg
