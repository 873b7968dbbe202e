#include <cstdio>
#include <fstream>
#include <sstream>

#include "apps/coditect/commands.h"
#include "base/error.h"
#include "cluster/capacity.h"
#include "cluster/environment_cost.h"
#include "cluster/simulate.h"

namespace coditect::app {
namespace {

/// The file, or what the program was built with.
boost::json::value read_json(const std::string& path, const std::string& built_in) {
  std::string text;
  if (path.empty()) {
    for (const auto& file : cluster::capacity_files())
      if (file.path.ends_with(built_in)) text = file.text;
  } else {
    std::ifstream in(path);
    if (!in) fail(Code::invalid_argument, "file_unreadable", path + " cannot be read");
    std::ostringstream all;
    all << in.rdbuf();
    text = all.str();
  }
  boost::system::error_code problem;
  auto value = boost::json::parse(text, problem);
  if (problem)
    fail(Code::invalid_argument, "file_malformed",
         (path.empty() ? built_in : path) + " is not JSON: " + problem.message());
  return value;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  out.flush();
  if (!out) fail(Code::unavailable, "file_unwritable", path + " cannot be written");
}

}  // namespace

int plan(const PlanOptions& o) {
  const auto costs = cluster::parse_costs(read_json(o.costs, "costs.json"));
  const auto prices = cluster::parse_prices(read_json(o.prices, "prices.json"));
  const auto months = cluster::plan(o.workload, costs, prices);
  if (!o.svg.empty()) write_file(o.svg, cluster::plan_svg(months));
  const auto text = o.json ? boost::json::serialize(cluster::plan_json(months, costs)) + "\n"
                           : cluster::plan_text(months, costs);
  std::fputs(text.c_str(), stdout);
  return 0;
}

int simulate(const SimulateOptions& o) {
  const auto milestones = cluster::simulate(o.simulation);
  const auto text = o.json ? boost::json::serialize(cluster::simulation_json(milestones)) + "\n"
                           : cluster::simulation_text(o.simulation, milestones);
  std::fputs(text.c_str(), stdout);
  return 0;
}

int environment_costs(const CostOptions& o) {
  const auto prices = cluster::parse_prices(read_json(o.prices, "prices.json"));
  std::vector<cluster::EnvironmentCost> all;
  for (const auto& file : o.files)
    all.push_back(cluster::environment_cost(file, read_json(file, file), prices));
  const auto text = o.json       ? boost::json::serialize(cluster::cost_json(all)) + "\n"
                    : o.markdown ? cluster::cost_markdown(all)
                                 : cluster::cost_text(all);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace coditect::app
