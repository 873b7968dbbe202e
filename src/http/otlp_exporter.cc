#include "http/otlp_exporter.h"

#include "http/client.h"
#include "obs/log.h"

namespace coditect::http {

using namespace std::chrono_literals;

Async<> export_spans(obs::SpanQueue& queue, TraceSettings settings, obs::Metrics& metrics) {
  auto& sent = metrics.counter("coditect_spans_sent_total", "Spans delivered to the collector");
  auto& dropped =
      metrics.counter("coditect_spans_dropped_total", "Spans that could not be delivered");
  std::uint64_t overflow = 0;
  bool failing = false;
  for (;;) {
    co_await async::sleep_for(500ms);
    dropped.Increment(
        static_cast<double>(queue.dropped() - std::exchange(overflow, queue.dropped())));
    const auto spans = queue.take(512);
    if (spans.empty()) continue;
    std::string problem;
    try {
      const auto answer =
          co_await fetch("POST", settings.endpoint, {{"Content-Type", "application/json"}},
                         obs::to_otlp_json(spans, "coditect"), after(3s));
      if (answer.status / 100 != 2) problem = "status " + std::to_string(answer.status);
    } catch (const Failure& f) {  // the collector is away: that is not our failure
      problem = f.what();
    }
    (problem.empty() ? sent : dropped).Increment(static_cast<double>(spans.size()));
    if (!problem.empty() && !failing)
      obs::log(obs::Level::warn, "cannot export traces",
               {{"endpoint", settings.endpoint}, {"error", problem}});
    failing = !problem.empty();
  }
}

}  // namespace coditect::http
