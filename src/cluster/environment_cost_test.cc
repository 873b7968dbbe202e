#include "cluster/environment_cost.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace coditect::cluster {
namespace {

namespace json = boost::json;

/// Round figures, so that a result can be computed by hand.
Prices round_prices() {
  return parse_prices(json::parse(R"({
    "node_types": [{"name": "small", "vcpu": 2, "memory_gib": 8, "month": 100}, {"name": "more", "vcpu": 8, "memory_gib": 32, "month": 400}],
    "database_node_types": [{"name": "large", "vcpu": 4, "memory_gib": 32, "month": 1000}, {"name": "larger", "vcpu": 8, "memory_gib": 64, "month": 2000}],
    "redis_node_types": [{"name": "REDIS", "gib": 6.5, "month": 50}],
    "managed_postgres": {"vcpu": 10, "memory_gib": 1, "disk_gib": 0.1, "high_availability_factor": 2, "most_vcpu": 64},
    "spot_factor": 0.5, "disk_gib": 0.2, "backup_gib": 0.01, "redis_gib": 10, "kubernetes_cluster": 70,
    "load_balancer": 30, "monitoring": {"fixed": 40, "per_node": 1}})"));
}

json::value values() {
  return json::parse(R"({"environment": "it", "zones": ["a", "b", "c"], "budget": {"amount": 5000},
    "application": {"machine_type": "small", "least": 1, "most": 2},
    "cloudsql": {"vcpu": 2, "memory_gb": 8, "disk_gb": 100, "high_availability": true},
    "citus": {"workers": 4, "worker_replicas": 2, "worker_machine_type": "large", "coordinator_machine_type": "small",
              "worker_disk_gb": 100},
    "redis": {"shards": 3, "replicas": 1, "node_type": "REDIS"}})");
}

double of(const EnvironmentCost& cost, const std::string& part) {
  for (const auto& i : cost.items)
    if (i.part == part) return i.most;
  ADD_FAILURE() << part;
  return 0;
}

TEST(EnvironmentCost, EachPartByHand) {
  const auto cost = environment_cost("it.json", values(), round_prices());
  EXPECT_EQ(cost.environment, "it");
  EXPECT_DOUBLE_EQ(cost.items[0].least, 3 * 100);
  EXPECT_DOUBLE_EQ(cost.items[0].most, 6 * 100);
  EXPECT_DOUBLE_EQ(of(cost, "Cloud SQL"), (2 * 10 + 8 + 100 * 0.1) * 2);
  // Eight pods in three zones: three nodes in each.
  EXPECT_DOUBLE_EQ(of(cost, "Citus nodes"), 9 * 1000 + 3 * 100);
  EXPECT_DOUBLE_EQ(of(cost, "Citus disks"), (8 * 100 + 3 * 50) * 0.2);
  EXPECT_DOUBLE_EQ(of(cost, "Redis"), 6 * 50);
  EXPECT_DOUBLE_EQ(of(cost, "Backups"), (100 + 4 * 100 + 50) * 0.01);
  EXPECT_DOUBLE_EQ(of(cost, "Cluster and load balancer"), 100);
  EXPECT_DOUBLE_EQ(of(cost, "Monitoring"), 40 + 18);
  double sum = 0;
  for (const auto& i : cost.items) sum += i.most;
  EXPECT_DOUBLE_EQ(cost.most(), sum);
  const std::vector all{cost};
  EXPECT_NE(cost_text(all).find("below what it may come to"), std::string::npos);
  EXPECT_NE(cost_markdown(all).find("| Redis | 6 REDIS: 300 |"), std::string::npos);
  EXPECT_DOUBLE_EQ(cost_json(all)[0].as_object().at("most").as_double(), sum);
}

TEST(EnvironmentCost, WithoutCitusAndOnSpotNodes) {
  auto v = values();
  v.as_object()["citus"] = json::object{{"workers", 0}};
  v.at("application").as_object()["spot"] = true;
  const auto cost = environment_cost("it.json", v, round_prices());
  EXPECT_DOUBLE_EQ(cost.items[0].most, 6 * 50);
  for (const auto& i : cost.items) EXPECT_FALSE(i.part.starts_with("Citus")) << i.part;
}

TEST(EnvironmentCost, WhatIsWrongIsNamed) {
  const auto said = [](const json::value& v) {
    try {
      environment_cost("it.json", v, round_prices());
    } catch (const Failure& f) {
      return f.error().detail;
    }
    return std::string("nothing");
  };
  auto v = values();
  v.at("application").as_object()["machine_type"] = "huge";
  EXPECT_EQ(said(v),
            "it.json: the prices have no huge in node_types or database_node_types; give a file "
            "that has with --prices");
  v = values();
  v.at("cloudsql").as_object().erase("vcpu");
  EXPECT_EQ(said(v), "it.json: cloudsql.vcpu must be a number");
  v = values();
  v.at("redis").as_object()["shards"] = -1;
  EXPECT_EQ(said(v), "it.json: redis.shards must be 0 or more");
  v = values();
  v.as_object()["zones"] = json::array();
  EXPECT_EQ(said(v), "it.json: zones must be a list");
  EXPECT_EQ(said(json::value(3)), "it.json: environment must be a text");
}

}  // namespace
}  // namespace coditect::cluster
