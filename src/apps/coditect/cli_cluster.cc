#include "apps/coditect/cli.h"

namespace coditect::app {

void add_cluster_commands(Cli& cli) {
  auto& cluster_options = cli.keep<ClusterOptions>();
  auto* cluster_command = cli.app.add_subcommand(
      "cluster", "Set up and operate a Citus cell; acts as coditect_cluster on its coordinator");
  cluster_command->require_subcommand(1);
  const auto cluster_sub = [&](const char* name, const char* help) {
    auto* sub = cluster_command->add_subcommand(name, help);
    cli.with_state(sub, cluster_options.state);
    cli.add_flags(sub);
    cli.on(sub, [&, n = std::string(name)] {
      return cli.load(), cluster(n, cli.application, cli.settings, cluster_options);
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
  cluster_init->add_flag("--patroni", cluster_options.patroni,
                         "the cluster is kept by Patroni: its nodes and settings stay as they are");
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
  cli.on(rehearse_command, [&] { return rehearse(cli.application.name, cluster_options); });
  cluster_sub("stop", "Let the running operation end after its present step");
  auto* cluster_log = cluster_sub("log", "What operations were run, by whom, with what outcome");
  cluster_log->add_option("--last", cluster_options.last, "how many")->check(CLI::Range(1, 100000));
  cluster_log->add_flag("--json", cluster_options.json, "with every event");
}

void add_plan_commands(Cli& cli) {
  auto& plan_options = cli.keep<PlanOptions>();
  auto* plan_command = cli.app.add_subcommand(
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
  plan_command->callback([&, plan_command] {
    // A parent's callback comes after its subcommand's.
    if (plan_command->get_subcommands().empty()) cli.command = [&] { return plan(plan_options); };
  });
  auto& simulate_options = cli.keep<SimulateOptions>();
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
  cli.on(simulate_command, [&] { return simulate(simulate_options); });
  auto& cost_options = cli.keep<CostOptions>();
  auto* cost_command =
      plan_command->add_subcommand("environment", "What environments of opentofu/ cost a month");
  cost_command
      ->add_option("values", cost_options.files,
                   "opentofu/environments/ENVIRONMENT/terraform.tfvars.json, one or more")
      ->required();
  cost_command->add_option("--prices", cost_options.prices, "prices; default: rounded list prices");
  cost_command->add_flag("--json", cost_options.json, "for programs");
  cost_command->add_flag("--markdown", cost_options.markdown, "the table of docs/SCALING.md");
  cli.on(cost_command, [&] { return environment_costs(cost_options); });
}

}  // namespace coditect::app
