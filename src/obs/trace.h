#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace coditect::obs {

/// Where a unit of work stands in a distributed trace: W3C Trace Context level 1
/// (https://www.w3.org/TR/trace-context/).
struct TraceContext {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  bool sampled = false;

  /// A new trace.
  static TraceContext start(bool sampled);
  /// A `traceparent` header; nullopt when it is malformed, which starts a new trace.
  static std::optional<TraceContext> parse(std::string_view header);

  TraceContext child() const;  ///< the same trace, a new span
  std::string header() const;
  std::string trace_id_hex() const;
};

/// Whoever sends a `traceparent` may ask for the request to be recorded (W3C Trace Context
/// section 2.4 on denial of service): so many a second are. Of one thread.
class AskedSamples {
 public:
  static constexpr int kPerSecond = 10;
  bool take(Timestamp at) {
    if (at < since_ || at - since_ >= std::chrono::seconds(1)) {
      since_ = at;
      taken_ = 0;
    }
    return taken_++ < kPerSecond;
  }

 private:
  Timestamp since_{};
  int taken_ = 0;
};

struct Span {
  std::string name;
  TraceContext context;
  std::array<std::uint8_t, 8> parent{};  ///< zeros: none
  Timestamp start;
  Timestamp end;
  bool failed = false;
  bool outgoing = false;  ///< of a call to another server, not of one to this
  std::vector<std::pair<std::string, std::string>> attributes;
};

/// Finished spans on their way to the exporter. Bounded: when full, new ones are dropped and
/// counted. Any thread.
class SpanQueue {
 public:
  explicit SpanQueue(std::size_t capacity) : capacity_(capacity) {}
  void push(Span span);
  /// The waiting spans, at most this many.
  std::vector<Span> take(std::size_t most);
  std::uint64_t dropped() const;

 private:
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<Span> spans_;
  std::uint64_t dropped_ = 0;
};

/// Where the parts of a unit of work put their spans. Records nothing by default, and where the
/// trace is not sampled.
class Tracer {
 public:
  Tracer() = default;
  Tracer(SpanQueue& queue, const TraceContext& unit)
      : queue_(unit.sampled ? &queue : nullptr), unit_(unit) {}
  bool records() const { return queue_ != nullptr; }
  /// A part that began at `start` and ends now.
  void add(std::string name, Timestamp start, bool failed,
           std::vector<std::pair<std::string, std::string>> attributes) const;

 private:
  SpanQueue* queue_ = nullptr;
  TraceContext unit_;
};

/// A call to a database, as long as this lives; failed when left by an exception. Names:
/// https://opentelemetry.io/docs/specs/semconv/database/
class DatabaseSpan {
 public:
  /// `system`: "postgresql" or "redis"; `what`: a statement's name or a command.
  DatabaseSpan(const Tracer& tracer, std::string_view system, std::string_view what)
      : tracer_(tracer), system_(system), what_(what) {
    if (tracer_.records()) start_ = now();
  }
  ~DatabaseSpan();
  DatabaseSpan(const DatabaseSpan&) = delete;
  DatabaseSpan& operator=(const DatabaseSpan&) = delete;

 private:
  const Tracer& tracer_;
  std::string_view system_, what_;
  Timestamp start_{};
  int unwinding_ = std::uncaught_exceptions();
};

/// The body of an OTLP/HTTP JSON export request
/// (https://opentelemetry.io/docs/specs/otlp/#otlphttp-request).
std::string to_otlp_json(const std::vector<Span>& spans, std::string_view service);

}  // namespace coditect::obs
