#pragma once
#include <map>
#include <string>

#include "base/secret.h"

namespace coditect::testing {

/// The private servers of a test run, made by the program test_servers; the variable COTEST_SERVERS
/// names the file that tells of them.
struct Servers {
  std::string database_url;  ///< an administrator's
  std::string redis_url;
  std::map<std::string, Secret> passwords;  ///< of the roles

  static const Servers& get();
};

/// A directory and a cell of this test program's own, copied from migrated templates.
struct Databases {
  std::string directory, cell;  ///< names

  /// Made at the first call, dropped when the program ends.
  static const Databases& get();

  std::string directory_as(const std::string& role) const;
  std::string cell_as(const std::string& role) const;
  /// The cell as an administrator, who is above row-level security.
  std::string cell_as_administrator() const;
};

}  // namespace coditect::testing
