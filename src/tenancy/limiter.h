#pragma once
#include <string>

#include "base/lru_cache.h"
#include "obs/trace.h"
#include "redis/client.h"

namespace coditect::tenancy {

/// So many in a period, evenly refilled, with the whole amount as the burst.
struct LimitPolicy {
  std::string name;
  int amount = 60;
  std::chrono::milliseconds period{60000};
};

struct LimitDecision {
  bool allowed = true;
  std::int64_t remaining = 0;
  std::chrono::milliseconds retry_after{0};  ///< when not allowed
};

/// The generic cell rate algorithm (ITU-T I.371), pure: `arrival` is the stored theoretical arrival
/// time in microseconds, updated when allowed.
LimitDecision gcra(std::int64_t now_us, std::int64_t& arrival, int amount,
                   std::chrono::milliseconds period);

/// Counts in Redis, for all processes together. While Redis is away each loop counts for itself
/// with its share of the amount. One per loop.
class Limiter {
 public:
  /// `shares`: how many loops of how many processes share the amount when Redis is away.
  Limiter(redis::Client& redis, int shares, obs::Metrics& metrics);

  Async<LimitDecision> take(const LimitPolicy& policy, std::string subject,
                            const obs::Tracer& tracer = {});

 private:
  LimitDecision take_local(const LimitPolicy& policy, const std::string& key);

  redis::Client& redis_;
  int shares_;
  LruCache<std::string, std::int64_t> local_;
  obs::Counter& local_decisions_;
};

}  // namespace coditect::tenancy
