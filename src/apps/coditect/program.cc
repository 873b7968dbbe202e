#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include <CLI/CLI.hpp>

#include "apps/coditect/application.h"
#include "apps/coditect/commands.h"
#include "apps/coditect/state_dir.h"
#include "obs/log.h"

extern char** environ;

namespace coditect::app {

int exit_code(Code code) {
  switch (code) {
    case Code::invalid_argument: return 2;
    case Code::not_found: return 4;
    case Code::conflict:
    case Code::failed_precondition:
    case Code::unprocessable: return 5;
    case Code::unavailable:
    case Code::rate_limited: return 6;
    case Code::deadline_exceeded: return 7;
    case Code::unauthenticated:
    case Code::permission_denied: return 8;
    case Code::internal: return 1;
  }
  return 1;
}

namespace {

/// Variables of the command line itself; all other CODITECT_* are settings.
constexpr std::string_view kOwnVariables[] = {"CODITECT_CONFIG", "CODITECT_OPERATOR_KEY",
                                              "CODITECT_STATE", "CODITECT_ATTACK_KEY_A",
                                              "CODITECT_ATTACK_KEY_B"};

struct Program {
  ProgramSettings settings;
  config::Table table;
  std::map<std::string, std::string> flags;
  std::string config_file;

  Program() { settings.describe(table); }

  void load() {
    config::Table::Sources sources;
    sources.flags = flags;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view text = *entry;
      const auto name = text.substr(0, text.find('='));
      if (!name.starts_with("CODITECT_") ||
          std::ranges::find(kOwnVariables, name) != std::end(kOwnVariables))
        continue;
      sources.environment.emplace(name, text.substr(name.size() + 1));
    }
    if (!config_file.empty()) {
      std::ifstream in(config_file);
      if (!in)
        fail(Code::invalid_argument, "config_unreadable",
             "--config " + config_file + " cannot be read");
      std::ostringstream all;
      all << in.rdbuf();
      sources.file_name = config_file;
      sources.file_text = all.str();
    }
    if (auto ok = table.load(sources); !ok) throw Failure(ok.error());
    if (!obs::set_log_level(settings.log_level))
      fail(Code::invalid_argument, "setting_invalid",
           "log.level is debug, info, warn, error or off");
  }

  /// Every setting is a flag of the command.
  void add_flags(CLI::App* command) {
    for (const auto& s : table.all()) {
      const auto name = s.name;
      command
          ->add_option_function<std::string>(
              s.flag(), [this, name](const std::string& value) { flags[name] = value; }, s.help)
          ->group("Settings")
          ->type_name(s.type)
          ->take_last();
    }
    command->add_option("--config", config_file, "TOML file of settings")
        ->envname("CODITECT_CONFIG");
  }
};

/// An unknown flag gets the nearest known one.
std::string with_suggestion(const CLI::App& app, const std::string& message, int argc,
                            char** argv) {
  std::vector<std::string> known;
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  for (const auto* option : at->get_options())
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  for (int i = 1; i < argc; ++i) {
    const std::string word = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    if (!word.starts_with("--") || std::ranges::find(known, word) != known.end()) continue;
    if (const auto near = config::nearest_word(word, known); !near.empty())
      return message + "; did you mean " + near + "?";
  }
  return message;
}

/// What --version prints.
std::string version_line(const Application& application) {
  const std::string own = application.name + " " + application.version;
  return application.name == "coditect" ? own : own + " (Coditect " CODITECT_VERSION ")";
}

int run(int argc, char** argv, const Application& application) {
  Program program;
  UpOptions up_options;
  AdminOptions admin_options;
  admin_options.url.clear();
  std::string state, administrator, cell_administrator, operator_name = "operator";
  bool json = false, markdown = false;
  std::function<int()> command;

  CLI::App app(application.description, application.name);
  app.set_version_flag("--version", version_line(application));
  app.require_subcommand(1);
  const auto on = [&command](CLI::App* sub, std::function<int()> f) {
    sub->callback([&command, f = std::move(f)] { command = f; });
  };
  const auto with_state = [&application](CLI::App* sub, std::string& to) {
    const auto& name = application.name;
    to = StateDir::default_path(name);
    sub->add_option("--state", to,
                    "state directory; default /var/lib/" + name +
                        " for root, else $XDG_STATE_HOME/" + name + " or ~/.local/state/" + name)
        ->envname("CODITECT_STATE")
        ->check([](const std::string& value) {
          return value.empty() ? std::string("must not be empty") : std::string();
        });
  };

  auto* up_command = app.add_subcommand(
      "up", "Run the whole platform on this machine, with a private PostgreSQL and Redis");
  with_state(up_command, up_options.state);
  up_command->add_flag("--detach", up_options.detach, "go on in the background once it answers");
  up_command->add_flag("--no-demo", up_options.no_demo, "make no demo organizations");
  up_command->add_option_function<std::string>(
      "--database", [&](const std::string& v) { program.flags["database.url"] = v; },
      "use this PostgreSQL, as an administrator that may create roles and databases");
  up_command->add_option_function<std::string>(
      "--redis", [&](const std::string& v) { program.flags["redis.url"] = v; }, "use this Redis");
  up_command->add_flag("--redis-cluster", up_options.redis_cluster,
                       "a private Redis Cluster of three masters with a replica each, instead of "
                       "one Redis");
  up_command
      ->add_option("--citus", up_options.citus_workers,
                   "keep the tenants on a private Citus cluster of a coordinator and this many "
                   "workers; a database with tenants becomes the coordinator")
      ->check(CLI::Range(1, 32));
  program.add_flags(up_command);
  on(up_command,
     [&] { return program.load(), up(application, program.settings, program.table, up_options); });

  auto* down_command = app.add_subcommand("down", "Stop what 'coditect up' runs");
  with_state(down_command, state);
  on(down_command, [&] { return down(state); });
  auto* status_command = app.add_subcommand(
      "status", "Whether it runs, and where; exit code 0 when it is ready, 3 when not");
  with_state(status_command, state);
  status_command->add_flag("--json", json, "for programs");
  on(status_command, [&] { return status(state, json); });

  auto* serve = app.add_subcommand("serve", "Run one part of the platform, as production does");
  serve->require_subcommand(1);
  auto* api = serve->add_subcommand("api", "The HTTP API");
  program.add_flags(api);
  on(api, [&] { return program.load(), serve_api(application, program.settings); });

  auto* migrations =
      app.add_subcommand("migrate", "Bring the databases' schema up to this program");
  migrations->require_subcommand(1);
  const std::tuple<const char*, const char*, MigrateAction> actions[] = {
      {"status", "What was applied and what is pending", MigrateAction::status},
      {"plan", "What 'up' would do", MigrateAction::plan},
      {"up", "Apply what is pending", MigrateAction::up},
      {"verify", "Compare the databases with the registry of tables", MigrateAction::verify}};
  for (const auto& [name, help, action] : actions) {
    auto* sub = migrations->add_subcommand(name, help);
    program.add_flags(sub);
    on(sub, [&program, &application, a = action] {
      return program.load(), migrate(application, program.settings, a);
    });
  }
  auto* boot =
      app.add_subcommand("bootstrap", "Make the roles and databases on a PostgreSQL server");
  boot->add_option(
      "--administrator", administrator,
      "connection string of one who may create roles and databases; default: database.url");
  program.add_flags(boot);
  boot->add_option("--cell-administrator", cell_administrator,
                   "the same for the cell's server; default: cell.url, or the first one");
  on(boot, [&] {
    return program.load(), bootstrap(program.settings, administrator, cell_administrator);
  });

  attack::Options attack_options;
  std::string attack_json;
  std::vector<std::string> attack_phases;
  auto* attack_command = app.add_subcommand(
      "attack", "Play one tenant against another over HTTP; exit code 1 when something differs");
  attack_command->add_option("--url", attack_options.url, "the service, e.g. http://127.0.0.1:8080")
      ->required();
  auto* attack_a = attack_command->add_option("--tenant-a", attack_options.slug_a,
                                              "the attacker; default: signs two tenants up");
  auto* attack_key_a = attack_command->add_option("--key-a", attack_options.key_a, "its API key")
                           ->envname("CODITECT_ATTACK_KEY_A");
  auto* attack_b = attack_command->add_option("--tenant-b", attack_options.slug_b, "the other");
  auto* attack_key_b = attack_command->add_option("--key-b", attack_options.key_b, "its API key")
                           ->envname("CODITECT_ATTACK_KEY_B");
  attack_a->needs(attack_key_a)->needs(attack_b)->needs(attack_key_b);
  attack_b->needs(attack_a);
  attack_command
      ->add_option("--operator-key", attack_options.operator_key,
                   "an operator's key, to try suspended tenants too")
      ->envname("CODITECT_OPERATOR_KEY");
  attack_command->add_option("--tenant-parameter", attack_options.tenant_parameter,
                             "the path parameter that names the tenant");
  std::vector<std::string> attack_phase_names;
  std::string attack_phase_help = "only these:";
  for (const auto& [name, what] : attack::phases()) {
    attack_phase_names.push_back(name);
    attack_phase_help += "\n  " + name + ": " + what;
  }
  attack_command->add_option("--phase", attack_phases, attack_phase_help)
      ->check(CLI::IsMember(attack_phase_names));
  attack_command->add_flag("--stop-at-first", attack_options.stop_at_first,
                           "end at the first finding");
  attack_command->add_option("--timeout", attack_options.timeout_seconds, "seconds for an answer")
      ->check(CLI::Range(1, 3600));
  attack_command->add_option("--json", attack_json,
                             "write the report as JSON to this file; - : to "
                             "standard output");
  on(attack_command, [&] {
    attack_options.phases = {attack_phases.begin(), attack_phases.end()};
    return attack_service(attack_options, attack_json);
  });

  ImportOptions import_options;
  auto* tenants = app.add_subcommand("tenant", "Organizations in bulk");
  tenants->require_subcommand(1);
  auto* import_command = tenants->add_subcommand(
      "import", "Onboard organizations from a file; the same command goes on after a stop");
  import_command
      ->add_option("file", import_options.file,
                   "CSV with the header slug,name,owner_email[,owner_password_hash], or one JSON "
                   "object of these a line")
      ->required();
  import_command->add_option("--format", import_options.format,
                             "csv or jsonl; default: csv when the name ends so, else jsonl");
  import_command->add_option("--api-keys", import_options.api_keys_file,
                             "make an API key for each and write slug,key lines to this file");
  import_command->add_option("--rejects", import_options.rejects_file,
                             "where to write refused lines; default: FILE.rejects.jsonl");
  import_command->add_option("--step", import_options.step, "lines of one transaction")
      ->check(CLI::Range(1, 100000));
  import_command->add_flag("--dry-run", import_options.dry_run,
                           "check every line, write to no database");
  with_state(import_command, import_options.state);
  program.add_flags(import_command);
  on(import_command,
     [&] { return program.load(), import_tenants(program.settings, import_options); });

  ClusterOptions cluster_options;
  auto* cluster_command = app.add_subcommand(
      "cluster", "Set up and operate a Citus cell; acts as coditect_cluster on its coordinator");
  cluster_command->require_subcommand(1);
  const auto cluster_sub = [&](const char* name, const char* help) {
    auto* sub = cluster_command->add_subcommand(name, help);
    with_state(sub, cluster_options.state);
    program.add_flags(sub);
    on(sub, [&, n = std::string(name)] {
      return program.load(), cluster(n, application, program.settings, cluster_options);
    });
    return sub;
  };
  const auto may_dry_run = [&](CLI::App* sub) {
    sub->add_flag("--dry-run", cluster_options.dry_run, "only say what it would do");
  };
  const auto may_move = [&](CLI::App* sub) {
    may_dry_run(sub);
    sub->add_flag("--force", cluster_options.force, "in spite of what would make it slow");
    sub->add_flag("--block-writes", cluster_options.block_writes,
                  "stop the shard's writers while it is copied: faster, and needs no wal_level");
  };
  const auto takes_node = [&](CLI::App* sub, const char* help) {
    sub->add_option("node", cluster_options.node, help)->required();
  };
  auto* cluster_init = cluster_sub(
      "init", "Make a cluster of PostgreSQL servers with the extension; may be repeated");
  cluster_init->add_option("--administrator", cluster_options.administrator,
                           "a superuser's connection string to the coordinator; default: cell.url "
                           "or database.url");
  cluster_init->add_option("--worker", cluster_options.workers,
                           "HOST:PORT of a worker, as all nodes and the API reach it; repeat it");
  cluster_init->add_option("--node-conninfo", cluster_options.node_conninfo,
                           "libpq options between nodes; default: sslmode=require, timeouts");
  may_dry_run(cluster_init);
  auto* cluster_status = cluster_sub(
      "status", "Nodes, versions, shards, sizes, skew, largest and busiest tenants, warnings");
  cluster_status->add_flag("--json", cluster_options.json, "for programs");
  cluster_status->add_flag("--shards", cluster_options.shards, "every shard");
  cluster_status->add_flag("--watch", cluster_options.watch, "again and again, until Ctrl-C");
  cluster_status->add_option("--every", cluster_options.every, "seconds, for --watch")
      ->check(CLI::Range(0.2, 3600.0));
  cluster_status
      ->add_option("--load", cluster_options.load,
                   "count the tenants' statements for these seconds, which costs workers "
                   "a sixth of their throughput meanwhile")
      ->check(CLI::Range(1.0, 600.0));
  cluster_status->add_option("--top", cluster_options.top, "how many tenants")
      ->check(CLI::Range(0, 1000));
  auto* add_node = cluster_sub("add-node",
                               "Prepare a server and add it; it takes shards at the next "
                               "rebalance");
  takes_node(add_node, "HOST:PORT");
  add_node->add_option("--administrator", cluster_options.administrator,
                       "connection string of a superuser of that server; its host and port do not "
                       "matter");
  may_dry_run(add_node);
  auto* remove_node = cluster_sub("remove-node", "Move all shards off a worker, then take it out");
  takes_node(remove_node, "HOST:PORT or number");
  may_move(remove_node);
  auto* rebalance = cluster_sub(
      "rebalance", "Move shards until the workers are alike; repeat it to go on after a stop");
  rebalance->add_flag("--by-shards", cluster_options.by_shards, "by their number, not their size");
  may_move(rebalance);
  auto* isolate =
      cluster_sub("isolate", "Give one organization a shard of its own on another worker");
  isolate->add_option("tenant", cluster_options.tenant, "its slug")->required();
  isolate->add_option("--node", cluster_options.node, "which worker; default: the emptiest other");
  may_move(isolate);
  auto* move = cluster_sub("move", "Move a shard with all its tables to a worker");
  move->add_option("shard", cluster_options.shard, "its number")->required();
  takes_node(move, "HOST:PORT or number");
  may_move(move);
  auto* split_command = cluster_sub("split", "Cut a shard into several, on other workers");
  split_command->add_option("shard", cluster_options.shard, "its number")->required();
  split_command->add_option("--pieces", cluster_options.pieces, "how many")
      ->check(CLI::Range(2, 1024));
  may_move(split_command);
  auto* cluster_verify = cluster_sub(
      "verify",
      "Compare every node and shard with the registry; exit code 1 when something differs");
  cluster_verify->add_flag("--rows", cluster_options.rows,
                           "also count every row in its shard (reads everything)");
  auto* restore_point =
      cluster_sub("restore-point", "Name a point that all nodes can be restored to");
  restore_point->add_option("name", cluster_options.name, "at most 63 characters")->required();
  may_dry_run(restore_point);
  auto* failover = cluster_sub("failover", "Put a promoted standby in a node's place");
  takes_node(failover, "HOST:PORT or number of the node that is lost");
  failover->add_option("address", cluster_options.address, "HOST:PORT of the standby")->required();
  may_dry_run(failover);
  auto* rehearse_command = cluster_command->add_subcommand(
      "rehearse",
      "A guided drill on a private cluster: add a node, isolate, lose a worker, verify");
  rehearse_command->add_option("--in", cluster_options.name,
                               "state directory to use and keep; default: one in /tmp, removed");
  rehearse_command->add_flag("--keep", cluster_options.keep, "keep it");
  rehearse_command->add_flag("--yes", cluster_options.force, "do not wait between the steps");
  on(rehearse_command, [&] { return rehearse(application.name, cluster_options); });
  cluster_sub("stop", "Let the running operation end after its present step");
  auto* cluster_log = cluster_sub("log", "What operations were run, by whom, with what outcome");
  cluster_log->add_option("--last", cluster_options.last, "how many")->check(CLI::Range(1, 100000));
  cluster_log->add_flag("--json", cluster_options.json, "with every event");

  PlanOptions plan_options;
  auto* plan_command = app.add_subcommand(
      "plan",
      "Capacity and cost for a workload, month by month, from measured CPU and a price file");
  plan_command->require_subcommand(0, 1);
  auto& w = plan_options.workload;
  plan_command->add_option("--tenants", w.tenants, "organizations in the first month");
  plan_command->add_option("--rows-per-tenant", w.rows_per_tenant, "rows of one organization");
  plan_command->add_option("--bytes-per-tenant", w.bytes_per_tenant, "with indexes");
  plan_command->add_option("--requests-per-second", w.requests_per_second,
                           "of all in the first month, at the peak; default: by the next");
  plan_command->add_option("--requests-per-tenant-hour", w.requests_per_tenant_hour,
                           "of one organization, at the peak");
  plan_command->add_option("--read-share", w.read_share, "of the requests, 0 to 1");
  plan_command->add_option("--growth", w.growth, "of organizations a month; 0.15 is 15 %");
  plan_command->add_option("--months", w.months, "how many");
  plan_command->add_option("--revenue-per-tenant", w.revenue_per_tenant, "dollars a month");
  plan_command->add_option("--costs", plan_options.costs,
                           "measured costs; default: those the program was built with");
  plan_command->add_option("--prices", plan_options.prices, "prices; default: rounded list prices");
  plan_command->add_option("--svg", plan_options.svg, "draw cost and headroom into this file");
  plan_command->add_flag("--json", plan_options.json, "for programs");
  for (auto* option : plan_command->get_options()) option->capture_default_str();
  plan_command->callback([&] {
    // A parent's callback comes after its subcommand's.
    if (plan_command->get_subcommands().empty()) command = [&] { return plan(plan_options); };
  });
  SimulateOptions simulate_options;
  auto& sim = simulate_options.simulation;
  auto* simulate_command = plan_command->add_subcommand(
      "simulate", "Play the growth of a Citus cell by events: skew, moves, giants, failures");
  simulate_command->add_option("--from-tenants", sim.from_tenants, "at the beginning");
  simulate_command->add_option("--to-tenants", sim.to_tenants, "at the end");
  simulate_command->add_option("--days", sim.days, "between the two");
  simulate_command->add_option("--workers", sim.workers, "at the beginning");
  simulate_command->add_option("--shards", sim.shards, "at the beginning");
  simulate_command->add_option("--bytes-per-tenant", sim.bytes_per_tenant, "on average");
  simulate_command->add_option("--skew", sim.skew,
                               "standard deviation of the logarithm of a size; 0: all alike");
  simulate_command->add_option("--worker-bytes", sim.worker_bytes, "what a worker holds");
  simulate_command->add_option("--failures-per-worker-year", sim.failures_per_worker_year,
                               "how often a worker is lost");
  simulate_command->add_option("--failover-seconds", sim.failover_seconds,
                               "until a standby has taken its place");
  simulate_command->add_option("--seed", sim.seed, "the same seed, the same history");
  simulate_command->add_flag("--json", simulate_options.json, "for programs");
  for (auto* option : simulate_command->get_options()) option->capture_default_str();
  on(simulate_command, [&] { return simulate(simulate_options); });

  NewSliceOptions slice_options;
  auto* fresh = app.add_subcommand("new", "Write code to start from");
  fresh->require_subcommand(1);
  auto* slice_command = fresh->add_subcommand(
      "slice", "A business noun: table, model, statements, routes, migration and two-tenant tests");
  slice_command->add_option("name", slice_options.name, "plural, as in invoices")->required();
  slice_command
      ->add_option("--fields", slice_options.fields,
                   "\"number:text amount:money due_on:date? status:enum(open,paid)\"; types: text, "
                   "text(MAX), int, money (whole cents), bool, date, time, enum(A,B); ? makes one "
                   "optional")
      ->required();
  slice_command->add_option("--singular", slice_options.singular,
                            "as in invoice; default: guessed from the plural");
  slice_command->add_option("--dir", slice_options.directory, "where the project is")
      ->check(CLI::ExistingDirectory);
  slice_command->add_flag("--dry-run", slice_options.dry_run, "only say what would be written");
  on(slice_command, [&] { return new_slice(slice_options); });

  auto* settings_command =
      app.add_subcommand("settings", "Every setting, its value and where the value came from");
  settings_command->add_flag("--markdown", markdown, "as the reference page");
  program.add_flags(settings_command);
  on(settings_command, [&] { return program.load(), show_settings(program.table, markdown); });
  auto* keys = app.add_subcommand("keys", "Sealing keys");
  keys->require_subcommand(1);
  on(keys->add_subcommand("new", "Print a new key for sealing.keys"), [] { return new_key(); });

  auto* admin_command = app.add_subcommand(
      "admin", "Work of operators on organizations; each act is logged with its reason");
  admin_command->require_subcommand(1);
  const auto admin_sub = [&](const char* name, const char* help, bool tenant) {
    auto* sub = admin_command->add_subcommand(name, help);
    sub->add_option("--url", admin_options.url, "address of the API");
    sub->add_option("--key", admin_options.key,
                    "an operator's key; default: of the state directory")
        ->envname("CODITECT_OPERATOR_KEY");
    with_state(sub, admin_options.state);
    if (tenant)
      sub->add_option("tenant", admin_options.tenant, "the organization's slug")->required();
    sub->add_option("--reason", admin_options.reason, "why; kept in the operator log");
    on(sub, [&admin_options, n = std::string(name)] {
      return admin_options.command = n, admin(admin_options);
    });
    return sub;
  };
  auto* list = admin_sub("list", "Organizations", false);
  list->add_option("--member", admin_options.member_email, "of the user with this e-mail address");
  list->add_option("--tenant-state", admin_options.tenant_state, "active, suspended or deleted");
  admin_sub("show", "One organization", true);
  admin_sub("usage", "Rows an organization has", true);
  admin_sub("suspend", "Suspend an organization", true);
  admin_sub("resume", "End a suspension", true);
  admin_sub("undelete", "Bring a deleted organization back", true);
  admin_sub("log", "What operators did", false);
  auto* operator_command = admin_command->add_subcommand(
      "new-operator", "Make an operator and print their key once (needs the database settings)");
  operator_command->add_option("--name", operator_name, "whose key it is");
  program.add_flags(operator_command);
  on(operator_command,
     [&] { return program.load(), new_operator(program.settings, operator_name); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {  // CLI11's way to say help, version or wrong usage
    if (e.get_exit_code() == 0) return app.exit(e);
    std::cerr << application.name << ": " << with_suggestion(app, e.what(), argc, argv)
              << "\nRun with --help for more information.\n";
    return 2;
  }
  return command();
}

}  // namespace

int run_program(int argc, char** argv, Application application) {
  for (auto& source : application.migrations)
    if (source.program_version.empty()) source.program_version = application.version;
  try {
    return run(argc, argv, application);
  } catch (const Failure& f) {
    const auto& e = f.error();
    std::fprintf(stderr, "%s: %s (%s)\n", application.name.c_str(),
                 e.detail.empty() ? "failed" : e.detail.c_str(), std::string(e.reason).c_str());
    return exit_code(e.code);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: unexpected: %s\n", application.name.c_str(), e.what());
    return 1;
  }
}

}  // namespace coditect::app
