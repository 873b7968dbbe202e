#include "config/settings.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "base/bytes.h"

namespace coditect::config {
namespace {

Error wrong(std::string detail) {
  return {Code::invalid_argument, "setting_invalid", std::move(detail)};
}

Result<std::int64_t> parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad != std::errc() || end != text.data() + text.size() || text.empty())
    return std::unexpected(wrong("'" + std::string(text) + "' is not a whole number"));
  return value;
}

Result<void> within(std::int64_t value, Bounds bounds,
                    const std::function<std::string(std::int64_t)>& show) {
  if (value >= bounds.min && value <= bounds.max) return {};
  return std::unexpected(
      wrong(show(value) + " is out of bounds: " + show(bounds.min) + " to " + show(bounds.max)));
}

std::string number_text(std::int64_t v) { return std::to_string(v); }
std::string duration_text(std::int64_t v) { return to_text(std::chrono::milliseconds(v)); }

std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = word.size() / 2 + 1;
  for (const auto& candidate : known) {
    const auto distance = edits(word, candidate);
    if (distance < least) least = distance, best = candidate;
  }
  return best;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::int64_t ms;
  };
  static constexpr Unit kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
  std::int64_t value = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (bad == std::errc() && value >= 0)
    for (const auto& u : kUnits)
      if (unit == u.name && value <= INT64_MAX / u.ms / 2)
        return std::chrono::milliseconds(value * u.ms);
  return std::unexpected(
      wrong("'" + std::string(text) + "' is not a duration; write a number and ms, s, m, h or d"));
}

std::string to_text(std::chrono::milliseconds duration) {
  const auto ms = duration.count();
  if (ms != 0 && ms % 86400000 == 0) return std::to_string(ms / 86400000) + "d";
  if (ms != 0 && ms % 3600000 == 0) return std::to_string(ms / 3600000) + "h";
  if (ms != 0 && ms % 60000 == 0) return std::to_string(ms / 60000) + "m";
  if (ms % 1000 == 0) return std::to_string(ms / 1000) + "s";
  return std::to_string(ms) + "ms";
}

std::string Setting::flag() const {
  std::string out = "--" + name;
  std::ranges::replace(out, '.', '-');
  std::ranges::replace(out, '_', '-');
  return out;
}

std::string Setting::variable() const {
  std::string out = "CODITECT_" + name;
  for (char& c : out) {
    if (c == '.')
      c = '_';
    else if (c >= 'a' && c <= 'z')
      c = static_cast<char>(c - 32);
  }
  return out;
}

std::string Setting::shown() const {
  const auto value = get();
  return secret && !value.empty() ? "***" : value;
}

void Table::add(Setting setting) {
  setting.source = "default";
  settings_.push_back(std::move(setting));
}

void Table::add(std::string name, std::string& member, std::string help) {
  add({.name = std::move(name),
       .help = std::move(help),
       .type = "text",
       .set = [&member](std::string_view v) -> Result<void> { return member = v, Result<void>(); },
       .get = [&member] { return member; }});
}

void Table::add(std::string name, Secret& member, std::string help) {
  add({.name = std::move(name),
       .help = std::move(help),
       .type = "secret",
       .secret = true,
       .set = [&member](std::string_view v) -> Result<void> {
         return member = Secret(std::string(v)), Result<void>();
       },
       .get = [&member] { return member.reveal(); }});
}

void Table::add(std::string name, bool& member, std::string help) {
  add({.name = std::move(name),
       .help = std::move(help),
       .type = "true or false",
       .set = [&member](std::string_view v) -> Result<void> {
         if (v != "true" && v != "false")
           return std::unexpected(wrong("'" + std::string(v) + "' is neither true nor false"));
         return member = v == "true", Result<void>();
       },
       .get = [&member] { return std::string(member ? "true" : "false"); }});
}

void Table::add(std::string name, std::int64_t& member, Bounds bounds, std::string help) {
  add({.name = std::move(name),
       .help = std::move(help),
       .type = "number",
       .set = [&member, bounds](std::string_view v) -> Result<void> {
         const auto value = parse_number(v);
         if (!value) return std::unexpected(value.error());
         if (auto ok = within(*value, bounds, number_text); !ok) return ok;
         return member = *value, Result<void>();
       },
       .get = [&member] { return std::to_string(member); }});
}

void Table::add(std::string name, int& member, Bounds bounds, std::string help) {
  bounds.min = std::max<std::int64_t>(bounds.min, INT32_MIN);
  bounds.max = std::min<std::int64_t>(bounds.max, INT32_MAX);
  add({.name = std::move(name),
       .help = std::move(help),
       .type = "number",
       .set = [&member, bounds](std::string_view v) -> Result<void> {
         const auto value = parse_number(v);
         if (!value) return std::unexpected(value.error());
         if (auto ok = within(*value, bounds, number_text); !ok) return ok;
         return member = static_cast<int>(*value), Result<void>();
       },
       .get = [&member] { return std::to_string(member); }});
}

void Table::add(std::string name, std::chrono::milliseconds& member, Bounds bounds,
                std::string help) {
  add({.name = std::move(name),
       .help = std::move(help),
       .type = "duration",
       .set = [&member, bounds](std::string_view v) -> Result<void> {
         const auto value = parse_duration(v);
         if (!value) return std::unexpected(value.error());
         if (auto ok = within(value->count(), bounds, duration_text); !ok) return ok;
         return member = *value, Result<void>();
       },
       .get = [&member] { return to_text(member); }});
}

Setting* Table::find(std::string_view name) {
  const auto it = std::ranges::find(settings_, name, &Setting::name);
  return it == settings_.end() ? nullptr : &*it;
}

std::string Table::nearest(std::string_view name) const {
  std::vector<std::string> known;
  for (const auto& s : settings_) known.push_back(s.name);
  const auto word = nearest_word(name, known);
  return word.empty() ? "; 'coditect settings' lists them all" : "; did you mean " + word + "?";
}

Result<void> Table::apply(std::string_view name, std::string_view value,
                          const std::string& source) {
  Setting* setting = find(name);
  if (setting == nullptr)
    return std::unexpected(
        wrong(source + ": there is no setting '" + std::string(name) + "'" + nearest(name)));
  if (auto set = setting->set(value); !set) {
    // A secret's value stays out of the message.
    const auto why = setting->secret ? "its value is malformed" : set.error().detail;
    return std::unexpected(wrong(setting->name + " (" + source + "): " + why));
  }
  setting->source = source;
  return {};
}

namespace {

/// Reads a line of the part of TOML that settings need.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {
    if (rest_.ends_with('\r')) rest_.remove_suffix(1);
  }

  /// "[name]", "name = value", a comment, or nothing.
  bool is_understood() {
    blanks();
    if (at_end()) return true;
    if (take('[')) return blanks(), name() && (blanks(), take(']')) && (blanks(), at_end());
    return name() && (blanks(), take('=')) && (blanks(), value()) && (blanks(), at_end());
  }

 private:
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip(std::string_view set) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(set), rest_.size()));
  }
  void blanks() { skip(" \t"); }
  bool at_end() const { return rest_.empty() || (rest_[0] == '#' && is_plain(rest_)); }
  static bool is_plain(std::string_view text) {
    return is_valid_utf8(text) && std::ranges::none_of(text, [](unsigned char c) {
             return (c < 0x20 && c != '\t') || c == 0x7f;
           });
  }
  bool name() {
    do {
      const auto before = rest_.size();
      skip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
      if (rest_.size() == before) return false;
    } while (take('.'));
    return true;
  }
  bool value() {
    if (rest_.starts_with('"') || rest_.starts_with('\'')) return text(rest_[0]);
    for (const std::string_view word : {"true", "false"})
      if (rest_.starts_with(word)) return rest_.remove_prefix(word.size()), true;
    if (!take('-')) take('+');
    const auto before = rest_.size();
    skip("0123456789_");
    return rest_.size() != before;
  }
  bool text(char quote) {
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '\\' && quote == '"') {
        if (i + 1 == rest_.size() || !std::string_view("btnfr\"\\uU").contains(rest_[++i]))
          return false;
      } else if (rest_[i] == quote) {
        const auto inside = rest_.substr(1, i - 1);
        rest_.remove_prefix(i + 1);
        return is_plain(inside);
      }
    }
    return false;
  }

  std::string_view rest_;
};

/// The first line, from 1, that is not of that part; 0: there is none. toml++ 3.3 asserts, or runs
/// into what its author called unreachable, on some of what is no TOML.
int strange_line(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  for (int line = 1; !text.empty(); ++line) {
    const auto end = std::min(text.find('\n'), text.size());
    if (!Line(text.substr(0, end)).is_understood()) return line;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}

}  // namespace

Result<void> Table::load_file(const Sources& sources) {
  if (const int line = strange_line(sources.file_text))
    return std::unexpected(wrong(sources.file_name + ":" + std::to_string(line) +
                                 ": a setting is name = a text in quotes, a whole number, true "
                                 "or false; a table is [name]"));
  const auto parsed = toml::parse(sources.file_text, sources.file_name);
  if (!parsed) {
    const auto& at = parsed.error().source().begin;
    return std::unexpected(wrong(sources.file_name + ":" + std::to_string(at.line) + ": " +
                                 std::string(parsed.error().description())));
  }
  Result<void> result;
  std::function<void(const toml::table&, const std::string&)> walk =
      [&](const toml::table& table, const std::string& prefix) {
        for (const auto& [key, node] : table) {
          if (!result) return;
          const auto name = prefix + std::string(key.str());
          if (const auto* inner = node.as_table()) {
            walk(*inner, name + ".");
            continue;
          }
          std::string value;
          if (const auto* text = node.as_string())
            value = text->get();
          else if (const auto* number = node.as_integer())
            value = std::to_string(number->get());
          else if (const auto* flag = node.as_boolean())
            value = flag->get() ? "true" : "false";
          else {
            result = std::unexpected(wrong(sources.file_name + ": " + name +
                                           " must be a text, a whole number, true or false"));
            return;
          }
          result = apply(name, value, "file " + sources.file_name);
        }
      };
  walk(parsed.table(), "");
  return result;
}

Result<void> Table::load(const Sources& sources) {
  if (!sources.file_name.empty())
    if (auto ok = load_file(sources); !ok) return ok;
  for (const auto& [variable, value] : sources.environment) {
    const auto it = std::ranges::find(settings_, variable, &Setting::variable);
    if (it == settings_.end()) {
      std::vector<std::string> known;
      for (const auto& s : settings_) known.push_back(s.variable());
      const auto word = nearest_word(variable, known);
      return std::unexpected(wrong("environment: there is no setting " + variable +
                                   (word.empty() ? "" : "; did you mean " + word + "?")));
    }
    if (auto ok = apply(it->name, value, variable); !ok) return ok;
  }
  for (const auto& [name, value] : sources.flags) {
    const auto* setting = find(name);
    if (auto ok = apply(name, value, setting != nullptr ? setting->flag() : name); !ok) return ok;
  }
  return {};
}

}  // namespace coditect::config
