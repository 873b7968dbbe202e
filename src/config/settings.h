#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/secret.h"

/// Declarative settings: each library has a `struct Settings` whose members are its defaults and a
/// function that describes them in a Table. Flag > environment CODITECT_* > TOML file > default.
namespace coditect::config {

struct Bounds {
  std::int64_t min = INT64_MIN;
  std::int64_t max = INT64_MAX;
};

struct Setting {
  std::string name;  ///< "http.port"; the flag is --http-port, the variable CODITECT_HTTP_PORT
  std::string help;
  std::string type;    ///< for people: "number", "duration", "text", ...
  std::string source;  ///< "default", "file coditect.toml", "CODITECT_HTTP_PORT", "--http-port"
  bool secret = false;
  std::function<Result<void>(std::string_view)> set;
  std::function<std::string()> get;

  std::string flag() const;
  std::string variable() const;
  /// The value for people: secrets read ***.
  std::string shown() const;
};

/// All settings of a program. The members described must outlive the table.
class Table {
 public:
  void add(std::string name, std::string& member, std::string help);
  void add(std::string name, Secret& member, std::string help);
  void add(std::string name, bool& member, std::string help);
  void add(std::string name, int& member, Bounds bounds, std::string help);
  void add(std::string name, std::int64_t& member, Bounds bounds, std::string help);
  /// Text such as 250ms, 5s, 10m, 2h, 30d; the bounds are in milliseconds.
  void add(std::string name, std::chrono::milliseconds& member, Bounds bounds, std::string help);

  const std::vector<Setting>& all() const { return settings_; }
  Setting* find(std::string_view name);

  struct Sources {
    std::map<std::string, std::string> flags;        ///< by setting name
    std::map<std::string, std::string> environment;  ///< the CODITECT_* variables
    std::string file_name;                           ///< empty: no file
    std::string file_text;                           ///< TOML
  };
  /// Sets each member from its strongest source. An unknown key, a wrong type or a value out of
  /// bounds is an error that names the key and what would be right.
  Result<void> load(const Sources& sources);

 private:
  void add(Setting setting);
  Result<void> apply(std::string_view name, std::string_view value, const std::string& source);
  Result<void> load_file(const Sources& sources);
  std::string nearest(std::string_view name) const;

  std::vector<Setting> settings_;
};

/// The known word that takes the fewest edits to reach; empty when none is near.
std::string nearest_word(std::string_view word, const std::vector<std::string>& known);

Result<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string to_text(std::chrono::milliseconds duration);

}  // namespace coditect::config
