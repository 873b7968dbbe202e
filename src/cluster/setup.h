#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/embedded_file.h"
#include "base/secret.h"
#include "schema/tables.h"

/// Makes a Citus cell of PostgreSQL servers that have the extension:
/// https://docs.citusdata.com/en/stable/installation/multi_node.html
namespace coditect::cluster {

/// citus/setup/ and citus/sharding/, compiled into the program.
std::span<const EmbeddedFile> setup_files();

/// A superuser of the servers' own, who runs operations; never the application's.
inline constexpr const char* kClusterRole = "coditect_cluster";

struct Setup {
  std::string coordinator;  ///< a superuser's connection string, to any database
  std::string cell;         ///< the database
  /// Connection strings of superusers; the same name and password as the coordinator's.
  std::vector<std::string> workers;
  /// Of the login roles and of coditect_cluster, by role; those not given are left as they are.
  std::map<std::string, Secret> passwords;
  std::vector<schema::Table> tables;  ///< the application's registry
  /// libpq options of connections between nodes; empty: sslmode=require with timeouts.
  std::string node_conninfo;
  /// Kept by Patroni, whose business the list of nodes and the servers' settings are: a change made
  /// on one server would be gone with its next failover. What is set wrongly is named instead.
  bool patroni = false;
  bool dry_run = false;
};

/// A line for people; what is only going to be done in a dry run is said as well.
using Report = std::function<void(const std::string& line)>;

/// Roles, their settings, the extension, settings, credentials between nodes and the list of
/// nodes. Tables that are there with rows are distributed online. Idempotent: what is right is left
/// alone, and an interrupted run is gone on with. Throws `node_not_ready` naming what a server
/// lacks, before anything is changed.
void init(const Setup& setup, const Report& report);

/// The same for one server more of a cluster that is there: `setup.workers` has it.
void add(const Setup& setup, const Report& report);

/// Distributes tables of tenants that are not yet, all in one transaction: they are either all
/// local or all distributed, also after a kill -9. Requests wait meanwhile. Table by table by
/// create_distributed_table_concurrently they would not, but a statement that joins a distributed
/// table with a local one fails or crashes the server (ADR 12). For init().
void distribute_tables(const std::string& coordinator_cell, std::span<const schema::Table> tables,
                       const Report& report);
/// How much that would be, as in "10 tables, 27 MB"; empty: nothing.
std::string to_distribute(const std::string& coordinator_cell,
                          std::span<const schema::Table> tables);

/// Bytes that a session keeps of each run of a plan that is used again, measured on a worker of the
/// cluster: about 26 kB on Citus 13.2.1 and 13.2.2, none on 13.2.0 (citus PR 8824 mends it).
std::int64_t plan_leak(const std::string& coordinator_cell);

/// Tells the cluster of servers that are found at another address than before (old to new), by way
/// of the coordinator or what can be reached. For servers that were all stopped.
void update_ports(const Setup& setup, const std::map<std::string, std::string>& moved,
                  const Report& report);

/// What the server was not started with; empty: it can be a node.
std::vector<std::string> missing_for_node(const std::string& administrator);

/// Which of citus/setup/settings.conf the server runs without; empty: none.
std::vector<std::string> unset_on_node(const std::string& administrator);

/// `name = value` lines of a file in citus/; comments and empty lines are left out.
std::vector<std::pair<std::string, std::string>> settings_in(const std::string& file);

}  // namespace coditect::cluster
