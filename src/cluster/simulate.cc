#include "cluster/simulate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <fmt/format.h>

#include "base/error.h"
#include "cluster/balance.h"
#include "tenancy/shard_map.h"

namespace coditect::cluster {
namespace {

/// xoshiro256** (Blackman, Vigna 2018), because the distributions of the standard library differ
/// between its makers.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (auto& word : state_) {  // splitmix64
      seed += 0x9e3779b97f4a7c15ULL;
      auto z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      word = z ^ (z >> 31);
    }
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  double exponential(double mean) { return -mean * std::log1p(-uniform()); }
  double normal() {
    return std::sqrt(-2 * std::log1p(-uniform())) * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t next() {
    const auto rotl = [](std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
    const auto out = rotl(state_[1] * 5, 7) * 9;
    const auto t = state_[1] << 17;
    state_[2] ^= state_[0], state_[3] ^= state_[1], state_[1] ^= state_[2], state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return out;
  }
  std::uint64_t state_[4];
};

struct Shard {
  double bytes = 0;
  std::size_t worker = 0;
  std::int64_t tenants = 0;
  double largest = 0;  ///< bytes of its largest tenant
  bool alone = false;  ///< of one isolated tenant
};

class World {
 public:
  explicit World(const Simulation& s)
      : s_(s), random_(s.seed), workers_(static_cast<std::size_t>(s.workers)) {
    for (int i = 0; i < s.shards; ++i)
      shards_.push_back({0, static_cast<std::size_t>(i % s.workers), 0, 0, false});
  }

  std::vector<Milestone> play() {
    std::vector<Milestone> out;
    auto next_milestone = static_cast<std::int64_t>(s_.from_tenants);
    double next_failure = failure_after(0);
    double next_look = 1;
    while (static_cast<double>(now_.tenants) < s_.to_tenants) {
      arrive();
      // The day on which so many tenants are there: exponential growth from the first number.
      const double grown = static_cast<double>(now_.tenants) / s_.from_tenants;
      now_.day =
          grown <= 1 ? 0 : s_.days * std::log(grown) / std::log(s_.to_tenants / s_.from_tenants);
      for (; next_failure < now_.day; next_failure = failure_after(next_failure)) fail_one();
      for (; next_look < now_.day; next_look += 1) look();
      if (now_.tenants >= next_milestone) {
        out.push_back(measured());
        next_milestone *= 2;
      }
    }
    look();
    out.push_back(measured());
    return out;
  }

 private:
  double failure_after(double day) {
    return day +
           random_.exponential(365 / (s_.failures_per_worker_year * static_cast<double>(workers_)));
  }

  /// Sizes are log-normal with the given mean; the id decides the shard, by Citus's own hash.
  void arrive() {
    ++now_.tenants;
    const double bytes =
        s_.bytes_per_tenant * std::exp(s_.skew * random_.normal() - s_.skew * s_.skew / 2);
    const auto hash =
        std::int64_t{tenancy::tenant_hash(now_.tenants)} - std::numeric_limits<std::int32_t>::min();
    auto& shard = shards_[static_cast<std::size_t>(hash * s_.shards >> 32)];
    shard.bytes += bytes;
    ++shard.tenants;
    now_.bytes += bytes;
    shard.largest = std::max(shard.largest, bytes);
    now_largest_ = std::max(now_largest_, bytes);
  }

  std::vector<double> loads() const {
    std::vector<double> out(workers_);
    for (const auto& s : shards_) out[s.worker] += s.bytes;
    return out;
  }

  /// What an operator does once a day.
  void look() {
    isolate_giants();
    bool added = false;
    while (now_.bytes / static_cast<double>(workers_) > s_.worker_bytes * s_.add_at) {
      ++workers_;
      added = true;
    }
    // Balancing all day long would only move shards to and fro: at need only.
    const auto now_loads = loads();
    const double mean = now_.bytes / static_cast<double>(workers_);
    if (added || std::ranges::max(now_loads) > mean * 1.3) rebalance();
  }

  /// A tenant who is more than half of a shard that weighs more than a quarter of a worker.
  void isolate_giants() {
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      auto& s = shards_[i];
      if (s.alone || s.largest * 2 < s.bytes || s.bytes * 4 < s_.worker_bytes) continue;
      const Shard own{s.largest, emptiest(s.worker), 1, s.largest, true};
      count_move(s.bytes);  // a split copies all of the shard
      s.bytes -= s.largest;
      s.largest = 0;
      --s.tenants;
      ++now_.isolated;
      shards_.push_back(own);
    }
  }

  std::size_t emptiest(std::size_t but) const {
    const auto all = loads();
    std::size_t best = but == 0 && workers_ > 1 ? 1 : 0;
    for (std::size_t w = 0; w < workers_; ++w)
      if (w != but && all[w] < all[best]) best = w;
    return best;
  }

  void count_move(double bytes) {
    ++now_.moves;
    now_.moved_bytes += bytes;
    now_.moving_seconds += s_.move_seconds + bytes / s_.move_bytes_per_second;
  }

  void rebalance() {
    std::vector<BalanceShard> weights;
    for (const auto& s : shards_) weights.push_back({s.bytes, s.worker});
    for (const auto& m : balance(std::move(weights), std::vector<bool>(workers_, true))) {
      shards_[m.shard].worker = m.target;
      count_move(shards_[m.shard].bytes);
    }
  }

  void fail_one() {
    const auto worker = static_cast<std::size_t>(random_.uniform() * static_cast<double>(workers_));
    std::int64_t tenants = 0;
    for (const auto& s : shards_)
      if (s.worker == worker) tenants += s.tenants;
    ++now_.failures;
    now_.unavailable_tenant_hours += static_cast<double>(tenants) * s_.failover_seconds / 3600;
  }

  Milestone measured() {
    auto m = now_;
    const auto all = loads();
    m.workers = static_cast<int>(workers_);
    m.shards = static_cast<int>(shards_.size());
    const double mean = now_.bytes / static_cast<double>(workers_);
    m.skew = mean > 0 ? std::ranges::max(all) / mean : 1;
    m.hottest_share = std::ranges::max(all) > 0 ? now_largest_ / std::ranges::max(all) : 0;
    return m;
  }

  const Simulation& s_;
  Random random_;
  std::size_t workers_;
  std::vector<Shard> shards_;
  Milestone now_;
  double now_largest_ = 0;
};

}  // namespace

void check(const Simulation& s) {
  const auto within = [](const char* name, double value, double low, double high) {
    if (!(value >= low && value <= high))
      fail(Code::invalid_argument, "invalid_simulation",
           fmt::format("{} is {} to {}, not {}", name, low, high, value));
  };
  within("--from-tenants", s.from_tenants, 1, 1e7);
  within("--to-tenants", s.to_tenants, s.from_tenants + 1, 2e7);
  within("--days", s.days, 1, 36500);
  within("--workers", s.workers, 1, 1000);
  within("--shards", s.shards, 1, 4096);
  within("--bytes-per-tenant", s.bytes_per_tenant, 1, 1e12);
  within("--skew", s.skew, 0, 4);
  within("--worker-bytes", s.worker_bytes, s.bytes_per_tenant, 1e15);
  within("--failures-per-worker-year", s.failures_per_worker_year, 0.001, 1000);
  within("--failover-seconds", s.failover_seconds, 0, 86400);
}

std::vector<Milestone> simulate(const Simulation& s) {
  check(s);
  return World(s).play();
}

std::string simulation_text(const Simulation& s, const std::vector<Milestone>& milestones) {
  std::string out = fmt::format(
      "{:>8} {:>10} {:>8} {:>7} {:>9} {:>9} {:>6} {:>9} {:>8} {:>9} "
      "{:>9} {:>9} {:>13}\n",
      "day", "tenants", "workers", "shards", "isolated", "data GB", "skew", "largest", "moves",
      "moved GB", "move h", "failures", "tenant h down");
  for (const auto& m : milestones)
    out += fmt::format(
        "{:>8.0f} {:>10} {:>8} {:>7} {:>9} {:>9.1f} {:>6.2f} {:>8.1f}% {:>8} "
        "{:>9.1f} {:>9.2f} {:>9} {:>13.1f}\n",
        m.day, m.tenants, m.workers, m.shards, m.isolated, m.bytes / 1e9, m.skew,
        m.hottest_share * 100, m.moves, m.moved_bytes / 1e9, m.moving_seconds / 3600, m.failures,
        m.unavailable_tenant_hours);
  const auto& last = milestones.back();
  const double hours = static_cast<double>(last.tenants) * s.days * 24;
  out += fmt::format(
      "\nlargest: the largest tenant's part of the fullest worker. Tenants were "
      "served at least {:.5f} % of the time (failovers of {:.0f} s each). Seed {}.\n",
      100 * (1 - last.unavailable_tenant_hours / hours * 2), s.failover_seconds, s.seed);
  return out;
}

boost::json::array simulation_json(const std::vector<Milestone>& milestones) {
  boost::json::array out;
  for (const auto& m : milestones)
    out.push_back(boost::json::object{{"day", m.day},
                                      {"tenants", m.tenants},
                                      {"workers", m.workers},
                                      {"shards", m.shards},
                                      {"isolated", m.isolated},
                                      {"bytes", m.bytes},
                                      {"skew", m.skew},
                                      {"largest_tenant_share", m.hottest_share},
                                      {"moves", m.moves},
                                      {"moved_bytes", m.moved_bytes},
                                      {"moving_seconds", m.moving_seconds},
                                      {"failures", m.failures},
                                      {"unavailable_tenant_hours", m.unavailable_tenant_hours}});
  return out;
}

}  // namespace coditect::cluster
