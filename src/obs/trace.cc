#include "obs/trace.h"

#include <random>

#include <fmt/format.h>

#include "base/bytes.h"
#include "obs/log.h"

namespace coditect::obs {
namespace {

std::uint64_t random64() {
  thread_local std::mt19937_64 generator{[] {
    std::random_device device;
    return static_cast<std::uint64_t>(device()) << 32 | device();
  }()};
  return generator();
}

template <std::size_t N>
void fill_random(std::array<std::uint8_t, N>& out) {
  for (std::size_t i = 0; i < N; i += 8) {
    const auto bits = random64() | 1;  // all zeros is not a valid id
    for (std::size_t k = 0; k < 8; ++k) out[i + k] = static_cast<std::uint8_t>(bits >> (8 * k));
  }
}

template <std::size_t N>
std::string hex(const std::array<std::uint8_t, N>& bytes) {
  return to_hex({reinterpret_cast<const char*>(bytes.data()), N});
}

template <std::size_t N>
bool parse_hex(std::string_view text, std::array<std::uint8_t, N>& out) {
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != N) return false;
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out != std::array<std::uint8_t, N>{};
}

std::int64_t nanoseconds(Timestamp t) { return t.time_since_epoch().count() * 1000; }

}  // namespace

TraceContext TraceContext::start(bool sampled) {
  TraceContext context;
  fill_random(context.trace_id);
  fill_random(context.span_id);
  context.sampled = sampled;
  return context;
}

std::optional<TraceContext> TraceContext::parse(std::string_view header) {
  // version "-" trace-id "-" parent-id "-" flags; later versions may append.
  if (header.size() < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-')
    return std::nullopt;
  const auto version = header.substr(0, 2);
  if (version == "ff" || !from_hex(version)) return std::nullopt;
  if (version == "00" ? header.size() != 55 : (header.size() > 55 && header[55] != '-'))
    return std::nullopt;
  TraceContext context;
  if (!parse_hex(header.substr(3, 32), context.trace_id) ||
      !parse_hex(header.substr(36, 16), context.span_id))
    return std::nullopt;
  const auto flags = from_hex(header.substr(53, 2));
  if (!flags) return std::nullopt;
  context.sampled = (static_cast<unsigned char>((*flags)[0]) & 1) != 0;
  return context;
}

TraceContext TraceContext::child() const {
  TraceContext context = *this;
  fill_random(context.span_id);
  return context;
}

std::string TraceContext::header() const {
  return "00-" + hex(trace_id) + "-" + hex(span_id) + (sampled ? "-01" : "-00");
}

std::string TraceContext::trace_id_hex() const { return hex(trace_id); }

void SpanQueue::push(Span span) {
  const std::lock_guard lock(mutex_);
  if (spans_.size() >= capacity_)
    ++dropped_;
  else
    spans_.push_back(std::move(span));
}

std::vector<Span> SpanQueue::take(std::size_t most) {
  const std::lock_guard lock(mutex_);
  std::vector<Span> out;
  while (!spans_.empty() && out.size() < most) {
    out.push_back(std::move(spans_.front()));
    spans_.pop_front();
  }
  return out;
}

std::uint64_t SpanQueue::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void Tracer::add(std::string name, Timestamp start, bool failed,
                 std::vector<std::pair<std::string, std::string>> attributes) const {
  queue_->push({.name = std::move(name),
                .context = unit_.child(),
                .parent = unit_.span_id,
                .start = start,
                .end = now(),
                .failed = failed,
                .outgoing = true,
                .attributes = std::move(attributes)});
}

DatabaseSpan::~DatabaseSpan() {
  if (!tracer_.records()) return;
  tracer_.add(
      fmt::format("{} {}", system_, what_), start_, std::uncaught_exceptions() > unwinding_,
      {{"db.system.name", std::string(system_)}, {"db.operation.name", std::string(what_)}});
}

std::string to_otlp_json(const std::vector<Span>& spans, std::string_view service) {
  std::string out =
      R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":)";
  append_json_string(out, service);
  out += R"(}}]},"scopeSpans":[{"scope":{"name":"coditect","version":")" CODITECT_VERSION
         R"("},"spans":[)";
  bool first = true;
  for (const auto& span : spans) {
    if (!std::exchange(first, false)) out += ',';
    fmt::format_to(std::back_inserter(out), R"({{"traceId":"{}","spanId":"{}")",
                   hex(span.context.trace_id), hex(span.context.span_id));
    if (span.parent != std::array<std::uint8_t, 8>{})
      fmt::format_to(std::back_inserter(out), R"(,"parentSpanId":"{}")", hex(span.parent));
    out += R"(,"name":)";
    append_json_string(out, span.name);
    fmt::format_to(std::back_inserter(out),
                   R"(,"kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[)",
                   span.outgoing ? 3 : 2, nanoseconds(span.start), nanoseconds(span.end));
    bool first_attribute = true;
    for (const auto& [key, value] : span.attributes) {
      if (!std::exchange(first_attribute, false)) out += ',';
      out += R"({"key":)";
      append_json_string(out, key);
      out += R"(,"value":{"stringValue":)";
      append_json_string(out, value);
      out += "}}";
    }
    fmt::format_to(std::back_inserter(out), R"(],"status":{{"code":{}}}}})", span.failed ? 2 : 0);
  }
  return out + "]}]}]}";
}

}  // namespace coditect::obs
