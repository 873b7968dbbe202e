#pragma once
#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace coditect::app {

/// A private server run as a child: started, watched, stopped. When this program dies, so does the
/// child. Fork only from the thread that lives longest: the kernel ties the death signal to it.
class Child {
 public:
  /// `environment`: "NAME=value", besides this program's own.
  Child(std::string name, std::vector<std::string> command, std::string log_file, int stop_signal,
        std::vector<std::string> environment = {})
      : name_(std::move(name)),
        command_(std::move(command)),
        log_file_(std::move(log_file)),
        stop_signal_(stop_signal),
        environment_(std::move(environment)) {}

  void start();
  /// Whether it still runs; reaps it when not.
  bool alive();
  void stop(std::chrono::milliseconds patience);
  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }
  bool runs_postgres() const { return name_ == "postgres" || name_.starts_with("citus-"); }
  /// The last lines of its log, for an error message.
  std::string log_tail(std::size_t most) const;

 private:
  std::string name_;
  std::vector<std::string> command_;
  std::string log_file_;
  int stop_signal_;
  std::vector<std::string> environment_;
  pid_t pid_ = -1;
};

/// Servers that belong together.
class Children {
 public:
  void start(Child child);
  Child& find(const std::string& name);
  /// Starts again what has died; called about every 100 ms.
  void watch();
  /// The last one first.
  void stop();

 private:
  std::vector<Child> all_;
  std::map<std::string, std::pair<std::chrono::steady_clock::time_point, int>> restarts_;
};

/// Ends a server that a killed program left behind: by the signal `gentle`, after 7.5 s by `harsh`.
/// Only the process of the file that runs `program`: a pid may have been given anew.
void stop_leftover(const std::string& pid_file, const std::string& program, int gentle, int harsh);
/// The exit status; of one that takes longer than the patience and is ended, 137.
int run_and_wait(const std::vector<std::string>& command, const std::string& log_file,
                 std::chrono::seconds patience = std::chrono::seconds(300),
                 std::vector<std::string> environment = {});
/// Its path; throws `program_missing`.
std::string find_program(const std::string& name);
/// Throws `disk_full`, `postgres_failed` or `redis_failed` with the last lines of its log.
[[noreturn]] void server_failed(const Child& child, const std::string& what);

/// A port that was remembered and is free, or else any free one (loopback).
int choose_port(int remembered);
bool port_is_free(const std::string& host, int port);

}  // namespace coditect::app
