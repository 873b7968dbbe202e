#include "base/clock.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace coditect {
namespace {

namespace chr = std::chrono;

/// A number of exactly these digits at the start of the text, which is cut off.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<Date> take_date(std::string_view& text) {
  const auto year = take_digits(text, 4);
  if (!year || *year == 0 || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day) return std::nullopt;
  const chr::year_month_day ymd{chr::year(*year), chr::month(static_cast<unsigned>(*month)),
                                chr::day(static_cast<unsigned>(*day))};
  if (!ymd.ok()) return std::nullopt;
  return Date(ymd);
}

template <std::size_t N>
void put_digits(std::string& out, std::int64_t value) {
  std::array<char, N> text;
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, value /= 10)
    *digit = static_cast<char>('0' + value % 10);
  out.append(text.data(), N);
}

void put_date(std::string& out, Date d) {
  const chr::year_month_day ymd(d);
  put_digits<4>(out, static_cast<int>(ymd.year()));
  out += '-';
  put_digits<2>(out, static_cast<unsigned>(ymd.month()));
  out += '-';
  put_digits<2>(out, static_cast<unsigned>(ymd.day()));
}

template <class... Args>
std::string print(const char* format, Args... args) {
  char text[64];
  const int size = std::snprintf(text, sizeof text, format, args...);
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace

Timestamp now() { return chr::floor<chr::microseconds>(chr::system_clock::now()); }

chr::milliseconds remaining(Deadline deadline) {
  const auto left = chr::floor<chr::milliseconds>(deadline - std::chrono::steady_clock::now());
  return std::max(left, chr::milliseconds(0));
}

std::string to_iso_date(Date d) {
  std::string out;
  put_date(out, d);
  return out;
}

std::string to_rfc3339(Timestamp t) {
  std::string out;
  append_rfc3339(out, t);
  return out;
}

void append_rfc3339(std::string& out, Timestamp t) {
  const auto day = chr::floor<chr::days>(t);
  const chr::hh_mm_ss time(t - day);
  put_date(out, day);
  out += 'T';
  put_digits<2>(out, time.hours().count());
  out += ':';
  put_digits<2>(out, time.minutes().count());
  out += ':';
  put_digits<2>(out, time.seconds().count());
  out += '.';
  put_digits<6>(out, time.subseconds().count());
  out += 'Z';
}

std::optional<Date> parse_iso_date(std::string_view text) {
  const auto date = take_date(text);
  return text.empty() ? date : std::nullopt;
}

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  const auto date = take_date(text);
  if (!date || !(take(text, 'T') || take(text, 't'))) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59 || !take(text, ':')) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *second > 59) return std::nullopt;
  Timestamp t = *date + chr::hours(*hour) + chr::minutes(*minute) + chr::seconds(*second);
  if (take(text, '.')) {
    int unit = 100000, digits = 0;
    while (auto digit = take_digits(text, 1)) {
      t += chr::microseconds(*digit * unit);
      unit /= 10;
      ++digits;
    }
    if (digits == 0 || digits > 9) return std::nullopt;
  }
  if (take(text, 'Z') || take(text, 'z')) return text.empty() ? std::optional(t) : std::nullopt;
  const bool ahead = text.starts_with('+');
  if (!ahead && !text.starts_with('-')) return std::nullopt;
  text.remove_prefix(1);
  const auto hours = take_digits(text, 2);
  if (!hours || *hours > 23 || !take(text, ':')) return std::nullopt;
  const auto minutes = take_digits(text, 2);
  if (!minutes || *minutes > 59 || !text.empty()) return std::nullopt;
  const auto offset = chr::hours(*hours) + chr::minutes(*minutes);
  return ahead ? t - offset : t + offset;
}

std::string to_http_date(Timestamp t) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = chr::floor<chr::days>(t);
  const chr::year_month_day ymd(day);
  const chr::hh_mm_ss time(chr::floor<chr::seconds>(t - day));
  return print("%s, %02u %s %04d %02d:%02d:%02d GMT", kDays[chr::weekday(day).c_encoding()],
               static_cast<unsigned>(ymd.day()), kMonths[static_cast<unsigned>(ymd.month()) - 1],
               static_cast<int>(ymd.year()), static_cast<int>(time.hours().count()),
               static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()));
}

}  // namespace coditect
