#include "obs/log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include <fmt/format.h>

#include "base/clock.h"

namespace coditect::obs {
namespace {

std::atomic<Level> least_level{Level::info};
std::atomic<int> log_file{STDERR_FILENO};

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "off"};

}  // namespace

void set_log_level(Level level) { least_level = level; }

bool set_log_level(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == name) return set_log_level(static_cast<Level>(i)), true;
  return false;
}

void set_log_file(int descriptor) { log_file = descriptor; }

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  const auto is_plain = [](char c) {
    return c != '"' && c != '\\' && static_cast<unsigned char>(c) >= 0x20;
  };
  if (std::ranges::all_of(text, is_plain)) {  // nearly always
    out += text;
    out += '"';
    return;
  }
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
        else
          out += c;
    }
  }
  out += '"';
}

void log(Level level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  std::string line;
  line.reserve(256);
  line += R"({"time":")";
  line += to_rfc3339(now());
  line += R"(","level":")";
  line += kNames[static_cast<std::size_t>(level)];
  line += R"(","message":)";
  append_json_string(line, message);
  for (const auto& field : fields) {
    line += ',';
    append_json_string(line, field.name);
    line += ':';
    if (const auto* text = std::get_if<std::string_view>(&field.value))
      append_json_string(line, *text);
    else if (const auto* number = std::get_if<std::int64_t>(&field.value))
      line += std::to_string(*number);
    else if (const auto* real = std::get_if<double>(&field.value))
      line += std::isfinite(*real) ? fmt::format("{:.6g}", *real) : "null";
    else
      line += std::get<bool>(field.value) ? "true" : "false";
  }
  line += "}\n";
  // Nothing sensible is left to do when the log itself cannot be written.
  [[maybe_unused]] const auto written =
      ::write(log_file.load(std::memory_order_relaxed), line.data(), line.size());
}

}  // namespace coditect::obs
