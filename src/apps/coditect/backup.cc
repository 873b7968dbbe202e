#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <sstream>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <boost/json.hpp>

#include "apps/coditect/commands.h"
#include "apps/coditect/embedded.h"
#include "apps/coditect/progress_line.h"
#include "base/bytes.h"
#include "base/error.h"
#include "crypto/digest.h"

/// A backup is a folder: the data directory as pg_basebackup copies it, with the log that makes it
/// whole at one instant, and what else the state directory has that cannot be made anew.
namespace coditect::app {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kPartial = ".partial";
/// Of the state directory: passwords and sealing keys, without which the data is of no use.
constexpr const char* kStateFiles[] = {"secrets", "operator.key", "demo-shown"};

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

std::uintmax_t size_of(const fs::path& folder) {
  std::uintmax_t all = 0;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec))
    if (it->is_regular_file(ec)) all += it->file_size(ec);
  return all;
}

double mib(std::uintmax_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// Runs the work and tells how much of about `expected` bytes the folder has.
int with_progress(const std::string& what, const fs::path& folder, std::uintmax_t expected,
                  const std::function<int()>& work) {
  ProgressLine line;
  auto done = std::async(std::launch::async, work);
  while (done.wait_for(250ms) != std::future_status::ready)
    if (line.due())
      line.show(
          fmt::format("{}: {:.0f} of about {:.0f} MiB", what, mib(size_of(folder)), mib(expected)));
  line.clear();
  return done.get();
}

std::string read(const fs::path& file) {
  std::ifstream in(file);
  if (!in) fail(Code::not_found, "backup_damaged", file.string() + " is missing");
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

void write(const fs::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.close();
  if (!out || chmod(file.c_str(), 0600) != 0)
    fail(Code::unavailable, "backup_failed", "cannot write " + file.string());
}

[[noreturn]] void program_failed(const std::string& what, const fs::path& log) {
  const Child tail("", {}, log.string(), SIGTERM);
  fail(Code::unavailable, "backup_failed", what + " failed; its last words:\n" + tail.log_tail(5));
}

/// Every byte of the data against the checksums of its own manifest. `log`: of the program.
void verify(const std::string& bin, const fs::path& folder, const fs::path& log) {
  const int status = with_progress("verifying", folder, size_of(folder / "postgres"), [&] {
    return run_and_wait(
        {bin + "/pg_verifybackup", "--exit-on-error", (folder / "postgres").string()}, log.string(),
        24h);
  });
  const Child tail("", {}, log.string(), SIGTERM);
  const auto words = tail.log_tail(3);
  std::error_code ec;
  fs::remove(log, ec);
  if (status != 0)
    fail(Code::failed_precondition, "backup_damaged",
         folder.string() + " is not what was backed up:\n" + words);
}

/// Which installation a backup is of: backups of several may lie in one folder.
std::string installation(const StateDir& state) {
  const auto secrets = state.read_values("secrets");
  const auto at = secrets.find("postgres");
  return to_hex(crypto::sha256("installation " + (at == secrets.end() ? "" : at->second)))
      .substr(0, 16);
}

/// The whole ones of this installation, oldest first: their names are times.
std::vector<fs::path> backups_in(const fs::path& folder, const std::string& of) {
  std::vector<fs::path> out;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    if (entry.path().extension() == kPartial || !fs::exists(entry.path() / "manifest.json", ec))
      continue;
    const auto manifest = boost::json::parse(read(entry.path() / "manifest.json"), ec);
    if (!ec && manifest.is_object() && manifest.as_object().contains("installation") &&
        manifest.at("installation") == boost::json::value(of))
      out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

/// A folder that goes again unless it is kept.
class Unfinished {
 public:
  explicit Unfinished(fs::path path) : path_(std::move(path)) {}
  ~Unfinished() {
    std::error_code ec;
    if (!kept_) fs::remove_all(path_, ec);
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void keep() { kept_ = true; }

 private:
  fs::path path_;
  bool kept_ = false;
};

void flush(const fs::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_CLOEXEC);
  const bool ok = fd >= 0 && syncfs(fd) == 0;
  if (fd >= 0) close(fd);
  if (!ok) fail(Code::unavailable, "backup_failed", "cannot flush " + folder.string());
}

void remove_partial(const fs::path& folder) {
  std::error_code ec;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(folder, ec))
    if (entry.path().extension() == kPartial && entry.is_directory(ec))
      left.push_back(entry.path());
  for (const auto& path : left) fs::remove_all(path, ec);
}

std::string version_of(const fs::path& data) {
  return std::string(trim(read(data / "PG_VERSION")));
}

void give(const fs::path& path, const std::optional<RunAs>& user) {
  if (user && lchown(path.c_str(), user->uid, user->gid) != 0)
    fail(Code::unavailable, "state_directory_unusable",
         "cannot give " + path.string() + " to " + user->name);
}

}  // namespace

int backup(const Application& application, const BackupOptions& o) {
  const auto state = StateDir::open(o.state);
  const auto ports = state.read_values("ports");
  if (!state.owner() || !ports.contains("postgres"))
    fail(Code::failed_precondition, "not_running",
         "'" + application.name + " up' does not run in " + state.path() +
             ": a backup is made of a running one");
  if (!fs::exists(state.file("postgres/PG_VERSION")))
    fail(Code::failed_precondition, "not_private",
         "it uses a database that is not its own: back that up where it is");
  if (state.read_values("citus").contains("workers"))
    fail(Code::failed_precondition, "is_a_cluster",
         "this is a cluster of several servers, which 'backup' cannot copy at one instant");
  const fs::path to = fs::absolute(o.to);
  std::error_code ec;
  fs::create_directories(to, ec);
  if (ec)
    fail(Code::unavailable, "backup_failed", "cannot make " + to.string() + ": " + ec.message());
  const int one_at_a_time = open((to / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (one_at_a_time < 0 || flock(one_at_a_time, LOCK_EX | LOCK_NB) != 0)
    fail(Code::conflict, "backup_running", "another backup is being made in " + to.string());
  remove_partial(to);

  const auto start = std::chrono::system_clock::now();
  const auto stamp =
      application.name +
      fmt::format("-{:%Y%m%dT%H%M%SZ}", std::chrono::floor<std::chrono::seconds>(start));
  auto name = stamp;
  for (int n = 2; fs::exists(to / name, ec); ++n) name = fmt::format("{}-{}", stamp, n);
  const auto partial = to / (name + kPartial);
  if (!fs::create_directory(partial, ec))
    fail(Code::unavailable, "backup_failed", "cannot make " + partial.string());
  Unfinished unfinished(partial);
  chmod(partial.c_str(), 0700);
  const auto expected = size_of(state.file("postgres"));
  if (const auto space = fs::space(to, ec); !ec && space.available < expected)
    fail(Code::unavailable, "disk_full",
         fmt::format("{} has {:.0f} MiB left, and the backup needs about {:.0f}", to.string(),
                     mib(space.available), mib(expected)));
  const auto bin = find_postgres_bin(version_of(state.file("postgres")));
  const auto secrets = state.read_values("secrets");
  const auto log = partial / "pg_basebackup.log";
  const int status = with_progress("copying", partial, expected, [&] {
    return run_and_wait(
        {bin + "/pg_basebackup", "-D", (partial / "postgres").string(), "-d",
         "host=" + state.socket_dir() + " port=" + ports.at("postgres") + " user=coditect_admin",
         "--checkpoint=fast", "--wal-method=stream", "--manifest-checksums=SHA256"},
        log.string(), 24h, {"PGPASSWORD=" + secrets.at("postgres")});
  });
  if (status != 0) program_failed("pg_basebackup", log);
  boost::json::object files;
  for (const char* file : kStateFiles)
    if (const auto text = state.read_file(file)) {
      write(partial / file, *text);
      files[file] = to_hex(crypto::sha256(*text));
    }
  verify(bin, partial, log);
  fs::remove(log, ec);
  const auto bytes = size_of(partial);
  const auto took = std::chrono::duration<double>(std::chrono::system_clock::now() - start).count();
  write(partial / "manifest.json",
        boost::json::serialize(boost::json::object{
            {"program", application.name},
            {"program_version", application.version},
            {"postgres_version", version_of(partial / "postgres")},
            {"began_at",
             fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(start))},
            {"installation", installation(state)},
            {"sha256", files},
            {"seconds", took},
            {"bytes", bytes}}) +
            "\n");
  flush(partial);
  fs::rename(partial, to / name, ec);
  if (ec) fail(Code::unavailable, "backup_failed", "cannot rename " + partial.string());
  unfinished.keep();
  flush(to);
  say((to / name).string());
  say(
      fmt::format("{:.1f} MiB in {:.1f} s, verified. It holds passwords and keys: keep it like "
                  "them.",
                  mib(bytes), took));
  if (!secrets.contains("sealing_keys"))
    say("The sealing keys come from settings and are not in it: keep them elsewhere.");
  if (o.keep > 0) {
    auto all = backups_in(to, installation(state));
    std::erase(all, to / name);  // never the one just made, whatever the clock says
    for (std::size_t i = 0; i + static_cast<std::size_t>(o.keep) <= all.size(); ++i) {
      fs::remove_all(all[i], ec);
      say(ec ? "cannot remove " + all[i].string() + ": " + ec.message()
             : "removed " + all[i].string());
    }
  }
  return 0;
}

int restore(const Application& application, const RestoreOptions& o) {
  const fs::path from = fs::absolute(o.backup);
  const auto manifest = boost::json::parse(read(from / "manifest.json")).as_object();
  const auto made_by = std::string(manifest.at("program").as_string());
  if (made_by != application.name)
    fail(Code::failed_precondition, "backup_of_another_program",
         from.string() + " is a backup of " + made_by + ", not of " + application.name);
  const auto bin = find_postgres_bin(std::string(manifest.at("postgres_version").as_string()));
  std::error_code ec;
  const auto before = StateDir::open(o.state);
  if (before.owner())
    fail(Code::conflict, "already_running",
         before.path() + " is in use: choose another --state, or stop it and move it away");
  const auto& sums = manifest.at("sha256").as_object();
  if (!sums.contains("secrets"))
    fail(Code::failed_precondition, "backup_damaged", from.string() + " has no secrets");
  for (const auto& [file, sum] : sums)
    if (to_hex(crypto::sha256(read(from / std::string(file)))) != sum.as_string())
      fail(Code::failed_precondition, "backup_damaged",
           std::string(file) + " of " + from.string() + " is not what was backed up");
  const auto is_free = [&] {
    if (access(before.file(kRestoring).c_str(), F_OK) == 0 || !fs::exists(before.path(), ec))
      return true;
    const fs::directory_iterator all(before.path(), ec);
    return std::ranges::all_of(all, [](const auto& e) { return e.path().filename() == "lock"; });
  };
  if (!is_free())
    fail(Code::conflict, "state_directory_in_use",
         before.path() + " is not empty: choose another --state, or move it away");
  const auto log = from / fmt::format(".verify-{}.log", getpid());
  verify(bin, from, log);

  const auto user = unprivileged_user();
  auto state = StateDir::prepare(o.state, user);
  // Whoever began to use it while the backup was verified keeps it.
  if (!state.lock() || !is_free())
    fail(Code::conflict, "state_directory_in_use", state.path() + " is used by somebody by now");
  state.write_file(kRestoring, from.string() + "\n");
  const auto data = state.file("postgres");
  fs::remove_all(data, ec);
  const int status = with_progress("copying", data, size_of(from / "postgres"), [&] {
    std::error_code problem;
    fs::copy(from / "postgres", data, fs::copy_options::recursive | fs::copy_options::copy_symlinks,
             problem);
    return problem.value();
  });
  if (status != 0)
    fail(Code::unavailable, "restore_failed",
         "cannot copy: " + std::generic_category().message(status) +
             "; the same command begins anew");
  for (const char* file : kStateFiles)
    if (fs::exists(from / file, ec)) state.write_file(file, read(from / file));
  give(state.path(), user);
  for (const auto& entry : fs::recursive_directory_iterator(state.path())) give(entry.path(), user);
  chmod(data.c_str(), 0700);
  sync();
  fs::remove(state.file(kRestoring), ec);
  say("restored what was there at " + std::string(manifest.at("began_at").as_string()) +
      " or a moment later; next: " + application.name + " up --state " + state.path());
  return 0;
}

}  // namespace coditect::app
