#pragma once
#include "async/async.h"
#include "obs/metrics.h"
#include "obs/trace.h"

namespace coditect::http {

struct TraceSettings {
  std::string endpoint;  ///< e.g. http://127.0.0.1:4318/v1/traces; empty: no traces are sent
  int sample_per_mille = 10;
  int queue = 8192;
};

/// Sends finished spans as OTLP/HTTP JSON, in batches, until it is cancelled. A batch that cannot
/// be delivered is counted and dropped: telemetry must not hold memory or requests.
Async<> export_spans(obs::SpanQueue& queue, TraceSettings settings, obs::Metrics& metrics);

}  // namespace coditect::http
