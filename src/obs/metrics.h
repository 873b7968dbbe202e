#pragma once
#include <map>
#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace coditect::obs {

using Counter = prometheus::Counter;
using Gauge = prometheus::Gauge;
using Histogram = prometheus::Histogram;
using Labels = std::map<std::string, std::string>;

/// Counts one more in the gauge as long as this lives, however it ends.
class Counted {
 public:
  explicit Counted(Gauge& gauge) : gauge_(gauge) { gauge_.Increment(); }
  ~Counted() { gauge_.Decrement(); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  Gauge& gauge_;
};

/// The process's Prometheus metrics. Looking one up takes a lock: keep the reference, it stays
/// valid as long as the registry. Labels take few values: never a tenant, a user or a path.
class Metrics {
 public:
  Metrics();

  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  /// Seconds, in buckets from 0.5 ms to 10 s.
  Histogram& seconds(const std::string& name, const std::string& help, const Labels& labels = {});

  /// The text exposition format, version 0.0.4.
  std::string text() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace coditect::obs
