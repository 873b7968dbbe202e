#pragma once
#include <boost/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "cluster/capacity.h"

/// What an environment of opentofu/environments costs a month, by its values and a file of prices.
/// Pure: files are arguments.
namespace coditect::cluster {

struct CostItem {
  std::string part;            ///< "API nodes"
  std::string what;            ///< "3 to 18 n2-standard-8"
  double least = 0, most = 0;  ///< a month; they differ where a scaler decides
};

struct EnvironmentCost {
  std::string environment;  ///< "production"
  std::string file;         ///< where the values came from, for messages
  std::vector<CostItem> items;
  double budget = 0;  ///< of a month, that the values set an alarm at
  double least() const;
  double most() const;
};

/// Of the values that OpenTofu gets, with the defaults of opentofu/environments/root/variables.tf.
/// Throws `values_malformed` naming the member that is missing or wrong, and `price_missing` naming
/// a machine or Redis type that the prices lack.
EnvironmentCost environment_cost(const std::string& file, const boost::json::value& values,
                                 const Prices& prices);

std::string cost_text(std::span<const EnvironmentCost> environments);
/// A table with a column for each environment, as docs/SCALING.md has it.
std::string cost_markdown(std::span<const EnvironmentCost> environments);
boost::json::array cost_json(std::span<const EnvironmentCost> environments);

}  // namespace coditect::cluster
