#include "base/mutant.h"

#ifdef CODITECT_MUTANTS
#include <sys/stat.h>

#include <cstdlib>
#include <deque>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace coditect {
namespace {

/// The file that COTEST_MUTANTS_FILE names, a mutant a line, read again when it changes:
///   gate.path_tenant               a switch in the code
///   sql:tasks.get:0                the first `tenant_id = $1` of the statement, always true
///   sql:*                          all of all statements
///   edit:auth.check_key:FROM=>TO   other words in a statement
/// Statements that were used are appended to FILE.seen with how many filters they have.
class Mutants {
 public:
  static Mutants& get() {
    static Mutants all;
    return all;
  }

  bool has(std::string_view name) {
    const std::lock_guard lock(mutex_);
    refresh();
    return on_.contains(name);
  }

  std::pair<std::string_view, const char*> statement(std::string_view name, const char* sql) {
    const std::lock_guard lock(mutex_);
    refresh();
    note(name, sql);
    std::string text = sql, made(name);
    const bool every = on_.contains("sql:*");
    int filter = 0;
    for (std::size_t at = 0; (at = text.find(kFilter, at)) != std::string::npos; ++filter) {
      auto start = at;
      while (start > 0 && (std::isalnum(text[start - 1]) != 0 || text[start - 1] == '.' ||
                           text[start - 1] == '_'))
        --start;
      at += kFilter.size();
      const auto mine = "sql:" + std::string(name) + ":" + std::to_string(filter);
      if (!every && !on_.contains(mine)) continue;
      text.insert(at, " OR true)");
      text.insert(start, "(");
      at += 10;
      made += "~" + std::to_string(filter);
    }
    for (const auto& line : on_) {
      const auto head = "edit:" + std::string(name) + ":";
      if (!line.starts_with(head)) continue;
      const auto arrow = line.find("=>");
      const auto from = line.substr(head.size(), arrow - head.size());
      if (const auto at = text.find(from); at != std::string::npos)
        text.replace(at, from.size(), line.substr(arrow + 2));
      made += "~e";
    }
    if (made == name) return {name, sql};
    auto& kept = made_[made + "\n" + text];
    if (kept.first.empty()) kept = {made + "~" + std::to_string(made_.size()), text};
    return {kept.first, kept.second.c_str()};
  }

 private:
  static constexpr std::string_view kFilter = "tenant_id = $1";

  void refresh() {
    const char* path = std::getenv("COTEST_MUTANTS_FILE");
    struct stat s{};
    if (path == nullptr || stat(path, &s) != 0) return;
    if (s.st_mtim.tv_sec == changed_.tv_sec && s.st_mtim.tv_nsec == changed_.tv_nsec) return;
    changed_ = s.st_mtim;
    on_.clear();
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) on_.insert(line);
  }

  void note(std::string_view name, const std::string& sql) {
    if (!seen_.emplace(name).second) return;
    const char* path = std::getenv("COTEST_MUTANTS_FILE");
    if (path == nullptr) return;
    int filters = 0;
    for (std::size_t at = 0; (at = sql.find(kFilter, at)) != std::string::npos; ++at) ++filters;
    std::ofstream(std::string(path) + ".seen", std::ios::app) << name << " " << filters << "\n";
  }

  std::mutex mutex_;
  std::set<std::string, std::less<>> on_, seen_;
  std::map<std::string, std::pair<std::string, std::string>> made_;
  timespec changed_{};
};

}  // namespace

bool mutant(std::string_view name) { return Mutants::get().has(name); }

std::pair<std::string_view, const char*> mutated(std::string_view name, const char* sql) {
  return Mutants::get().statement(name, sql);
}

}  // namespace coditect
#endif
