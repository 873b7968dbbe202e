#include "apps/coditect/state_dir.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/digest.h"

namespace coditect::app {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot(const std::string& what, const std::string& path) {
  const int problem = errno;
  fail(Code::unavailable, problem == ENOSPC ? "disk_full" : "state_directory_unusable",
       "cannot " + what + " " + path + ": " + std::strerror(problem));
}

bool may_enter(const fs::path& directory, const RunAs& user) {
  struct stat s{};
  if (stat(directory.c_str(), &s) != 0) return true;  // it will be made
  if (s.st_uid == user.uid) return (s.st_mode & S_IXUSR) != 0;
  if (s.st_gid == user.gid) return (s.st_mode & S_IXGRP) != 0;
  return (s.st_mode & S_IXOTH) != 0;
}

bool reachable(const fs::path& path, const RunAs& user) {
  for (auto p = path.parent_path(); p != p.root_path(); p = p.parent_path())
    if (!may_enter(p, user)) return false;
  return true;
}

}  // namespace

std::optional<RunAs> unprivileged_user() {
  if (geteuid() != 0) return std::nullopt;
  for (const char* name : {"postgres", "nobody"})
    if (const passwd* p = getpwnam(name)) return RunAs{p->pw_uid, p->pw_gid, p->pw_name, p->pw_dir};
  fail(Code::failed_precondition, "no_unprivileged_user",
       "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody");
}

void become(const RunAs& user) {
  if (initgroups(user.name.c_str(), user.gid) != 0 || setgid(user.gid) != 0 ||
      setuid(user.uid) != 0 || setuid(0) == 0)
    fail(Code::internal, "cannot_drop_root", "cannot become the user " + user.name);
  // Libraries look for files in the home directory, and root's cannot be read any more.
  setenv("HOME", user.home.c_str(), 1);
}

std::string StateDir::default_path(const std::string& program) {
  if (geteuid() == 0) return "/var/lib/" + program;
  if (const char* xdg = getenv("XDG_STATE_HOME"); xdg != nullptr && *xdg == '/')
    return std::string(xdg) + "/" + program;
  const char* home = getenv("HOME");
  return std::string(home != nullptr ? home : "/tmp") + "/.local/state/" + program;
}

StateDir StateDir::prepare(const std::string& given, const std::optional<RunAs>& user) {
  std::error_code ec;
  fs::path path = fs::absolute(given).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  bool moved = false;
  if (fs::is_symlink(path, ec)) {
    path = fs::weakly_canonical(path, ec);
    moved = true;
  }
  fs::create_directories(path.parent_path(), ec);
  if (ec)
    fail(Code::unavailable, "state_directory_unusable",
         "cannot make " + path.parent_path().string() + ": " + ec.message());
  if (user && !reachable(path, *user)) {
    const fs::path target =
        "/var/lib/coditect/by-path/" + to_hex(crypto::sha256(path.string())).substr(0, 16);
    if (fs::exists(path, ec) && !fs::is_empty(path, ec))
      fail(Code::failed_precondition, "state_directory_unusable",
           path.string() + " cannot be reached by the user " + user->name +
               "; choose another --state");
    fs::create_directories(target, ec);
    if (ec)
      fail(Code::unavailable, "state_directory_unusable", target.string() + ": " + ec.message());
    fs::remove(path, ec);
    fs::create_directory_symlink(target, path, ec);
    if (ec)
      fail(Code::unavailable, "state_directory_unusable", path.string() + ": " + ec.message());
    path = target;
    moved = true;
  }
  fs::create_directories(path, ec);
  if (ec)
    fail(Code::unavailable,
         ec == std::errc::no_space_on_device ? "disk_full" : "state_directory_unusable",
         "cannot make " + path.string() + ": " + ec.message());
  if (user && chown(path.c_str(), user->uid, user->gid) != 0)
    cannot("give to " + user->name, path.string());
  chmod(path.c_str(), 0700);
  StateDir out(path.string());
  out.moved_ = moved;
  return out;
}

StateDir StateDir::open(const std::string& given) {
  std::error_code ec;
  fs::path path = fs::absolute(given).lexically_normal();
  if (fs::is_symlink(path, ec)) path = fs::weakly_canonical(path, ec);
  return StateDir(path.string());
}

std::string StateDir::socket_dir() const {
  constexpr std::size_t kRoom = 107 - sizeof("/.s.PGSQL.65535");
  auto inside = file("run");
  if (inside.size() <= kRoom) return inside;
  return "/tmp/coditect-" + to_hex(crypto::sha256(path_)).substr(0, 16);
}

bool StateDir::lock() {
  lock_ = ::open(file("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) cannot("open", file("lock"));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    close(lock_);
    lock_ = -1;
    return false;
  }
  const auto pid = std::to_string(getpid()) + "\n";
  if (ftruncate(lock_, 0) != 0 ||
      pwrite(lock_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    cannot("write", file("lock"));
  return true;
}

std::optional<pid_t> StateDir::owner() const {
  const int fd = ::open(file("lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::optional<pid_t> out;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char text[32] = {};
    if (pread(fd, text, sizeof text - 1, 0) > 0) out = static_cast<pid_t>(std::atol(text));
  }
  close(fd);
  return out;
}

std::map<std::string, std::string> StateDir::read_values(const std::string& name) const {
  std::map<std::string, std::string> out;
  std::ifstream in(file(name));
  for (std::string line; std::getline(in, line);) {
    const auto space = line.find(' ');
    if (space != std::string::npos) out[line.substr(0, space)] = line.substr(space + 1);
  }
  return out;
}

void StateDir::write_values(const std::string& name,
                            const std::map<std::string, std::string>& values) const {
  std::string text;
  for (const auto& [key, value] : values) text += key + " " + value + "\n";
  write_file(name, text);
}

void StateDir::write_file(const std::string& name, const std::string& text) const {
  const auto temporary = file(name + ".new");
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) cannot("write", temporary);
  const bool ok =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const int problem = errno;
  close(fd);
  errno = problem;
  if (!ok || rename(temporary.c_str(), file(name).c_str()) != 0) cannot("write", temporary);
}

std::optional<std::string> StateDir::read_file(const std::string& name) const {
  std::ifstream in(file(name));
  if (!in) return std::nullopt;
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

}  // namespace coditect::app
