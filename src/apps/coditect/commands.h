#pragma once
#include <string>
#include <vector>

#include "apps/coditect/application.h"
#include "apps/coditect/program_settings.h"
#include "attack/campaign.h"
#include "cluster/capacity.h"
#include "cluster/simulate.h"

/// One function per subcommand: read settings, construct, run. Each returns the exit code or throws
/// a Failure, which main() prints.
namespace coditect::app {

struct UpOptions {
  std::string state;
  bool detach = false;
  bool no_demo = false;
  bool redis_cluster = false;
  int citus_workers = 0;
  bool monitoring = false;
};
int up(const Application& application, ProgramSettings& settings, config::Table& table,
       const UpOptions& options);
int down(const std::string& state);
int status(const std::string& state, bool json);

struct BackupOptions {
  std::string state;
  std::string to;  ///< the folder that holds backups
  int keep = 0;    ///< how many to keep there; 0: all
};
/// Copies the private server of a running `up` at one instant, with its secrets.
int backup(const Application& application, const BackupOptions& options);
struct RestoreOptions {
  std::string backup, state;
};
/// Makes an empty state directory what the backup has; the same command goes on after a stop.
int restore(const Application& application, const RestoreOptions& options);
/// A file of a state directory whose restore has not ended.
constexpr const char* kRestoring = "restoring";

int serve_api(const Application& application, ProgramSettings& settings);

enum class MigrateAction { status, plan, up, verify };
/// Of both databases, or of `only` "directory" or "cell".
int migrate(const Application& application, const ProgramSettings& settings, MigrateAction action,
            const std::string& only);
/// An empty administrator: database.url's, cell.url's.
int bootstrap(const ProgramSettings& settings, const std::string& administrator,
              const std::string& cell_administrator);

int show_settings(const config::Table& table, bool markdown);
int new_key();

struct AdminOptions {
  std::string url = "http://127.0.0.1:8080";
  std::string key;  ///< empty: operator.key of the state directory
  std::string state;
  std::string reason;
  std::string command;  ///< list, show, suspend, resume, undelete, usage, log
  std::string tenant;
  std::string member_email, tenant_state;
};
int admin(const AdminOptions& options);
/// Makes an operator's key and prints it once.
int new_operator(const ProgramSettings& settings, const std::string& name);

/// For `up`: makes the first operator where there is none; nullopt when there is one.
std::optional<std::string> first_operator(const ProgramSettings& settings,
                                          const std::string& administrator);

/// Prints the report; 1 when there are findings. `json_file`: "-" is standard output.
int attack_service(const attack::Options& options, const std::string& json_file);

struct ImportOptions {
  std::string file;
  std::string format;  ///< csv or jsonl; empty: by the file's name
  std::string api_keys_file, rejects_file;
  std::string state;
  int step = 10000;
  bool dry_run = false;
};
int import_tenants(ProgramSettings& settings, const ImportOptions& options);
/// Where a running `coditect up` keeps its databases, with their passwords and sealing keys.
void settings_from_state(ProgramSettings& settings, const std::string& state);

struct ClusterOptions {
  std::string state;
  std::string administrator;         ///< a superuser's connection string; init and add-node
  std::vector<std::string> workers;  ///< host:port; init
  bool patroni = false;              ///< init
  std::string node, address, tenant, name, node_conninfo;
  std::int64_t shard = 0;
  int pieces = 2;
  int top = 5, last = 10;
  double every = 2, load = 0;
  bool by_shards = false, json = false, watch = false, shards = false, rows = false;
  bool dry_run = false, force = false, block_writes = false, keep = false;
};
/// One of the commands below `coditect cluster`.
int cluster(const std::string& command, const Application& application, ProgramSettings& settings,
            const ClusterOptions& options);

/// A guided drill on a private cluster of this program's.
int rehearse(const std::string& program, const ClusterOptions& options);

struct PlanOptions {
  cluster::Workload workload;
  std::string costs, prices, svg;
  bool json = false;
};
/// Capacity and cost over the months.
int plan(const PlanOptions& options);
struct SimulateOptions {
  cluster::Simulation simulation;
  bool json = false;
};
int simulate(const SimulateOptions& options);
struct CostOptions {
  std::vector<std::string> files;  ///< values of environments, terraform.tfvars.json
  std::string prices;
  bool json = false, markdown = false;
};
/// What environments cost a month.
int environment_costs(const CostOptions& options);

struct NewSliceOptions {
  std::string name;      ///< plural: "invoices"
  std::string singular;  ///< empty: guessed
  std::string fields;
  std::string directory = ".";
  bool dry_run = false;
};
/// Writes a slice of product into the project around the directory.
int new_slice(const NewSliceOptions& options);

/// Exit codes by cause; see docs/reference/cli.md.
int exit_code(Code code);

}  // namespace coditect::app
