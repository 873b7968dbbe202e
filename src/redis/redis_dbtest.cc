#include "redis/client.h"
#include "testing/loop_test.h"
#include "testing/servers.h"

namespace coditect::redis {
namespace {

using namespace std::chrono_literals;

class RedisTest : public testing::LoopTest {
 protected:
  void connect(Client& client) {
    client.start();
    for (int i = 0; i < 2000 && !client.connected(); ++i) run(async::sleep_for(10ms));
    ASSERT_TRUE(client.connected());
  }
  /// Patient: the machine may be busy with other tests.
  Settings settings() {
    auto s = *Settings::parse(testing::Servers::get().redis_url);
    s.timeout = 10s;
    s.connect_timeout = 10s;
    return s;
  }
};

Async<std::string> get(Client& client, std::string key) {
  co_return (co_await client.command(key, {"GET", key})).text;
}

TEST_F(RedisTest, AnswersReachTheirOwnCallers) {
  Client client(loop_, settings(), metrics_);
  connect(client);
  for (int i = 0; i < 100; ++i) {
    const auto n = std::to_string(i);
    run(client.command("k" + n, {"SET", "k" + n, "v" + n}));
  }
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 100; ++i)
    answers.push_back(
        asio::co_spawn(loop_.io(), get(client, "k" + std::to_string(i)), asio::use_future));
  for (int i = 0; i < 100; ++i) {
    while (answers[static_cast<std::size_t>(i)].wait_for(0s) != std::future_status::ready)
      loop_.io().run_one();
    EXPECT_EQ(answers[static_cast<std::size_t>(i)].get(), "v" + std::to_string(i));
  }
  run(client.stop());
}

TEST_F(RedisTest, ASlowCommandFailsInTimeAndTheConnectionComesBack) {
  auto s = settings();
  s.timeout = 700ms;
  Client client(loop_, s, metrics_);
  connect(client);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(run(client.command("x", {"BLPOP", "nothing-comes", "5"})), Failure);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 4s);
  for (int i = 0; i < 300 && !client.connected(); ++i) run(async::sleep_for(10ms));
  run(async::sleep_for(50ms));
  EXPECT_EQ(run(client.command("x", {"PING"})).text, "PONG");
  run(client.stop());
}

TEST_F(RedisTest, WithoutAServerACommandFailsAtOnce) {
  auto s = settings();
  s.addresses = {{"/tmp/no-such-redis.sock", 0}};
  Client client(loop_, s, metrics_);
  client.start();
  run(async::sleep_for(50ms));
  EXPECT_THROW(run(client.command("x", {"PING"})), Failure);
  run(client.stop());
}

TEST_F(RedisTest, AWrongPasswordDoesNotConnect) {
  auto s = settings();
  s.password = "wrong";
  Client client(loop_, s, metrics_);
  client.start();
  run(async::sleep_for(200ms));
  EXPECT_FALSE(client.connected());
  run(client.stop());
}

}  // namespace
}  // namespace coditect::redis
