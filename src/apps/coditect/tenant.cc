#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "apps/coditect/commands.h"
#include "apps/coditect/progress_line.h"
#include "apps/coditect/serving.h"
#include "apps/coditect/state_dir.h"
#include "domain/accounts/import.h"

namespace coditect::app {
namespace {

volatile std::sig_atomic_t stop_asked = 0;

std::string duration(double seconds) {
  const auto s = static_cast<long long>(seconds);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

/// How far an import is.
class ImportLine {
 public:
  void show(const accounts::ImportProgress& p) {
    if (!line_.due(p.finished)) return;
    const double took =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const auto bytes = static_cast<double>(p.next_byte - p.first_byte);
    const double per_second = took > 0 ? static_cast<double>(p.next_line - p.first_line) / took : 0;
    const double left =
        bytes > 0 ? took / bytes * static_cast<double>(p.total_bytes - p.next_byte) : 0;
    line_.show(fmt::format("{} organizations, {} rejected, {:.1f} %, {:.0f} lines/s, {} left",
                           p.imported, p.rejected,
                           100.0 * static_cast<double>(p.next_byte) /
                               static_cast<double>(std::max<std::int64_t>(p.total_bytes, 1)),
                           per_second, duration(left)));
  }
  void end() { line_.keep(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  ProgressLine line_;
};

}  // namespace

int import_tenants(ProgramSettings& settings, const ImportOptions& o) {
  accounts::ImportSource source{o.file, o.format, o.api_keys_file, o.rejects_file, o.step};
  if (source.format.empty()) source.format = o.file.ends_with(".csv") ? "csv" : "jsonl";
  if (source.rejects_file.empty()) source.rejects_file = o.file + ".rejects.jsonl";
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  const auto stopped = [] { return stop_asked != 0; };
  ImportLine line;
  const auto report = [&line](const accounts::ImportProgress& p) { line.show(p); };
  accounts::ImportProgress done;
  if (o.dry_run) {
    done = accounts::check_import(source, report, stopped);
  } else {
    if (settings.database.url.empty()) settings_from_state(settings, o.state);
    if (settings.database.import_password.empty() && settings.database.url.empty())
      fail(Code::invalid_argument, "setting_missing", "set database.url and the import password");
    const auto& d = settings.database;
    done =
        accounts::import_tenants(source,
                                 {settings.directory_conninfo("coditect_import", d.import_password),
                                  settings.cell_conninfo("coditect_import", d.import_password)},
                                 load_keys(settings), report, stopped);
  }
  line.end();
  fmt::print("{}{} organizations{}, {} rejected{}\n",
             done.already   ? "had been imported before; "
             : done.resumed ? "went on; "
                            : "",
             done.imported, o.dry_run ? " are right" : " imported", done.rejected,
             done.rejected > 0 ? ": see " + source.rejects_file : "");
  if (!done.finished) {
    fmt::print("stopped before line {}; the same command goes on from there\n", done.next_line);
    return 130;
  }
  return done.rejected > 0 ? exit_code(Code::unprocessable) : 0;
}

}  // namespace coditect::app
