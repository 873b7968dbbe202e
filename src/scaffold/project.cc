#include "scaffold/project.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "schema/tables.h"

namespace coditect::scaffold {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTreeTables = "src/schema/tables.h";
constexpr const char* kOwnTables = "src/tables.h";
// Where lines are added. The files have these lines in words for people, too.
constexpr std::string_view kNewTables = "// new tables of tenants above this line";
constexpr std::string_view kNewSlices = "new slices above this line";
constexpr std::string_view kNewTests = "new tests above this line";

/// The text with the line before the one that has the anchor, indented like it.
std::string insert_before(const std::string& path, const std::string& text, std::string_view anchor,
                          const std::string& line) {
  const auto at = text.find(anchor);
  if (at == std::string::npos)
    fail(Code::failed_precondition, "project_changed",
         path + " has no line '" + std::string(anchor) +
             "' any more: put it back where lines like '" + line + "' belong");
  const auto start = text.rfind('\n', at) + 1;
  const auto indent = text.substr(start, text.find_first_not_of(' ', start) - start);
  return text.substr(0, start) + indent + line + "\n" + text.substr(start);
}

/// The #include among its likes, in order.
std::string with_include(const std::string& text, const std::string& include) {
  const std::string line = "#include \"" + include + "\"";
  std::size_t at = 0, after_first_block = 0;
  bool seen = false;
  for (std::size_t start = 0; start < text.size();) {
    const auto end = text.find('\n', start);
    const auto here = text.substr(start, end - start);
    if (here.starts_with("#include \"")) {
      if (here.ends_with("/handlers.h\"") && here < line) at = end + 1, seen = true;
      after_first_block = end + 1;
    }
    if (end == std::string::npos) break;
    start = end + 1;
  }
  const auto where = seen ? at : after_first_block;
  return text.substr(0, where) + line + "\n" + text.substr(where);
}

std::string namespace_of(const std::string& path, const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("namespace ") && line.ends_with(" {"))
      return line.substr(10, line.size() - 12);
  fail(Code::failed_precondition, "project_changed",
       path + " opens no namespace, which new slices would be in");
}

}  // namespace

Project Project::find(const std::string& directory) {
  std::error_code ec;
  for (fs::path at = fs::weakly_canonical(directory, ec); !at.empty(); at = at.parent_path()) {
    Project out;
    out.top_ = at.string();
    if (out.exists(kTreeTables)) return out;
    if (out.exists(kOwnTables) && out.read(kOwnTables).contains(kNewTables)) {
      out.in_ = {.application = true,
                 .name_space = namespace_of(kOwnTables, out.read(kOwnTables)),
                 .include_prefix = "",
                 .source_prefix = "src/",
                 .migrations = "migrations/cell/"};
      return out;
    }
    if (at == at.root_path()) break;
  }
  fail(Code::failed_precondition, "no_project",
       "there is no project around " + directory + ": neither " + kTreeTables + " nor " +
           kOwnTables + " with the line '" + std::string(kNewTables) + "'");
}

bool Project::exists(const std::string& path) const {
  std::error_code ec;
  return fs::exists(fs::path(top_) / path, ec);
}

std::string Project::read(const std::string& path) const {
  std::ifstream in(fs::path(top_) / path);
  if (!in) fail(Code::failed_precondition, "project_changed", "cannot read " + top_ + "/" + path);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

File Project::with_line(const std::string& path, const std::string& anchor,
                        const std::string& line) const {
  return {path, insert_before(path, read(path), anchor, line)};
}

std::vector<File> Project::plan(const SliceName& name, const std::vector<Field>& fields) const {
  const auto folder = in_.source_prefix + name.plural;
  if (exists(folder)) fail(Code::conflict, "slice_exists", top_ + "/" + folder + " exists already");
  const auto tables = in_.application ? kOwnTables : kTreeTables;
  const auto row = "Table{\"" + name.plural + "\", Kind::tenant},";
  for (const auto& table : schema::CoreTables::tables)
    if (table.name == name.plural)
      fail(Code::conflict, "slice_exists", "the platform has a table " + name.plural);
  if (read(tables).contains(row))
    fail(Code::conflict, "slice_exists", std::string(tables) + " has a table " + name.plural);

  auto in = in_;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(fs::path(top_) / in.migrations, ec)) {
    const auto file = entry.path().filename().string();
    int version = 0;
    std::from_chars(file.data(), file.data() + file.size(), version);
    in.next_migration = std::max(in.next_migration, version + 1);
  }

  auto files = render_slice(name, fields, in);
  const auto sources = folder + "/";
  files.push_back(with_line(tables, std::string(kNewTables), row));
  if (in_.application) {
    auto application = with_line("src/application.cc", "// " + std::string(kNewSlices),
                                 "out.slices.push_back(" + name.plural + "::add_routes);");
    application.text = with_include(application.text, name.plural + "/handlers.h");
    files.push_back(std::move(application));
    auto cmake =
        with_line("CMakeLists.txt", "# " + std::string(kNewSlices), sources + "handlers.cc");
    cmake.text = insert_before("CMakeLists.txt", cmake.text, "# " + std::string(kNewTests),
                               sources + name.plural + "_dbtest.cc");
    files.push_back(std::move(cmake));
  } else {
    auto platform = with_line("src/apps/coditect/platform.cc", "// " + std::string(kNewSlices),
                              "out.slices.push_back(" + name.plural + "::add_routes);");
    platform.text = with_include(platform.text, "domain/" + name.plural + "/handlers.h");
    files.push_back(std::move(platform));
    files.push_back(with_line("src/CMakeLists.txt", "# " + std::string(kNewSlices),
                              "coditect_library(domain/" + name.plural + " FILES domain/" +
                                  name.plural + "/handlers.cc domain/" + name.plural + "/" +
                                  name.plural + "_dbtest.cc DEPS auth audit TEST_DEPS testing)"));
  }
  return files;
}

void Project::apply(const std::vector<File>& files) const {
  // All is written beside first, so that what cannot be written changes nothing.
  std::vector<fs::path> written;
  std::error_code ec;
  for (const auto& file : files) {
    const auto path = fs::path(top_) / file.path;
    fs::create_directories(path.parent_path(), ec);
    written.push_back(path.string() + ".new");
    std::ofstream out(written.back(), std::ios::trunc);
    out << file.text;
    out.close();
    if (out) continue;
    for (const auto& w : written) {
      fs::remove(w, ec);
      fs::remove(w.parent_path(), ec);  // where it is empty: it was made above
    }
    fail(Code::unavailable, "cannot_write", "cannot write " + path.string());
  }
  for (const auto& w : written) {
    fs::rename(w, w.parent_path() / w.stem(), ec);
    if (ec) fail(Code::unavailable, "cannot_write", "cannot rename " + w.string());
  }
}

}  // namespace coditect::scaffold
