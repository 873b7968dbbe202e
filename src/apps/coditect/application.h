#pragma once
#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "auth/routes.h"
#include "schema/migrate.h"
#include "schema/tables.h"
#include "tenancy/purge.h"

namespace coditect::app {

/// What a program on this platform is made of. `coditect` itself is platform(); a product of yours
/// starts from core(), adds its tables, migrations and routes, and hands it to run_program(), which
/// has all of coditect's subcommands.
struct Application {
  std::string name = "coditect";  ///< of the program; lower-case letters, digits and -
  std::string version = CODITECT_VERSION;
  std::string description =
      "Coditect: the platform a SaaS company runs on, from the first tenant to the millionth.";

  std::span<const schema::Table> tables = schema::CoreTables::tables;
  std::span<const tenancy::PurgeStatement> purge = tenancy::kPurgeStatements<schema::CoreTables>;
  std::vector<schema::MigrationSource> migrations;

  using Slice = void (*)(auth::Routes&);
  std::vector<Slice> slices;  ///< add_routes() of each

  /// Fills a demo organization at the first `up`; post(path, body) is a POST beneath the
  /// organization's own path, safe to repeat.
  using Post =
      std::function<boost::json::value(const std::string& path, const boost::json::value& body)>;
  std::function<void(const Post& post, const std::string& organization)> fill_demo;
  /// A list beneath an organization's path for the first words to a user, such as "tasks".
  std::string demo_list = "activity";

  /// Takes the tables of a registry (see schema::CoreTables), which must begin with the platform's.
  template <class Registry>
  void use_tables() {
    static_assert(
        std::ranges::equal(schema::CoreTables::tables,
                           std::span(Registry::tables).first(schema::CoreTables::tables.size()), {},
                           &schema::Table::name, &schema::Table::name),
        "begin the registry with schema::CoreTables::tables, by schema::join()");
    tables = Registry::tables;
    purge = tenancy::kPurgeStatements<Registry>;
  }
  /// Adds migrations of this application's own, whose oldest-program is compared with its version;
  /// `origin` is 1 to 30 lower-case letters, digits and _; `files` are coditect_embed()'s.
  void add_migrations(std::string origin, std::span<const EmbeddedFile> files) {
    migrations.push_back({std::move(origin), {}, files});
  }
};

/// Organizations, members, keys, sessions, activity, operators.
Application core();
/// core() with projects, tasks and comments: the program `coditect`.
Application platform();

/// Reads the command line and runs a subcommand; the exit code.
int run_program(int argc, char** argv, Application application);

}  // namespace coditect::app
