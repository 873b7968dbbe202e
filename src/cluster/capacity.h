#pragma once
#include <boost/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/embedded_file.h"

/// How large and how expensive a platform is for a workload. Pure: files are arguments.
///
/// CPU per request is measured (scripts/bench.sh citus writes citus/capacity/costs.json); what
/// loopback hides is an assumption with a range, and every size is given for the range's low end,
/// its middle and its high end.
namespace coditect::cluster {

/// citus/capacity/, compiled into the program.
std::span<const EmbeddedFile> capacity_files();

struct Workload {
  double tenants = 1000;
  double rows_per_tenant = 2000;
  double bytes_per_tenant = 2e6;         ///< with indexes
  double requests_per_second = 0;        ///< at the peak, of all; 0: of requests_per_tenant
  double requests_per_tenant_hour = 20;  ///< at the peak
  double read_share = 0.8;               ///< 0 to 1
  double growth = 0.15;                  ///< of tenants, per month
  int months = 36;
  double revenue_per_tenant = 50;  ///< a month
  double requests() const {
    return requests_per_second > 0 ? requests_per_second
                                   : tenants * requests_per_tenant_hour / 3600;
  }
};
/// Throws `invalid_argument` naming the member that is out of range and what it may be.
void check(const Workload& workload);

/// A figure with its range.
struct Range {
  double low = 0, middle = 0, high = 0;
};

/// CPU microseconds a request by part of the platform, for reads and writes.
struct Costs {
  struct Part {
    Range read, write;
  };
  Part api, postgres, worker, coordinator;
  std::string measured;  ///< when, on what
  /// Of network, TLS and virtual disks on the measured CPU: loopback has none of it.
  Range hidden{1.1, 1.4, 2.0};
  double utilization = 0.6;  ///< of a CPU at the peak
};
/// Throws `costs_malformed`, naming what is missing.
Costs parse_costs(const boost::json::value& file);

struct NodeType {
  std::string name;
  double vcpu = 0, memory_gib = 0, month = 0;
};
struct Prices {
  std::vector<NodeType> nodes, database_nodes, redis_nodes;
  double spot_factor = 1;  ///< of a spot node's price
  double managed_vcpu = 0, managed_gib = 0, managed_disk = 0, managed_ha = 2, managed_most_vcpu = 0;
  double disk = 0, backup = 0, redis = 0, kubernetes = 0, balancer = 0, monitoring = 0,
         monitoring_node = 0;
};
Prices parse_prices(const boost::json::value& file);

/// What runs in a month, for one reading of the costs.
struct Sizing {
  int phase = 1;  ///< 1: managed PostgreSQL; 2: Citus; 3: Citus with 20 workers or more
  int workers = 0;
  int shards = 0;
  NodeType database;    ///< of a worker, or of the managed server
  double disk_gib = 0;  ///< of one database node
  int connections = 0;  ///< that APIs open to one database node
  int api_nodes = 0;
  NodeType api;
  double redis_gib = 0;
  double month = 0;  ///< cost
  /// Of each part, 0 to 1 at the peak: what is nearest to 1 is the next bottleneck.
  std::vector<std::pair<std::string, double>> load;
  std::string bottleneck;
};

struct Month {
  int number = 0;
  Workload workload;
  Sizing low, middle, high;  ///< cheap, expected and dear reading of the costs
  std::string trigger;       ///< what changes from the month before, and why; empty: nothing
};
std::vector<Month> plan(const Workload& workload, const Costs& costs, const Prices& prices);

/// The platform's founding table, as it was written before anything was measured.
struct Founding {
  int phase;
  double from_tenants, to_tenants;  ///< to: not included
  int least_workers, most_workers;
  double month;  ///< of the databases
  int team;
};
std::span<const Founding> founding_table();
/// The row for so many tenants; the last one for more.
const Founding& founding(double tenants);
/// Of the founding budget: name and dollars a month.
using Budget = std::vector<std::pair<std::string, double>>;
Budget founding_budget_dev();
Budget founding_budget_production();  ///< at a million tenants

std::string plan_text(const std::vector<Month>& months, const Costs& costs);
boost::json::object plan_json(const std::vector<Month>& months, const Costs& costs);
/// Cost (three readings and the founding table) and headroom over the months.
std::string plan_svg(const std::vector<Month>& months);

}  // namespace coditect::cluster
