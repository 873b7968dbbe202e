// A real cluster of three masters with a replica each, reshard and failover under load.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "apps/coditect/embedded.h"
#include "redis/client.h"
#include "testing/loop_test.h"

namespace coditect::redis {
namespace {

using namespace std::chrono_literals;

class Cluster {
 public:
  Cluster() : state_(app::StateDir::prepare(dir(), {})), servers_(state_) {
    servers_.start({.postgres = false, .redis = app::EmbeddedServers::Redis::cluster});
    setenv("REDISCLI_AUTH", servers_.redis_password().c_str(), 1);
  }
  ~Cluster() {
    servers_.stop();
    std::error_code ec;
    std::filesystem::remove_all(state_.socket_dir(), ec);
    std::filesystem::remove_all(dir(), ec);
  }

  Settings settings() const {
    auto s = *Settings::parse(servers_.redis_url());
    s.timeout = 2s;  // patient: the machine may be busy with other tests
    s.connect_timeout = 5s;
    return s;
  }
  int port(int server) const {
    return servers_.cluster_ports().at(static_cast<std::size_t>(server));
  }
  std::vector<int> ports() const { return servers_.cluster_ports(); }
  pid_t pid(int server) const {
    std::ifstream in(state_.socket_dir() + "/redis-" + std::to_string(server + 1) + ".pid");
    pid_t pid = 0;
    in >> pid;
    return pid;
  }
  /// What redis-cli prints.
  static std::string cli(int port, const std::string& words) {
    FILE* pipe =
        popen(("redis-cli -p " + std::to_string(port) + " " + words + " 2>&1").c_str(), "r");
    std::string out;
    char buffer[4096];
    for (std::size_t n = 0; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
    pclose(pipe);
    return out;
  }
  std::string id(int server) const {
    auto out = cli(port(server), "cluster myid");
    return out.substr(0, 40);
  }
  bool is_master(int server) const { return cli(port(server), "role").starts_with("master"); }
  bool is_whole() const {
    for (const int p : ports()) {
      const auto info = cli(p, "cluster info");
      if (!info.contains("cluster_state:ok") || !info.contains("cluster_slots_ok:16384"))
        return false;
    }
    return true;
  }
  void wait_until_whole() const {
    for (int i = 0; i < 300 && !is_whole(); ++i) std::this_thread::sleep_for(100ms);
    ASSERT_TRUE(is_whole());
  }
  /// Starts again what was killed.
  void revive() {
    for (int i = 0; i < 20; ++i) {
      servers_.watch();
      std::this_thread::sleep_for(100ms);
    }
  }

 private:
  static std::string dir() { return "/tmp/coditect-redis-cluster-" + std::to_string(getpid()); }
  app::StateDir state_;
  app::EmbeddedServers servers_;
};

/// Coroutines that write and read keys of their own until they are stopped. A value names its key
/// and a number that only grows, so a wrong answer shows.
struct Load {
  explicit Load(Client& to) : client(to) {}

  Client& client;
  bool stop = false;
  /// Failover may lose the last acknowledged writes: Redis replicates asynchronously.
  bool may_forget = false;
  int running = 0;
  int answered = 0, failed = 0, wrong = 0;
  std::string first_wrong;
  std::chrono::steady_clock::time_point last_failure{};
  std::chrono::milliseconds slowest{0};

  Async<std::optional<Reply>> ask(std::string key, std::vector<std::string> words) {
    const auto start = std::chrono::steady_clock::now();
    std::optional<Reply> reply;
    try {
      reply = co_await client.command(key, std::move(words));
      ++answered;
    } catch (const Failure&) {  // counted
      ++failed;
      last_failure = std::chrono::steady_clock::now();
    }
    slowest = std::max(slowest, std::chrono::duration_cast<std::chrono::milliseconds>(
                                    std::chrono::steady_clock::now() - start));
    co_return reply;
  }

  Async<> work(int who) {
    ++running;
    for (std::int64_t n = 1; !stop; ++n) {
      const auto key = "load:" + std::to_string(who) + ":" + std::to_string(n % 50);
      const auto set = co_await ask(key, {"SET", key, key + "=" + std::to_string(n)});
      if (set && set->text != "OK") complain("SET: " + set->text);
      const auto got = co_await ask(key, {"GET", key});
      if (got && set && !may_forget && got->text != key + "=" + std::to_string(n))
        complain(key + " is " + got->text + ", not " + std::to_string(n));
      if (got && !got->is_null() && !got->text.starts_with(key + "="))
        complain(key + " holds " + got->text);
      const auto absent = "absent:" + std::to_string(who) + ":" + std::to_string(n);
      const auto nothing = co_await ask(absent, {"GET", absent});
      if (nothing && !nothing->is_null()) complain(absent + " holds " + nothing->text);
      co_await async::sleep_for(1ms);
    }
    --running;
  }
  void complain(const std::string& what) {
    if (wrong++ == 0) first_wrong = what;
  }
};

class RedisCluster : public testing::LoopTest {
 protected:
  static void SetUpTestSuite() { cluster_ = new Cluster; }
  static void TearDownTestSuite() { delete std::exchange(cluster_, nullptr); }

  void SetUp() override {
    cluster_->wait_until_whole();
    client_ = std::make_unique<Client>(loop_, cluster_->settings(), metrics_);
    client_->start();
    for (int i = 0; i < 1000 && !all_slots_answer(); ++i) run(async::sleep_for(10ms));
    ASSERT_TRUE(all_slots_answer());
  }
  void TearDown() override {
    run(client_->stop());
    client_.reset();
  }

  bool all_slots_answer() {
    for (int i = 0; i < 30; ++i) {
      const auto key = "probe" + std::to_string(i);
      try {
        if (run(client_->command(key, {"GET", key})).is_error()) return false;
      } catch (const Failure&) {  // not yet
        return false;
      }
    }
    return true;
  }

  /// Runs the load while `act` runs on a thread of its own, and half a second before and after.
  void under_load(Load& load, const std::function<void()>& act) {
    for (int who = 0; who < 8; ++who) asio::co_spawn(loop_.io(), load.work(who), asio::detached);
    run(async::sleep_for(500ms));
    std::atomic<bool> done = false;
    std::thread actor([&] {
      act();
      done = true;
    });
    while (!done) run(async::sleep_for(10ms));
    actor.join();
    run(async::sleep_for(500ms));
    load.stop = true;
    while (load.running > 0) run(async::sleep_for(10ms));
  }

  double metric(const std::string& line) {
    const auto text = metrics_.text();
    const auto at = text.find("\n" + line + " ");
    return at == text.npos ? -1 : std::stod(text.substr(at + line.size() + 2));
  }

  static Cluster* cluster_;
  std::unique_ptr<Client> client_;
};
Cluster* RedisCluster::cluster_ = nullptr;

TEST_F(RedisCluster, EachKeyGoesStraightToItsMaster) {
  for (int i = 0; i < 500; ++i) {
    const auto key = "straight:" + std::to_string(i);
    ASSERT_EQ(run(client_->command(key, {"SET", key, key})).text, "OK");
  }
  for (int i = 0; i < 500; ++i) {
    const auto key = "straight:" + std::to_string(i);
    EXPECT_EQ(run(client_->command(key, {"GET", key})).text, key);
  }
  EXPECT_EQ(metric("coditect_redis_connections"), 3);
  EXPECT_EQ(metric("coditect_redis_redirects_total{kind=\"moved\"}"), 0);
  const auto keys = run(client_->command("{t}a", {"MSET", "{t}a", "1", "{t}b", "2"}));
  EXPECT_EQ(keys.text, "OK");
  EXPECT_EQ(run(client_->command("{t}a", {"MGET", "{t}a", "{t}b"})).items.size(), 2u);
  const auto refused = run(client_->command("a", {"MGET", "a", "b"}));
  EXPECT_TRUE(refused.is_error() && refused.text.starts_with("CROSSSLOT")) << refused.text;
}

TEST_F(RedisCluster, OneOfItsServersIsEnoughToFindTheOthers) {
  auto s = cluster_->settings();
  s.addresses.resize(1);
  s.addresses.insert(s.addresses.begin(), {"127.0.0.1", 1});  // nobody there
  Client other(loop_, s, metrics_);
  other.start();
  for (int i = 0; i < 500 && !other.connected(); ++i) run(async::sleep_for(10ms));
  run(async::sleep_for(200ms));
  for (int i = 0; i < 50; ++i) {
    const auto key = "few:" + std::to_string(i);
    EXPECT_EQ(run(other.command(key, {"SET", key, key})).text, "OK");
  }
  run(other.stop());
}

TEST_F(RedisCluster, AWrongPasswordLearnsNothing) {
  auto s = cluster_->settings();
  s.password = "wrong";
  Client other(loop_, s, metrics_);
  other.start();
  run(async::sleep_for(300ms));
  EXPECT_FALSE(other.connected());
  EXPECT_THROW(run(other.command("x", {"GET", "x"})), Failure);
  run(other.stop());
}

TEST_F(RedisCluster, AReshardUnderLoadCostsNoAnswerAndTellsNothingWrong) {
  Load load(*client_);
  std::string out;
  const auto from = cluster_->id(0), to = cluster_->id(1);
  under_load(load, [&] {
    out = Cluster::cli(cluster_->port(0),
                       "--cluster reshard 127.0.0.1:" + std::to_string(cluster_->port(0)) +
                           " --cluster-from " + from + " --cluster-to " + to +
                           " --cluster-slots 1500 --cluster-yes --cluster-pipeline 1");
  });
  EXPECT_TRUE(out.contains("Moving slot")) << out;
  EXPECT_EQ(load.wrong, 0) << load.first_wrong;
  EXPECT_EQ(load.failed, 0);
  EXPECT_GT(load.answered, 1000);
  EXPECT_GT(metric("coditect_redis_redirects_total{kind=\"moved\"}"), 0);
}

TEST_F(RedisCluster, WhileASlotMovesEachOfItsKeysIsFoundWhereItIs) {
  const std::string stays = "{moving}stays", goes = "{moving}goes", fresh = "{moving}fresh";
  for (const auto& key : {stays, goes}) run(client_->command(key, {"SET", key, key}));
  const auto slot = std::to_string(slot_of(stays));
  int from = 0;
  while (!cluster_->is_master(from) ||
         Cluster::cli(cluster_->port(from), "get " + stays) != stays + "\n")
    ++from;
  int to = 0;
  while (to == from || !cluster_->is_master(to)) ++to;
  const auto on = [&](int server, const std::string& words) {
    const auto out = Cluster::cli(cluster_->port(server), words);
    EXPECT_EQ(out, "OK\n") << words;
  };
  on(to, "cluster setslot " + slot + " importing " + cluster_->id(from));
  on(from, "cluster setslot " + slot + " migrating " + cluster_->id(to));
  on(from, "migrate 127.0.0.1 " + std::to_string(cluster_->port(to)) + " " + goes +
               " 0 5000 auth $REDISCLI_AUTH");

  EXPECT_EQ(run(client_->command(stays, {"GET", stays})).text, stays);
  EXPECT_EQ(run(client_->command(goes, {"GET", goes})).text, goes);
  EXPECT_EQ(run(client_->command(fresh, {"SET", fresh, fresh})).text, "OK");
  EXPECT_EQ(run(client_->command(fresh, {"GET", fresh})).text, fresh);
  EXPECT_EQ(metric("coditect_redis_redirects_total{kind=\"ask\"}"), 3);
  // Some of its keys are here, others there: nobody can answer for all of them, in any time.
  EXPECT_THROW(run(client_->command(stays, {"MGET", stays, goes})), Failure);

  on(from, "migrate 127.0.0.1 " + std::to_string(cluster_->port(to)) + " " + stays +
               " 0 5000 auth $REDISCLI_AUTH");
  for (const int server : {to, from})
    on(server, "cluster setslot " + slot + " node " + cluster_->id(to));
  for (const auto& key : {stays, goes, fresh})
    EXPECT_EQ(run(client_->command(key, {"GET", key})).text, key);
  EXPECT_EQ(run(client_->command(stays, {"MGET", stays, goes})).items.size(), 2u);
}

TEST_F(RedisCluster, AKilledMasterIsReplacedAndNothingWrongIsTold) {
  Load load(*client_);
  load.may_forget = true;
  int victim = 0;
  while (!cluster_->is_master(victim)) ++victim;
  std::chrono::steady_clock::time_point killed;
  under_load(load, [&] {
    killed = std::chrono::steady_clock::now();
    kill(cluster_->pid(victim), SIGKILL);
    std::this_thread::sleep_for(8s);
  });
  EXPECT_EQ(load.wrong, 0) << load.first_wrong;
  EXPECT_GT(load.failed, 0) << "the master was not missed";
  EXPECT_LT(load.last_failure - killed, 7s) << "nobody took its place";
  EXPECT_LT(load.slowest, 5s);
  EXPECT_GT(load.answered, load.failed);
  cluster_->revive();
}

TEST_F(RedisCluster, AFrozenMasterHoldsUpOnlyItsOwnKeysAndNotForLong) {
  Load load(*client_);
  load.may_forget = true;
  int victim = 0;
  while (!cluster_->is_master(victim)) ++victim;
  std::chrono::steady_clock::time_point frozen;
  under_load(load, [&] {
    frozen = std::chrono::steady_clock::now();
    kill(cluster_->pid(victim), SIGSTOP);
    std::this_thread::sleep_for(9s);
    kill(cluster_->pid(victim), SIGCONT);
    std::this_thread::sleep_for(2s);
  });
  EXPECT_EQ(load.wrong, 0) << load.first_wrong;
  EXPECT_GT(load.failed, 0) << "the master was not missed";
  EXPECT_LT(load.last_failure - frozen, 9s);
  EXPECT_LT(load.slowest, 5s);
}

}  // namespace
}  // namespace coditect::redis
