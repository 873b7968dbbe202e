#include <unistd.h>

#include <cstdio>
#include <fstream>

#include <fmt/format.h>

#include "apps/coditect/commands.h"

namespace coditect::app {

int attack_service(const attack::Options& options, const std::string& json_file) {
  const bool terminal = isatty(STDERR_FILENO) == 1;
  const auto progress = [terminal](const attack::Progress& p) {
    if (terminal)
      std::fputs(
          fmt::format("\r\033[K{}: {} requests, {} findings", p.phase, p.requests, p.findings)
              .c_str(),
          stderr);
  };
  const auto report = attack::run(options, progress);
  if (terminal) std::fputs("\r\033[K", stderr);
  if (json_file == "-") {
    std::fputs(attack::to_json(report).c_str(), stdout);
  } else {
    std::fputs(attack::to_text(report).c_str(), stdout);
    if (!json_file.empty()) {
      std::ofstream out(json_file);
      out << attack::to_json(report);
      if (!out.flush())
        fail(Code::unavailable, "report_unwritable", "--json " + json_file + " cannot be written");
    }
  }
  return report.findings.empty() ? 0 : 1;
}

}  // namespace coditect::app
