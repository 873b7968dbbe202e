#include "cluster/capacity.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cluster/simulate.h"

namespace coditect::cluster {
namespace {

namespace json = boost::json;

json::value built_in(const std::string& name) {
  for (const auto& file : capacity_files())
    if (file.path.ends_with(name)) return json::parse(std::string(file.text));
  ADD_FAILURE() << name;
  return {};
}
Costs costs() { return parse_costs(built_in("costs.json")); }
Prices prices() { return parse_prices(built_in("prices.json")); }

/// Round figures, so that a result can be computed by hand.
Costs round_costs() {
  return parse_costs(json::parse(R"({"measured": "never", "utilization": 0.5,
    "hidden_factor": [1, 1, 2], "us": {"api": {"read": [100, 100, 100], "write": [100, 100, 100]},
    "postgres": {"read": [50, 50, 50], "write": [250, 250, 250]},
    "worker": {"read": [500, 500, 500], "write": [1000, 1000, 1000]},
    "coordinator": {"read": [0, 0, 0], "write": [10, 10, 10]}}})"));
}

TEST(Plan, FoundingTableIsAsItWasWritten) {
  struct Row {
    double tenants;
    int phase, least, most;
    double month;
    int team;
  };
  for (const auto& r : {Row{0, 1, 3, 3, 2000, 2}, Row{9'999, 1, 3, 3, 2000, 2},
                        Row{10'000, 2, 6, 10, 10000, 3}, Row{99'999, 2, 6, 10, 10000, 3},
                        Row{100'000, 3, 20, 20, 40000, 5}, Row{1'000'000, 3, 20, 20, 40000, 5}}) {
    const auto& f = founding(r.tenants);
    EXPECT_EQ(f.phase, r.phase) << r.tenants;
    EXPECT_EQ(f.least_workers, r.least);
    EXPECT_EQ(f.most_workers, r.most);
    EXPECT_EQ(f.month, r.month);
    EXPECT_EQ(f.team, r.team);
  }
  const auto sum = [](const Budget& b) {
    double all = 0;
    for (const auto& [name, month] : b) all += month;
    return all;
  };
  EXPECT_EQ(sum(founding_budget_dev()), 750);
  EXPECT_EQ(sum(founding_budget_production()), 46'500);
}

TEST(Plan, SizesByTheCostsItIsGiven) {
  Workload w;
  w.tenants = 1000;
  w.requests_per_second = 10'000;
  w.read_share = 0.5;
  w.bytes_per_tenant = 1;
  w.growth = 0;
  w.months = 1;
  const auto month = plan(w, round_costs(), prices()).front();
  // 10,000/s at 150 us are 1.5 cores, half used: four vCPUs of one managed server.
  EXPECT_EQ(month.middle.phase, 1);
  EXPECT_EQ(month.middle.database.vcpu, 4);
  // 1 core of API at 50 %: two nodes at least, of two vCPUs.
  EXPECT_EQ(month.middle.api_nodes, 2);
  EXPECT_EQ(month.high.database.vcpu, 8) << "the dear reading counts twice the CPU";
  EXPECT_LT(month.low.month, month.high.month);

  w.requests_per_second = 1'000'000;
  const auto large = plan(w, round_costs(), prices()).front().middle;
  EXPECT_GT(large.phase, 1) << "150 cores at 50 % are more than a managed server has";
  // 750 us of a worker: 750 cores at 50 %.
  EXPECT_NEAR(large.workers * large.database.vcpu, 1500, large.database.vcpu);
  EXPECT_GE(large.shards, large.workers * 4);
}

TEST(Plan, SaysWhenAndWhyItChanges) {
  Workload w;
  w.tenants = 1000;
  w.requests_per_tenant_hour = 360;
  w.growth = 0.25;
  w.months = 36;
  const auto months = plan(w, costs(), prices());
  ASSERT_EQ(months.size(), 36U);
  EXPECT_EQ(months.front().middle.phase, 1);
  EXPECT_GT(months.back().middle.phase, 1);
  int changes = 0;
  for (std::size_t i = 1; i < months.size(); ++i) {
    EXPECT_GE(months[i].middle.phase, months[i - 1].middle.phase) << "nobody goes back";
    EXPECT_LE(months[i].low.month, months[i].middle.month * 1.0001);
    EXPECT_LE(months[i].middle.month, months[i].high.month * 1.0001);
    for (const auto& [name, load] : months[i].middle.load) EXPECT_LE(load, 1.0) << name << i;
    if (months[i].middle.phase > months[i - 1].middle.phase) {
      ++changes;
      EXPECT_FALSE(months[i].trigger.empty());
    }
  }
  EXPECT_GE(changes, 1);
}

TEST(Plan, TellsTheFoundingTableBesideItselfInEveryForm) {
  Workload w;
  w.growth = 0.3;
  w.months = 27;
  const auto months = plan(w, costs(), prices());
  const auto text = plan_text(months, costs());
  for (const char* words :
       {"$2000 a month, a team of 2", "6-10 workers, $10000 a month, a team of 3",
        "20+ workers, $40000 a month, a team of 5", "development $750", "$46500", "$50000000",
        "managed PostgreSQL"})
    EXPECT_TRUE(text.contains(words)) << words << "\n" << text;
  const auto document = plan_json(months, costs());
  EXPECT_EQ(document.at("months").as_array().size(), 27U);
  EXPECT_EQ(document.at("founding_table").as_array().size(), 3U);
  EXPECT_EQ(document.at("founding_budget").at("production").at("all").to_number<double>(), 46500);
  const auto svg = plan_svg(months);
  EXPECT_TRUE(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
  EXPECT_FALSE(svg.contains("nan"));
}

std::string reason(const std::function<void()>& f) {
  try {
    f();
    return "";
  } catch (const Failure& e) {
    return std::string(e.error().reason) + " " + e.error().detail;
  }
}

TEST(Plan, RefusesWhatMakesNoSense) {
  Workload w;
  w.read_share = 1.5;
  EXPECT_TRUE(reason([&] { plan(w, costs(), prices()); }).contains("--read-share is 0 to 1"));
  w = {};
  w.tenants = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(reason([&] { check(w); }).contains("--tenants"));
  EXPECT_TRUE(reason([] { parse_costs(json::parse("{}")); }).contains("costs_malformed"));
  EXPECT_TRUE(reason([] { parse_prices(json::parse("[]")); }).contains("prices_malformed"));
}

TEST(Simulation, IsTheSameForTheSameSeed) {
  Simulation s;
  s.to_tenants = 50'000;
  s.worker_bytes = 20e9;
  const auto a = json::serialize(simulation_json(simulate(s)));
  EXPECT_EQ(a, json::serialize(simulation_json(simulate(s))));
  s.seed = 2;
  EXPECT_NE(a, json::serialize(simulation_json(simulate(s))));
}

TEST(Simulation, AddsWorkersAndKeepsThemAlike) {
  Simulation s;
  s.to_tenants = 64'000;
  s.worker_bytes = 20e9;
  s.skew = 1;
  const auto milestones = simulate(s);
  EXPECT_EQ(milestones.front().workers, 3);
  const auto& last = milestones.back();
  // 128 GB at 70 % of 20 GB each.
  EXPECT_GE(last.workers, 9);
  EXPECT_LE(last.workers, 11);
  EXPECT_LT(last.skew, 1.35);
  EXPECT_GT(last.moves, 0);
  EXPECT_GT(last.failures, 0);
}

TEST(Simulation, GivesGiantsAShardOfTheirOwn) {
  Simulation s;
  s.to_tenants = 20'000;
  s.worker_bytes = 20e9;
  s.bytes_per_tenant = 8e6;
  s.skew = 3.5;
  EXPECT_GT(simulate(s).back().isolated, 0);
  s.skew = 0;
  EXPECT_EQ(simulate(s).back().isolated, 0);
}

TEST(Simulation, RefusesWhatMakesNoSense) {
  Simulation s;
  s.to_tenants = s.from_tenants;
  EXPECT_TRUE(reason([&] { simulate(s); }).contains("--to-tenants"));
}

}  // namespace
}  // namespace coditect::cluster
