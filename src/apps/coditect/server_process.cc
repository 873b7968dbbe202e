#include "apps/coditect/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/check.h"
#include "base/error.h"
#include "obs/log.h"

extern char** environ;

namespace coditect::app {
namespace {

using namespace std::chrono_literals;

/// Whether the process runs this program, so that a pid that was given anew is left alone.
bool runs(pid_t pid, const std::string& program) {
  std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(comm, name);
  return name == program;
}

}  // namespace

void Child::start() {
  std::vector<char*> argv;
  for (auto& word : command_) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (char** entry = environ; *entry != nullptr; ++entry) envp.push_back(*entry);
  for (auto& entry : environment_) envp.push_back(entry.data());
  envp.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) fail(Code::unavailable, "cannot_fork", std::strerror(errno));
  if (pid_ != 0) return;
  // In the child: only calls that are safe after fork() in a program with threads.
  setpgid(0, 0);  // Ctrl-C is for the parent, which stops the children in order
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_PDEATHSIG, stop_signal_);
  if (getppid() != parent) _exit(1);
  const int log = open(log_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int null = open("/dev/null", O_RDONLY);
  if (log >= 0) dup2(log, 1), dup2(log, 2);
  if (null >= 0) dup2(null, 0);
  for (int fd = 3; fd < 256; ++fd) close(fd);
  execve(argv[0], argv.data(), envp.data());
  _exit(127);
}

bool Child::alive() {
  if (pid_ <= 0) return false;
  int status = 0;
  const pid_t got = waitpid(pid_, &status, WNOHANG);
  if (got == 0) return true;
  pid_ = -1;
  return false;
}

void Child::stop(std::chrono::milliseconds patience) {
  if (!alive()) return;
  kill(pid_, stop_signal_);
  for (auto waited = 0ms; waited < patience; waited += 10ms) {
    if (!alive()) return;
    std::this_thread::sleep_for(10ms);
  }
  obs::log(obs::Level::warn, "a server does not stop; ending it", {{"server", name_}});
  kill(pid_, runs_postgres() ? SIGQUIT : SIGKILL);
  for (int i = 0; i < 500 && alive(); ++i) std::this_thread::sleep_for(10ms);
}

std::string Child::log_tail(std::size_t most) const {
  std::ifstream in(log_file_);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::string out;
  for (std::size_t i = lines.size() > most ? lines.size() - most : 0; i < lines.size(); ++i)
    out += "  " + lines[i] + "\n";
  return out;
}

void Children::start(Child child) {
  child.start();
  all_.push_back(std::move(child));
}

Child& Children::find(const std::string& name) {
  const auto at = std::ranges::find(all_, name, &Child::name);
  CHECK(at != all_.end());
  return *at;
}

void Children::watch() {
  for (auto& child : all_) {
    if (child.alive()) continue;
    auto& [next, count] = restarts_[child.name()];
    const auto at = std::chrono::steady_clock::now();
    if (at < next) continue;
    if (at - next > 60s) count = 0;
    obs::log(obs::Level::warn, "a server has ended; starting it again", {{"server", child.name()}});
    child.start();
    // Processes of a killed postmaster hold its memory for a moment: the first tries may fail.
    next = at + std::min(100ms * (1 << std::min(count++, 6)), 5000ms);
  }
}

void Children::stop() {
  for (auto it = all_.rbegin(); it != all_.rend(); ++it) it->stop(20000ms);
  all_.clear();
}

void stop_leftover(const std::string& pid_file, const std::string& program, int gentle, int harsh) {
  std::ifstream in(pid_file);
  pid_t pid = 0;
  if (!(in >> pid) || pid <= 1 || !runs(pid, program)) return;
  kill(pid, gentle);
  for (int i = 0; i < 200 && runs(pid, program); ++i) {
    if (i == 150) kill(pid, harsh);
    std::this_thread::sleep_for(50ms);
  }
  if (runs(pid, program))
    fail(Code::unavailable, "leftover_server",
         program + " of an earlier run (pid " + std::to_string(pid) + ") does not stop");
}

int run_and_wait(const std::vector<std::string>& command, const std::string& log_file,
                 std::chrono::seconds patience, std::vector<std::string> environment) {
  Child child(command[0], command, log_file, SIGTERM, std::move(environment));
  child.start();
  int status = 0;
  const auto until = std::chrono::steady_clock::now() + patience;
  for (pid_t ended = 0; ended != child.pid();) {
    ended = waitpid(child.pid(), &status, WNOHANG);
    if (ended < 0 && errno != EINTR)
      fail(Code::internal, "child_lost", command[0] + ": nobody knows how it ended");
    if (ended != 0) continue;
    if (std::chrono::steady_clock::now() > until) kill(child.pid(), SIGKILL);
    std::this_thread::sleep_for(5ms);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string find_program(const std::string& name) {
  for (const char* dir : {"/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin"})
    if (access((std::string(dir) + "/" + name).c_str(), X_OK) == 0)
      return std::string(dir) + "/" + name;
  fail(Code::failed_precondition, "program_missing",
       name + " is not installed; run scripts/setup.sh");
}

void server_failed(const Child& child, const std::string& what) {
  const auto tail = child.log_tail(5);
  const auto more = child.log_tail(100);
  const bool full =
      more.contains("No space left on device") || more.contains("Check free disk space");
  fail(Code::unavailable,
       full                    ? "disk_full"
       : child.runs_postgres() ? "postgres_failed"
                               : "redis_failed",
       (full ? "the disk is full (No space left on device): " : "") + what +
           (tail.empty() ? "" : "; its last words:\n" + tail));
}

bool port_is_free(const std::string& host, int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    close(fd);
    return true;  // not an IPv4 address: listening itself will tell
  }
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool free =
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(fd, 1) == 0;
  close(fd);
  return free;
}

int choose_port(int remembered) {
  if (remembered > 0 && port_is_free("127.0.0.1", remembered)) return remembered;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool ok = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  if (!ok) fail(Code::unavailable, "no_free_port", "cannot find a free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

}  // namespace coditect::app
