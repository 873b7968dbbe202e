#include "tenancy/limiter.h"

namespace coditect::tenancy {
namespace {

// gcra() below, in the server's own time; microseconds stay exact in a double until the year 2255.
const std::string kScript =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000000 + t[2]\n"
    "local amount, period = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
    "local interval = math.floor(period / amount)\n"
    "local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)\n"
    "local room = now + period - arrival\n"
    "if room < interval then return {0, 0, interval - room} end\n"
    "redis.call('SET', KEYS[1], string.format('%.0f', arrival + interval), 'PX', math.ceil(period "
    "/ 1000) + 1)\n"
    "return {1, math.floor(room / interval) - 1, 0}";

/// What the script answered; nullopt when it is no answer of the script's.
std::optional<LimitDecision> decision_of(const redis::Reply& reply, const LimitPolicy& policy) {
  const auto is_within = [&reply](std::size_t i, std::int64_t most) {
    const auto& item = reply.items[i];
    return item.kind == redis::Reply::Kind::integer && item.integer >= 0 && item.integer <= most;
  };
  if (reply.kind != redis::Reply::Kind::array || reply.items.size() != 3 || !is_within(0, 1) ||
      !is_within(1, policy.amount) ||
      !is_within(2, std::chrono::microseconds(policy.period).count()))
    return std::nullopt;
  return LimitDecision{reply.items[0].integer == 1, reply.items[1].integer,
                       std::chrono::milliseconds((reply.items[2].integer + 999) / 1000)};
}

}  // namespace

LimitDecision gcra(std::int64_t now_us, std::int64_t& arrival, int amount,
                   std::chrono::milliseconds period) {
  const std::int64_t length = std::chrono::microseconds(period).count();
  const std::int64_t interval = std::max<std::int64_t>(length / amount, 1);
  const std::int64_t at = std::max(arrival, now_us);
  const std::int64_t room = now_us + length - at;
  if (room < interval) return {false, 0, std::chrono::milliseconds((interval - room + 999) / 1000)};
  arrival = at + interval;
  return {true, room / interval - 1, {}};
}

Limiter::Limiter(redis::Client& redis, int shares, obs::Metrics& metrics)
    : redis_(redis),
      shares_(std::max(shares, 1)),
      local_(65536, std::chrono::hours(1)),
      local_decisions_(
          metrics.counter("coditect_limit_local_total", "Limit decisions made without Redis")) {}

Async<LimitDecision> Limiter::take(const LimitPolicy& policy, std::string subject,
                                   const obs::Tracer& tracer) {
  const auto key = "limit:" + policy.name + ":{" + subject + "}";
  if (redis_.connected()) {
    try {
      const obs::DatabaseSpan span(tracer, "redis", "EVAL");
      const auto reply = co_await redis_.command(
          key, {"EVAL", kScript, "1", key, std::to_string(policy.amount),
                std::to_string(std::chrono::microseconds(policy.period).count())});
      if (const auto decision = decision_of(reply, policy)) co_return *decision;
    } catch (const Failure&) {  // Redis is away: the local share decides
    }
  }
  co_return take_local(policy, key);
}

LimitDecision Limiter::take_local(const LimitPolicy& policy, const std::string& key) {
  local_decisions_.Increment();
  const auto* stored = local_.find(key);
  std::int64_t arrival = stored != nullptr ? *stored : 0;
  const auto decision = gcra(now().time_since_epoch().count(), arrival,
                             std::max(policy.amount / shares_, 1), policy.period);
  if (decision.allowed) local_.put(key, arrival);
  return decision;
}

}  // namespace coditect::tenancy
