#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "attack/wire.h"
#include "attack/world.h"

namespace coditect::attack {

struct Options {
  std::string url;
  std::string slug_a, key_a, slug_b, key_b;  ///< empty: signs two tenants up
  std::string operator_key;                  ///< to suspend a tenant; empty: not tried
  std::string tenant_parameter = "tenant";
  std::set<std::string> phases;  ///< empty: all
  bool stop_at_first = false;
  int timeout_seconds = 30;
};

/// What should not be.
struct Finding {
  std::string
      kind;  ///< leak, difference, tampered, replayed, allowed, server_error, database_words
  std::string operation, attack;
  std::string request;  ///< method and path, without credentials
  std::string expected, got;
};

struct PhaseResult {
  std::string name;
  int requests = 0, findings = 0;
};

struct Report {
  std::string url;
  std::size_t operations = 0;
  int requests = 0;
  std::vector<PhaseResult> phases;
  std::vector<Finding> findings;
  std::vector<std::string> warnings;   ///< e.g. times that differ
  std::vector<std::string> not_tried;  ///< and why
};

struct Progress {
  std::string phase;
  int done = 0, requests = 0, findings = 0;
};

/// Fills two tenants with data, then acts as the first against the second. The second's data is
/// compared before and after. Tenants it signs up itself are deleted at the end. Throws Failure
/// when the service cannot be reached or understood.
Report run(const Options& options, const std::function<void(const Progress&)>& progress);

/// The names of the phases, in order, with what each does.
std::vector<std::pair<std::string, std::string>> phases();

std::string to_json(const Report& report);
/// For people: a table of phases, then each finding.
std::string to_text(const Report& report);

}  // namespace coditect::attack
