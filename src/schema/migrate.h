#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/embedded_file.h"

/// The migration runner. Migrations are SQL files compiled into the program; each names its mode
/// and the oldest program that can run on the schema it leaves:
///   -- mode: transactional      all or nothing
///   -- mode: online             statement by statement, resumable, for concurrent indexes
///   -- oldest-program: 0.1.0
namespace coditect::schema {

enum class Mode { transactional, online };

/// Whose migrations: the platform's, or an application's that is built on it. Each origin counts
/// its versions from 1 and keeps its own record of what was applied.
inline constexpr std::string_view kPlatform = "coditect";

struct Migration {
  int version = 0;
  std::string name;
  Mode mode = Mode::transactional;
  std::string oldest_program;
  std::string sql;
  std::string checksum;  ///< SHA-256 of the file, hex
  std::string origin{kPlatform};
};

/// The migrations of one origin, as compiled into the program.
struct MigrationSource {
  std::string origin{kPlatform};  ///< lower-case letters, digits and _, 30 at most
  std::string program_version;    ///< what oldest-program of its files is compared with
  std::span<const EmbeddedFile> files;
};

/// citus/migrations/, compiled into the program.
std::span<const EmbeddedFile> migration_files();

/// The migrations of a set ("directory" or "cell"), source by source, each in order of version.
/// Throws when a file's name or header is malformed or a version is missing or there twice.
std::vector<Migration> migrations_of(const std::string& set,
                                     std::span<const MigrationSource> sources);

struct Applied {
  std::string origin;
  int version = 0;
  std::string name;
  std::string checksum;
  std::string oldest_program;
  bool finished = false;
};

struct Plan {
  std::vector<Applied> applied;
  std::vector<Migration> pending;
};

using Report = std::function<void(const std::string& line)>;

/// Compares the database with the files. Throws `migration_changed` when an applied file has
/// another checksum.
Plan plan(const std::string& conninfo, const std::vector<Migration>& migrations);

/// Applies what is pending, as coditect_migrator acting as coditect_owner. One migrator at a time;
/// others wait. A lock that cannot be had within two seconds is tried again, so that no reader
/// queues behind the migration for long.
void migrate(const std::string& conninfo, const std::vector<Migration>& migrations,
             const Report& report);

enum class Readiness {
  ready,
  behind,   ///< migrations are pending: wait
  too_new,  ///< the schema needs a newer program: refuse
};
/// Whether this program can serve the database of that set.
Readiness readiness(const std::string& conninfo, const std::string& set,
                    std::span<const MigrationSource> sources);

/// -1, 0 or 1 for dotted numbers.
int compare_versions(const std::string& a, const std::string& b);

/// The statements of a file, split at semicolons outside of texts, comments and dollar quotes.
std::vector<std::string> split_statements(const std::string& sql);

}  // namespace coditect::schema
