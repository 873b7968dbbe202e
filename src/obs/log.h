#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

/// Structured log: one JSON object a line, on standard error, with "time", "level" and "message".
/// Any thread. A line is one write, so lines of several processes do not mix.
namespace coditect::obs {

enum class Level { debug, info, warn, error, off };

struct LogField {
  std::string_view name;
  std::variant<std::string_view, std::int64_t, double, bool> value;

  LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
  LogField(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
  LogField(std::string_view n, const std::string& v) : name(n), value(std::string_view(v)) {}
  LogField(std::string_view n, std::int64_t v) : name(n), value(v) {}
  LogField(std::string_view n, int v) : name(n), value(std::int64_t{v}) {}
  LogField(std::string_view n, std::size_t v) : name(n), value(static_cast<std::int64_t>(v)) {}
  LogField(std::string_view n, double v) : name(n), value(v) {}
  LogField(std::string_view n, bool v) : name(n), value(v) {}
};

/// The least level that is written; info at the start.
void set_log_level(Level level);
/// "debug", "info", "warn", "error" or "off"; false for another word.
bool set_log_level(std::string_view name);
/// Where lines go; standard error (2) at the start.
void set_log_file(int descriptor);

void log(Level level, std::string_view message, std::initializer_list<LogField> fields = {});

/// Adds the text as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace coditect::obs
