#include "apps/coditect/cli.h"

namespace coditect::app {

void add_run_commands(Cli& cli) {
  auto& up_options = cli.keep<UpOptions>();
  auto* up_command = cli.app.add_subcommand(
      "up", "Run the whole platform on this machine, with a private PostgreSQL and Redis");
  cli.with_state(up_command, up_options.state);
  up_command->add_flag("--detach", up_options.detach, "go on in the background once it answers");
  up_command->add_flag("--no-demo", up_options.no_demo, "make no demo organizations");
  up_command->add_option_function<std::string>(
      "--database", [&](const std::string& v) { cli.flags["database.url"] = v; },
      "use this PostgreSQL, as an administrator that may create roles and databases");
  up_command->add_option_function<std::string>(
      "--redis", [&](const std::string& v) { cli.flags["redis.url"] = v; }, "use this Redis");
  up_command->add_flag("--redis-cluster", up_options.redis_cluster,
                       "a private Redis Cluster of three masters with a replica each, instead of "
                       "one Redis");
  up_command
      ->add_option("--citus", up_options.citus_workers,
                   "keep the tenants on a private Citus cluster of a coordinator and this many "
                   "workers; a database with tenants becomes the coordinator")
      ->check(CLI::Range(1, 32));
  up_command->add_flag("--monitoring", up_options.monitoring,
                       "also run Prometheus with the platform's rules, and Jaeger where it is "
                       "installed, on free ports");
  cli.add_flags(up_command);
  cli.on(up_command,
         [&] { return cli.load(), up(cli.application, cli.settings, cli.table, up_options); });

  auto& state = cli.keep<std::string>();
  auto& json = cli.keep<bool>();
  auto* down_command = cli.app.add_subcommand("down", "Stop what 'coditect up' runs");
  cli.with_state(down_command, state);
  cli.on(down_command, [&] { return down(state); });
  auto* status_command = cli.app.add_subcommand(
      "status", "Whether it runs, and where; exit code 0 when it is ready, 3 when not");
  cli.with_state(status_command, state);
  status_command->add_flag("--json", json, "for programs");
  cli.on(status_command, [&] { return status(state, json); });

  auto& backup_options = cli.keep<BackupOptions>();
  auto* backup_command =
      cli.app.add_subcommand("backup", "Copy all that 'up' keeps at one instant, while it runs");
  cli.with_state(backup_command, backup_options.state);
  backup_command->add_option("--to", backup_options.to, "the folder to make the backup in")
      ->required();
  backup_command->add_option("--keep", backup_options.keep, "remove older ones but so many")
      ->check(CLI::Range(1, 100000));
  cli.on(backup_command, [&] { return backup(cli.application, backup_options); });
  auto& restore_options = cli.keep<RestoreOptions>();
  auto* restore_command =
      cli.app.add_subcommand("restore", "Make a new state directory of a backup, for 'up' to run");
  restore_command->add_option("backup", restore_options.backup, "its folder")->required();
  cli.with_state(restore_command, restore_options.state);
  cli.on(restore_command, [&] { return restore(cli.application, restore_options); });

  auto* serve = cli.app.add_subcommand("serve", "Run one part of the platform, as production does");
  serve->require_subcommand(1);
  auto* api = serve->add_subcommand("api", "The HTTP API");
  cli.add_flags(api);
  cli.on(api, [&] { return cli.load(), serve_api(cli.application, cli.settings); });

  auto* migrations =
      cli.app.add_subcommand("migrate", "Bring the databases' schema up to this program");
  migrations->require_subcommand(1);
  const std::tuple<const char*, const char*, MigrateAction> actions[] = {
      {"status", "What was applied and what is pending", MigrateAction::status},
      {"plan", "What 'up' would do", MigrateAction::plan},
      {"up", "Apply what is pending", MigrateAction::up},
      {"verify", "Compare the databases with the registry of tables", MigrateAction::verify}};
  for (const auto& [name, help, action] : actions) {
    auto* sub = migrations->add_subcommand(name, help);
    cli.add_flags(sub);
    auto& only = cli.keep<std::string>();
    if (action == MigrateAction::verify)
      sub->add_option("--only", only, "directory or cell; default: both")
          ->check(CLI::IsMember({"directory", "cell"}));
    cli.on(sub, [&cli, &only, a = action] {
      return cli.load(), migrate(cli.application, cli.settings, a, only);
    });
  }
  auto& administrator = cli.keep<std::string>();
  auto& cell_administrator = cli.keep<std::string>();
  auto* boot =
      cli.app.add_subcommand("bootstrap", "Make the roles and databases on a PostgreSQL server");
  boot->add_option(
      "--administrator", administrator,
      "connection string of one who may create roles and databases; default: database.url");
  cli.add_flags(boot);
  boot->add_option("--cell-administrator", cell_administrator,
                   "the same for the cell's server; default: cell.url, or the first one");
  cli.on(boot,
         [&] { return cli.load(), bootstrap(cli.settings, administrator, cell_administrator); });
}

}  // namespace coditect::app
