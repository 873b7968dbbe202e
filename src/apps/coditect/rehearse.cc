#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <thread>

#include <fmt/format.h>

#include "apps/coditect/commands.h"
#include "apps/coditect/embedded.h"
#include "apps/coditect/state_dir.h"
#include "base/error.h"

/// A drill on a cluster of its own: each step says what it is for, shows the command, runs it as a
/// user would, and checks what became of it.
namespace coditect::app {
namespace {

using namespace std::chrono_literals;

volatile std::sig_atomic_t stop_asked = 0;

void check_stop() {
  if (stop_asked != 0) fail(Code::conflict, "stopped", "the drill was ended; its cluster is gone");
}

class Drill {
 public:
  Drill(std::string program, std::string state, bool ask)
      : program_(std::move(program)), state_(std::move(state)), ask_(ask) {}

  void step(const std::string& title, const std::string& why) {
    fmt::print("\n--- {}. {}\n{}\n", ++number_, title, why);
    if (!ask_) return;
    fmt::print("[Enter goes on, Ctrl-C ends the drill] ");
    std::fflush(stdout);
    std::string line;
    if (!std::getline(std::cin, line)) ask_ = false;
    check_stop();
  }

  /// Runs the program with these words as a process of its own; throws when its exit code is not
  /// the one that is right here.
  void run(std::vector<std::string> words, int expect = 0) {
    std::string shown = "coditect";
    for (const auto& w : words) shown += " " + w;
    fmt::print("$ {}\n", shown);
    std::fflush(stdout);
    const int code = exit_code_of(std::move(words), false);
    if (words_may_stop_) check_stop();
    if (code != expect)
      fail(Code::internal, "drill_failed", fmt::format("'{}' ended with {}", shown, code));
  }

  bool succeeds(std::vector<std::string> words) {
    return exit_code_of(std::move(words), true) == 0;
  }

  /// The end of it: not to be stopped.
  void down() {
    words_may_stop_ = false;
    run({"down"});
  }

  std::map<std::string, std::string> ports() const {
    return StateDir::open(state_).read_values("ports");
  }
  std::string worker(int n) const {
    return "127.0.0.1:" + ports().at("citus-worker-" + std::to_string(n));
  }
  pid_t server(const std::string& name) const {
    const auto text = StateDir::open(state_).read_file(name + "/postmaster.pid");
    if (!text) fail(Code::internal, "drill_failed", name + " does not run");
    return static_cast<pid_t>(std::stoi(*text));
  }

  void wait(const std::string& what, const std::function<bool()>& until) {
    fmt::print("waiting until {} ", what);
    std::fflush(stdout);
    for (int i = 0; i < 300; ++i) {
      check_stop();
      if (until()) {
        fmt::print("after {:.1f} s\n", i * 0.2);
        return;
      }
      std::this_thread::sleep_for(200ms);
    }
    fail(Code::deadline_exceeded, "drill_failed", what + ": not within a minute");
  }

 private:
  int exit_code_of(std::vector<std::string> words, bool silent) {
    words.insert(words.begin(), program_);
    words.insert(words.end(), {"--state", state_});
    std::vector<char*> argv;
    for (auto& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      if (silent) {
        const int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
      }
      execv("/proc/self/exe", argv.data());
      _exit(127);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string program_, state_;
  bool ask_;
  bool words_may_stop_ = true;
  int number_ = 0;
};

void play(Drill& drill) {
  drill.step("A cluster",
             "A coordinator and three workers, the API, and two organizations. The third worker is "
             "taken out first, so that it can be added.");
  drill.run({"up", "--citus", "3", "--detach", "--http-port", "0"});
  drill.run({"cluster", "remove-node", drill.worker(3)});
  drill.run({"cluster", "status"});

  drill.step(
      "Grow: add a worker",
      "A new server gets roles, credentials and settings, and then shards, one after another, "
      "each compared with what it left behind. Requests go on all the time.");
  drill.run({"cluster", "add-node", drill.worker(3), "--dry-run"});
  drill.run({"cluster", "add-node", drill.worker(3)});
  drill.run({"cluster", "rebalance", "--by-shards"});

  drill.step(
      "A giant: a shard of its own",
      "An organization that outgrows its neighbours gets a shard, which can then be moved by "
      "itself.");
  drill.run({"cluster", "isolate", "acme", "--dry-run"});
  drill.run({"cluster", "isolate", "acme"});

  drill.step("Before anything bold: a restore point",
             "One name that every node's log has: all can be restored to the same moment.");
  drill.run({"cluster", "restore-point", "rehearsal"});

  drill.step(
      "Lose a worker",
      "kill -9 of a worker's server. Its tenants get 503 with Retry-After until it is back; "
      "the others notice nothing. 'coditect up' starts it again, as Patroni would elsewhere.");
  const auto before = drill.server("citus-worker-2");
  kill(before, SIGKILL);
  drill.wait("another server process runs", [&] {
    const auto text = drill.server("citus-worker-2");
    return text != before && kill(text, 0) == 0;
  });
  drill.wait("every node answers again", [&] { return drill.succeeds({"cluster", "verify"}); });
  drill.run({"cluster", "status"});

  drill.step("Is everything where it belongs?",
             "Every node and every shard against the registry, and every row in the shard of its "
             "tenant.");
  drill.run({"cluster", "verify", "--rows"});

  drill.step("Take a worker out", "It gives its shards away first; the last one is refused.");
  drill.run({"cluster", "remove-node", drill.worker(3)});
  drill.run({"cluster", "log"});
}

}  // namespace

int rehearse(const std::string& program, const ClusterOptions& o) {
  auto state = o.name.empty() ? "/tmp/coditect-rehearsal-" + std::to_string(getpid()) : o.name;
  Drill drill(program, state, isatty(STDIN_FILENO) == 1 && !o.force);
  struct sigaction action{};  // without SA_RESTART: the question for Enter ends, too
  action.sa_handler = [](int) { stop_asked = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  fmt::print("A drill on a private cluster in {}; nothing else is touched. It takes two minutes.\n",
             state);
  const auto end = [&] {
    try {
      drill.down();
    } catch (const Failure&) {  // it may not have come up
    }
    if (o.keep || !o.name.empty()) return;
    std::error_code ec;  // it may be a link to where the servers' user can go
    const auto real = std::filesystem::canonical(state, ec);
    if (!ec) std::filesystem::remove_all(real, ec);
    std::filesystem::remove(state, ec);
  };
  try {
    play(drill);
  } catch (...) {  // whatever it is: leave nothing running, then pass it on
    end();
    throw;
  }
  end();
  fmt::print("\nThe drill is over: you have seen what docs/SCALING.md describes.\n");
  return 0;
}

}  // namespace coditect::app
