#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "apps/coditect/commands.h"
#include "scaffold/project.h"

namespace coditect::app {
namespace {

/// In the house's format where the formatter is installed; it is readable without, too.
void format_sources(const std::string& top, const std::vector<scaffold::File>& files) {
  std::vector<std::string> words{"clang-format-19", "-i", "--style=file",
                                 "--fallback-style=Google"};
  for (const auto& f : files)
    if (f.path.ends_with(".h") || f.path.ends_with(".cc")) words.push_back(top + "/" + f.path);
  std::vector<char*> argv;
  for (auto& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    execvp(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
}

}  // namespace

int new_slice(const NewSliceOptions& o) {
  const auto name = scaffold::parse_name(o.name, o.singular);
  if (!name) throw Failure(name.error());
  const auto fields = scaffold::parse_fields(o.fields);
  if (!fields) throw Failure(fields.error());
  const auto project = scaffold::Project::find(o.directory);
  const auto files = project.plan(*name, *fields);
  std::vector<scaffold::File> fresh;  // only these are formatted: the others are the user's
  for (const auto& f : files)
    if (!std::filesystem::exists(project.top() + "/" + f.path)) fresh.push_back(f);
  for (const auto& f : files)
    fmt::print("{} {}\n",
               std::filesystem::exists(project.top() + "/" + f.path) ? "change" : "write ", f.path);
  if (o.dry_run) return 0;
  project.apply(files);
  format_sources(project.top(), fresh);
  fmt::print(
      "\nThe slice {} is there: a table of tenants, its routes under /v1/tenants/{{tenant}}/{}, "
      "tests "
      "with two tenants.\nNext: build, run the tests, and look at {}handlers.cc.\n",
      name->plural, name->plural,
      (project.is_application() ? "src/" : "src/domain/") + name->plural + "/");
  return 0;
}

}  // namespace coditect::app
