#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace coditect {

/// A moment, UTC, microseconds: what PostgreSQL's timestamptz holds.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;
/// A calendar day.
using Date = std::chrono::sys_days;
/// When work must be over.
using Deadline = std::chrono::steady_clock::time_point;

Timestamp now();
/// The deadline this far ahead.
inline Deadline after(std::chrono::milliseconds ms) {
  return std::chrono::steady_clock::now() + ms;
}
/// Time left, never negative.
std::chrono::milliseconds remaining(Deadline deadline);

/// RFC 3339 in UTC: "2026-01-02T03:04:05.678901Z".
std::string to_rfc3339(Timestamp t);
void append_rfc3339(std::string& out, Timestamp t);
std::optional<Timestamp> parse_rfc3339(std::string_view text);
/// "2026-01-02".
std::string to_iso_date(Date d);
/// Years 1 to 9999; nullopt for days that do not exist.
std::optional<Date> parse_iso_date(std::string_view text);
/// IMF-fixdate (RFC 9110 section 5.6.7), as in the Date header.
std::string to_http_date(Timestamp t);

}  // namespace coditect
