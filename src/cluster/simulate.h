#pragma once
#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <vector>

/// Growth of a Citus cell played by discrete events: tenants of very different sizes arrive, are
/// placed by the real hash, shards are balanced by the real algorithm, workers fail. The same seed
/// gives the same history on every machine.
namespace coditect::cluster {

struct Simulation {
  double from_tenants = 1000, to_tenants = 2e6;
  double days = 3 * 365;  ///< from the first to the last number of tenants, exponentially
  int workers = 3, shards = 64;
  double bytes_per_tenant = 2e6;  ///< mean
  /// Spread of the logarithm of a tenant's size; 0: all alike. 2 makes the largest of a million
  /// some thousand times the mean.
  double skew = 2;
  double worker_bytes = 500e9;          ///< above this a worker is full
  double add_at = 0.7;                  ///< of worker_bytes on average: a worker is added
  double move_seconds = 1.1;            ///< of a move, whatever its size; measured
  double move_bytes_per_second = 40e6;  ///< measured
  double failures_per_worker_year = 0.5;
  double failover_seconds = 30;  ///< until a standby is in its place
  std::uint64_t seed = 1;
};
/// Throws `invalid_argument` naming the member that is out of range.
void check(const Simulation& simulation);

struct Milestone {
  double day = 0;
  std::int64_t tenants = 0;
  int workers = 0, shards = 0, isolated = 0;
  double bytes = 0, skew = 1;  ///< largest worker through mean
  double hottest_share = 0;    ///< of the largest tenant in the fullest worker
  std::int64_t moves = 0;
  double moved_bytes = 0, moving_seconds = 0;
  int failures = 0;
  double unavailable_tenant_hours = 0;
};
/// At each doubling of the tenants and at the end.
std::vector<Milestone> simulate(const Simulation& simulation);

std::string simulation_text(const Simulation& simulation, const std::vector<Milestone>& milestones);
boost::json::array simulation_json(const std::vector<Milestone>& milestones);

}  // namespace coditect::cluster
