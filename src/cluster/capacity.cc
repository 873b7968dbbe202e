#include "cluster/capacity.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"

namespace coditect::cluster {
namespace {

namespace json = boost::json;

constexpr double kGib = 1 << 30;
constexpr int kLeastWorkers = 3;   ///< so that the loss of one leaves two thirds
constexpr int kManyWorkers = 20;   ///< from here on the team operates a fleet: phase 3
constexpr int kLeastShards = 64;   ///< citus/sharding/policy.conf
constexpr double kDiskFull = 0.7;  ///< of a disk, with room for a move's copy
/// Of the data, what is asked for within the hour and should be in memory: an assumption.
constexpr Range kHot{0.15, 0.25, 0.4};
constexpr double kMostDiskGib = 2048;
constexpr int kLoops = 4, kPool = 8;  ///< of an API node: event loops, connections of each

enum class Reading { low, middle, high };

double of(const Range& r, Reading reading) {
  return reading == Reading::low ? r.low : reading == Reading::high ? r.high : r.middle;
}

/// Cores that a part of the platform keeps busy at the peak.
double cores(const Costs::Part& part, const Workload& w, const Costs& c, Reading reading) {
  const double us =
      w.read_share * of(part.read, reading) + (1 - w.read_share) * of(part.write, reading);
  return w.requests() * us * of(c.hidden, reading) / 1e6;
}

/// The smallest type that `count` of hold it, else the largest.
const NodeType& fitting(const std::vector<NodeType>& types, double vcpu, double memory) {
  for (const auto& t : types)
    if (t.vcpu >= vcpu && t.memory_gib >= memory) return t;
  return types.back();
}

int ceiling(double x) { return static_cast<int>(std::ceil(x - 1e-9)); }

int shards_for(int workers) {
  int shards = kLeastShards;
  while (shards < workers * 4) shards *= 2;
  return shards;
}

void size_api(Sizing& s, const Workload& w, const Costs& c, const Prices& p, Reading reading) {
  const double busy = cores(c.api, w, c, reading);
  s.api = fitting(p.nodes, std::min(4.0, std::max(2.0, busy / c.utilization / 2)), 4);
  s.api_nodes = std::max(2, ceiling(busy / (s.api.vcpu * c.utilization)));
  s.load.emplace_back("API CPU", busy / (s.api_nodes * s.api.vcpu));
  // Identities, sessions and limits of tenants that are active: about a kilobyte each.
  s.redis_gib = std::max(1.0, w.tenants * 1024 / kGib * 2);
  s.load.emplace_back("Redis memory", w.tenants * 1024 / kGib / s.redis_gib);
  s.connections = s.api_nodes * kLoops * kPool;
}

double shared_cost(const Sizing& s, const Prices& p, int database_nodes, double stored_gib) {
  return s.api_nodes * s.api.month + s.redis_gib * p.redis + p.kubernetes + p.balancer +
         p.monitoring + p.monitoring_node * (s.api_nodes + database_nodes) + stored_gib * p.backup;
}

void find_bottleneck(Sizing& s) {
  const auto most = std::ranges::max_element(s.load, {}, [](const auto& l) { return l.second; });
  s.bottleneck = most->first;
}

/// One managed PostgreSQL with a standby; nullopt when the workload does not fit the largest.
std::optional<Sizing> managed(const Workload& w, const Costs& c, const Prices& p, Reading reading) {
  Sizing s;
  size_api(s, w, c, p, reading);
  const double busy = cores(c.postgres, w, c, reading);
  const double data = w.tenants * w.bytes_per_tenant / kGib;
  double vcpu = 2;
  while (vcpu < p.managed_most_vcpu &&
         (vcpu * c.utilization < busy || vcpu * 6.5 * 0.6 < data * of(kHot, reading)))
    vcpu *= 2;
  const double memory = vcpu * 6.5;
  s.disk_gib = std::max(20.0, std::ceil(data / kDiskFull));
  const double most_connections = std::min(4000.0, 200 * vcpu);
  s.load.insert(s.load.end(), {{"database CPU", busy / vcpu},
                               {"database memory", data * of(kHot, reading) / memory},
                               {"database disk", data / kMostDiskGib},
                               {"database connections", s.connections / most_connections}});
  if (busy > vcpu * c.utilization || s.disk_gib > kMostDiskGib) return std::nullopt;
  s.database = {fmt::format("managed, {:.0f} vCPU", vcpu), vcpu, memory, 0};
  s.month = (vcpu * p.managed_vcpu + memory * p.managed_gib + s.disk_gib * p.managed_disk) *
                p.managed_ha +
            shared_cost(s, p, 0, s.disk_gib);
  find_bottleneck(s);
  return s;
}

/// The cheapest number and type of workers; each has a standby, and so has the coordinator. The
/// directory is a small managed server.
Sizing citus(const Workload& w, const Costs& c, const Prices& p, Reading reading,
             int least_workers) {
  std::optional<Sizing> best;
  const double busy = cores(c.worker, w, c, reading);
  const double coordinator_busy = cores(c.coordinator, w, c, reading);
  const double data = w.tenants * w.bytes_per_tenant / kGib;
  for (const auto& type : p.database_nodes) {
    Sizing s;
    size_api(s, w, c, p, reading);
    s.workers = std::max({least_workers, ceiling(busy / (type.vcpu * c.utilization)),
                          ceiling(data * of(kHot, reading) / (type.memory_gib * 0.6)),
                          ceiling(data / kDiskFull / kMostDiskGib)});
    s.phase = s.workers >= kManyWorkers ? 3 : 2;
    s.shards = shards_for(s.workers);
    s.database = type;
    s.disk_gib = std::max(20.0, std::ceil(data / s.workers / kDiskFull));
    const double most_connections = 100 * type.vcpu;
    s.load.insert(s.load.end(),
                  {{"worker CPU", busy / (s.workers * type.vcpu)},
                   {"worker memory", data * of(kHot, reading) / (s.workers * type.memory_gib)},
                   {"worker disk", data / s.workers / kMostDiskGib},
                   {"worker connections", s.connections / most_connections},
                   {"coordinator CPU", coordinator_busy / p.database_nodes[1].vcpu}});
    const auto& small = p.database_nodes[1];
    const double per_node = type.month + s.disk_gib * p.disk;
    s.month = 2 * s.workers * per_node + 2 * (small.month + 50 * p.disk) +
              (2 * p.managed_vcpu + 8 * p.managed_gib + 50 * p.managed_disk) * p.managed_ha +
              shared_cost(s, p, 2 * s.workers + 2, data);
    find_bottleneck(s);
    if (!best || s.month < best->month) best = std::move(s);
  }
  return *best;
}

/// Nobody goes back to a phase, to fewer workers or to fewer shards (which cannot be merged).
Sizing size(const Workload& w, const Costs& c, const Prices& p, Reading reading,
            const Sizing* before) {
  const bool on_citus = before != nullptr && before->phase > 1;
  if (!on_citus)
    if (auto s = managed(w, c, p, reading)) return *s;
  auto s = citus(w, c, p, reading, on_citus ? before->workers : kLeastWorkers);
  if (on_citus) {
    s.phase = std::max(s.phase, before->phase);
    s.shards = std::max(s.shards, before->shards);
  }
  return s;
}

std::string change(const Sizing& before, const Sizing& after, const Workload& w) {
  std::string out;
  const auto add = [&out](const std::string& text) { out += (out.empty() ? "" : "; ") + text; };
  if (before.phase == 1 && after.phase > 1)
    add(fmt::format("one PostgreSQL no longer holds {:.0f} tenants ({}): 'coditect cluster init'",
                    w.tenants, before.bottleneck));
  else if (after.workers > before.workers)
    add(fmt::format("{}: {} to {} workers ('cluster add-node', 'cluster rebalance')",
                    before.bottleneck, before.workers, after.workers));
  else if (before.database.name != after.database.name)
    add(fmt::format("{}: {} instead of {}", before.bottleneck, after.database.name,
                    before.database.name));
  if (after.phase == 3 && before.phase < 3) add("phase 3 begins: 20 workers or more");
  if (after.api_nodes > before.api_nodes)
    add(fmt::format("API: {} to {} nodes", before.api_nodes, after.api_nodes));
  return out;
}

Range range_of(const json::value& v) {
  const auto& a = v.as_array();
  return {a.at(0).to_number<double>(), a.at(1).to_number<double>(), a.at(2).to_number<double>()};
}

Costs::Part part_of(const json::value& file, const char* name) {
  const auto& part = file.at("us").at(name);
  return {range_of(part.at("read")), range_of(part.at("write"))};
}

std::vector<NodeType> types_of(const json::value& list) {
  std::vector<NodeType> out;
  for (const auto& t : list.as_array())
    out.push_back({std::string(t.at("name").as_string()), t.at("vcpu").to_number<double>(),
                   t.at("memory_gib").to_number<double>(), t.at("month").to_number<double>()});
  if (out.size() < 2) fail(Code::invalid_argument, "prices_malformed", "two node types at least");
  return out;
}

}  // namespace

void check(const Workload& w) {
  const auto within = [](const char* name, double value, double low, double high) {
    if (!(value >= low && value <= high))
      fail(Code::invalid_argument, "invalid_workload",
           fmt::format("{} is {} to {}, not {}", name, low, high, value));
  };
  within("--tenants", w.tenants, 1, 1e8);
  within("--rows-per-tenant", w.rows_per_tenant, 0, 1e10);
  within("--bytes-per-tenant", w.bytes_per_tenant, 0, 1e13);
  within("--requests-per-second", w.requests_per_second, 0, 1e8);
  within("--requests-per-tenant-hour", w.requests_per_tenant_hour, 0, 1e7);
  within("--read-share", w.read_share, 0, 1);
  within("--growth", w.growth, -0.5, 2);
  within("--months", w.months, 1, 240);
  within("--revenue-per-tenant", w.revenue_per_tenant, 0, 1e6);
}

Costs parse_costs(const json::value& file) {
  try {
    Costs c;
    c.api = part_of(file, "api");
    c.postgres = part_of(file, "postgres");
    c.worker = part_of(file, "worker");
    c.coordinator = part_of(file, "coordinator");
    c.measured = std::string(file.at("measured").as_string());
    c.hidden = range_of(file.at("hidden_factor"));
    c.utilization = file.at("utilization").to_number<double>();
    return c;
  } catch (const std::exception& e) {  // what JSON lacks, as one of ours
    fail(Code::invalid_argument, "costs_malformed",
         "a file of costs has us.{api,postgres,worker,coordinator}.{read,write} as [low, middle, "
         "high], measured, hidden_factor and utilization: " +
             std::string(e.what()));
  }
}

Prices parse_prices(const json::value& file) {
  try {
    Prices p;
    const auto number = [&file](std::string_view name) {
      return file.at(name).to_number<double>();
    };
    p.nodes = types_of(file.at("node_types"));
    p.database_nodes = types_of(file.at("database_node_types"));
    for (const auto& t : file.at("redis_node_types").as_array())
      p.redis_nodes.push_back({std::string(t.at("name").as_string()), 0,
                               t.at("gib").to_number<double>(), t.at("month").to_number<double>()});
    p.spot_factor = number("spot_factor");
    const auto& m = file.at("managed_postgres");
    p.managed_vcpu = m.at("vcpu").to_number<double>();
    p.managed_gib = m.at("memory_gib").to_number<double>();
    p.managed_disk = m.at("disk_gib").to_number<double>();
    p.managed_ha = m.at("high_availability_factor").to_number<double>();
    p.managed_most_vcpu = m.at("most_vcpu").to_number<double>();
    p.disk = number("disk_gib");
    p.backup = number("backup_gib");
    p.redis = number("redis_gib");
    p.kubernetes = number("kubernetes_cluster");
    p.balancer = number("load_balancer");
    p.monitoring = file.at("monitoring").at("fixed").to_number<double>();
    p.monitoring_node = file.at("monitoring").at("per_node").to_number<double>();
    return p;
  } catch (const std::exception& e) {  // likewise
    fail(
        Code::invalid_argument, "prices_malformed",
        "a file of prices has the members of citus/capacity/prices.json: " + std::string(e.what()));
  }
}

std::vector<Month> plan(const Workload& workload, const Costs& costs, const Prices& prices) {
  check(workload);
  std::vector<Month> out;

  for (int n = 0; n < workload.months; ++n) {
    Month month;
    month.number = n + 1;
    month.workload = workload;
    const double grown = std::pow(1 + workload.growth, n);
    month.workload.tenants = std::round(workload.tenants * grown);
    month.workload.requests_per_second = workload.requests_per_second * grown;
    Sizing* const readings[] = {&month.low, &month.middle, &month.high};
    for (int r = 0; r < 3; ++r) {
      const Sizing* before = nullptr;
      if (!out.empty())
        before = r == 0 ? &out.back().low : r == 1 ? &out.back().middle : &out.back().high;
      *readings[r] = size(month.workload, costs, prices, static_cast<Reading>(r), before);
    }
    if (!out.empty()) month.trigger = change(out.back().middle, month.middle, month.workload);
    out.push_back(std::move(month));
  }
  return out;
}

std::span<const Founding> founding_table() {
  static constexpr Founding kTable[] = {{1, 0, 10'000, 3, 3, 2'000, 2},
                                        {2, 10'000, 100'000, 6, 10, 10'000, 3},
                                        {3, 100'000, 1'000'000, 20, 20, 40'000, 5}};
  return kTable;
}

const Founding& founding(double tenants) {
  for (const auto& row : founding_table())
    if (tenants < row.to_tenants) return row;
  return founding_table().back();
}

Budget founding_budget_dev() { return {{"Kubernetes", 150}, {"databases", 500}, {"Redis", 100}}; }
Budget founding_budget_production() {
  return {{"Kubernetes", 5'000}, {"databases", 40'000}, {"Redis", 1'000}, {"monitoring", 500}};
}

}  // namespace coditect::cluster
