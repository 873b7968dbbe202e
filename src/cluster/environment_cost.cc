#include "cluster/environment_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"

namespace coditect::cluster {
namespace {

namespace json = boost::json;

/// A member by its path; with a default it may be absent or null.
class Values {
 public:
  Values(std::string file, const json::value& root) : file_(std::move(file)), root_(root) {}

  double number(const std::string& path) const {
    const auto* value = find(path);
    if (value == nullptr || !value->is_number()) wrong(path, "a number");
    return not_negative(path, *value);
  }
  double number(const std::string& path, double otherwise) const {
    const auto* value = find(path);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) wrong(path, "a number");
    return not_negative(path, *value);
  }
  std::string text(const std::string& path) const {
    const auto* value = find(path);
    if (value == nullptr || !value->is_string()) wrong(path, "a text");
    return std::string(value->as_string());
  }
  std::string text(const std::string& path, const char* otherwise) const {
    return find(path) == nullptr ? otherwise : text(path);
  }
  bool flag(const std::string& path, bool otherwise) const {
    const auto* value = find(path);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) wrong(path, "true or false");
    return value->as_bool();
  }
  double length(const std::string& path) const {
    const auto* value = find(path);
    if (value == nullptr || !value->is_array() || value->as_array().empty()) wrong(path, "a list");
    return static_cast<double>(value->as_array().size());
  }
  const std::string& file() const { return file_; }

 private:
  const json::value* find(const std::string& path) const {
    const auto* at = &root_;
    for (std::size_t from = 0; from <= path.size();) {
      const auto dot = std::min(path.find('.', from), path.size());
      const auto* object = at->if_object();
      at = object == nullptr ? nullptr : object->if_contains(path.substr(from, dot - from));
      if (at == nullptr || at->is_null()) return nullptr;
      from = dot + 1;
    }
    return at;
  }
  double not_negative(const std::string& path, const json::value& value) const {
    const auto number = value.to_number<double>();
    if (number < 0 || !std::isfinite(number)) wrong(path, "0 or more");
    return number;
  }
  [[noreturn]] void wrong(const std::string& path, const char* what) const {
    fail(Code::invalid_argument, "values_malformed", file_ + ": " + path + " must be " + what);
  }

  std::string file_;
  const json::value& root_;
};

double price_of(const Values& v, const std::string& type, std::span<const NodeType> known,
                const char* list) {
  for (const auto& t : known)
    if (t.name == type) return t.month;
  fail(Code::invalid_argument, "price_missing",
       v.file() + ": the prices have no " + type + " in " + list +
           "; give a file that has with --prices");
}

std::string count(double least, double most) {
  return least == most ? fmt::format("{:.0f}", least)
                       : fmt::format("{:.0f} to {:.0f}", least, most);
}

std::string dollars(double least, double most) {
  const auto one = [](double d) { return fmt::format("{:.0f}", std::round(d)); };
  return one(least) == one(most) ? one(least) : one(least) + " to " + one(most);
}

}  // namespace

double EnvironmentCost::least() const {
  double sum = 0;
  for (const auto& i : items) sum += i.least;
  return sum;
}
double EnvironmentCost::most() const {
  double sum = 0;
  for (const auto& i : items) sum += i.most;
  return sum;
}

EnvironmentCost environment_cost(const std::string& file, const json::value& values,
                                 const Prices& prices) {
  const Values v(file, values);
  EnvironmentCost out;
  out.file = file;
  out.environment = v.text("environment");
  out.budget = v.number("budget.amount", 0);
  const auto zones = v.length("zones");
  auto types = prices.nodes;
  types.insert(types.end(), prices.database_nodes.begin(), prices.database_nodes.end());
  constexpr const char* kNodes = "node_types or database_node_types";

  const auto type = v.text("application.machine_type");
  const bool spot = v.flag("application.spot", false);
  const auto node = price_of(v, type, types, kNodes) * (spot ? prices.spot_factor : 1);
  const auto least = v.number("application.least") * zones;
  const auto most = v.number("application.most") * zones;
  out.items.push_back({"API nodes", count(least, most) + " " + type + (spot ? ", spot" : ""),
                       least * node, most * node});

  double nodes_least = least, nodes_most = most;
  const auto vcpu = v.number("cloudsql.vcpu");
  const auto memory = v.number("cloudsql.memory_gb");
  const auto disk = v.number("cloudsql.disk_gb");
  const bool ha = v.flag("cloudsql.high_availability", false);
  const auto managed =
      (vcpu * prices.managed_vcpu + memory * prices.managed_gib + disk * prices.managed_disk) *
      (ha ? prices.managed_ha : 1);
  out.items.push_back({"Cloud SQL",
                       fmt::format("{:g} vCPU, {:g} GiB, {:g} GB{}", vcpu, memory, disk,
                                   ha ? ", with a standby" : ""),
                       managed, managed});

  double stored = disk;
  // As opentofu/modules/citus-size counts: the coordinator's group has three pods, each pod a node,
  // and each zone as many as the fullest.
  if (const auto workers = v.number("citus.workers", 0); workers > 0) {
    const auto replicas = v.number("citus.worker_replicas", 2);
    const auto worker_type = v.text("citus.worker_machine_type", "n2-highmem-4");
    const auto coordinator_type = v.text("citus.coordinator_machine_type", "n2-standard-4");
    const auto worker_disk = v.number("citus.worker_disk_gb", 500);
    constexpr double kCoordinators = 3, kCoordinatorDisk = 50;
    const auto worker_nodes =
        (std::ceil(workers * replicas / zones) + v.number("citus.spare_per_zone", 0)) * zones;
    const auto coordinator_nodes = std::ceil(kCoordinators / zones) * zones;
    const auto month = worker_nodes * price_of(v, worker_type, types, kNodes) +
                       coordinator_nodes * price_of(v, coordinator_type, types, kNodes);
    out.items.push_back({"Citus nodes",
                         fmt::format("{:.0f} {}, {:.0f} {}", worker_nodes, worker_type,
                                     coordinator_nodes, coordinator_type),
                         month, month});
    const auto disks = workers * replicas * worker_disk + kCoordinators * kCoordinatorDisk;
    out.items.push_back({"Citus disks", fmt::format("{:.0f} GiB", disks), disks * prices.disk,
                         disks * prices.disk});
    stored += workers * worker_disk + kCoordinatorDisk;
    nodes_least += worker_nodes + coordinator_nodes;
    nodes_most += worker_nodes + coordinator_nodes;
  }

  const auto redis_type = v.text("redis.node_type");
  const auto redis_nodes = v.number("redis.shards") * (1 + v.number("redis.replicas", 0));
  const auto redis = redis_nodes * price_of(v, redis_type, prices.redis_nodes, "redis_node_types");
  out.items.push_back({"Redis", fmt::format("{:.0f} {}", redis_nodes, redis_type), redis, redis});
  const auto backups = stored * prices.backup;
  out.items.push_back({"Backups", fmt::format("{:.0f} GiB, once", stored), backups, backups});
  out.items.push_back({"Cluster and load balancer", "", prices.kubernetes + prices.balancer,
                       prices.kubernetes + prices.balancer});
  out.items.push_back({"Monitoring", "", prices.monitoring + nodes_least * prices.monitoring_node,
                       prices.monitoring + nodes_most * prices.monitoring_node});
  return out;
}

std::string cost_text(std::span<const EnvironmentCost> environments) {
  std::string out;
  for (const auto& e : environments) {
    out += e.environment + "\n";
    for (const auto& i : e.items)
      out += fmt::format("  {:<26} {:<42} {:>16}\n", i.part, i.what, dollars(i.least, i.most));
    out += fmt::format("  {:<69} {:>16} USD a month\n", "together", dollars(e.least(), e.most()));
    if (e.budget > 0)
      out += fmt::format("  the alarm of the budget is at {:.0f}{}\n", e.budget,
                         e.most() > e.budget ? ", below what it may come to" : "");
  }
  return out;
}

std::string cost_markdown(std::span<const EnvironmentCost> environments) {
  std::vector<std::string> parts;
  for (const auto& e : environments)
    for (const auto& i : e.items)
      if (std::ranges::find(parts, i.part) == parts.end()) parts.push_back(i.part);
  std::string out = "| USD a month |", rule = "|---|";
  for (const auto& e : environments) {
    out += " " + e.environment + " |";
    rule += "---:|";
  }
  out += "\n" + rule + "\n";
  for (const auto& part : parts) {
    out += "| " + part + " |";
    for (const auto& e : environments) {
      const auto at = std::ranges::find(e.items, part, &CostItem::part);
      if (at == e.items.end())
        out += " – |";
      else
        out +=
            " " + (at->what.empty() ? "" : at->what + ": ") + dollars(at->least, at->most) + " |";
    }
    out += "\n";
  }
  out += "| **together** |";
  for (const auto& e : environments) out += " **" + dollars(e.least(), e.most()) + "** |";
  out += "\n| alarm of the budget |";
  for (const auto& e : environments) out += fmt::format(" {:.0f} |", e.budget);
  return out + "\n";
}

json::array cost_json(std::span<const EnvironmentCost> environments) {
  json::array out;
  for (const auto& e : environments) {
    json::array items;
    for (const auto& i : e.items)
      items.push_back({{"part", i.part}, {"what", i.what}, {"least", i.least}, {"most", i.most}});
    out.push_back({{"environment", e.environment},
                   {"items", items},
                   {"least", e.least()},
                   {"most", e.most()},
                   {"budget", e.budget}});
  }
  return out;
}

}  // namespace coditect::cluster
