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

/// A line that starts with [ or [[ and then no character of a name.
bool is_malformed_header(std::string_view line) {
  const auto skip = [&line](std::string_view set) {
    line.remove_prefix(std::min(line.find_first_not_of(set), line.size()));
  };
  skip(" \t");
  if (!line.starts_with('[')) return false;
  line.remove_prefix(line.starts_with("[[") ? 2 : 1);
  skip(" \t");
  return line.empty() || !(is_ascii_alnum(line[0]) || std::string_view("-_\"']").contains(line[0]));
}

/// The quote that is open, and whether it may hold more than ASCII: it began where a value does,
/// and ends on its line.
struct Quote {
  std::string_view mark;
  bool any_text = false;
};

/// Walks one line. False: there is a character beyond ASCII outside of texts and comments, or a
/// list or an inline table, which no setting takes.
bool walk_line(std::string_view line, Quote& quote) {
  char before = ' ';  // the last character that is no blank
  bool assigned = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto rest = line.substr(i);
    const bool ascii = static_cast<unsigned char>(rest[0]) < 0x80;
    if (!quote.mark.empty()) {
      if (!ascii && !quote.any_text) return false;
      if (rest[0] == '\\' && quote.mark[0] == '"')
        ++i;
      else if (rest.starts_with(quote.mark))
        i += std::exchange(quote.mark, {}).size() - 1;
    } else if (rest[0] == '"' || rest[0] == '\'') {
      quote = {rest[0] == '"' ? "\"\"\"" : "'''", before == '='};
      if (rest.starts_with(quote.mark))
        quote.any_text = false;
      else
        quote.mark.remove_suffix(2);
      i += quote.mark.size() - 1;
    } else if (rest[0] == '#') {
      break;
    } else if (!ascii || rest[0] == '{' || (rest[0] == '[' && before != ' ' && before != '[')) {
      return false;
    }
    const bool again = rest[0] == '=' && std::exchange(assigned, true);
    if (rest[0] != ' ' && rest[0] != '\t') before = again ? '~' : rest[0];
  }
  if (quote.mark.size() == 1) quote.mark = {};
  return true;
}

/// The first line, from 1, that toml++ 3.3 takes for granted not to come (it asserts, or runs into
/// what its author called unreachable); 0: there is none.
int malformed_line(std::string_view text) {
  Quote quote;
  for (int line = 1; !text.empty(); ++line) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto here = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if ((quote.mark.empty() && is_malformed_header(here)) || !walk_line(here, quote)) return line;
  }
  return 0;
}

}  // namespace

Result<void> Table::load_file(const Sources& sources) {
  if (const int line = malformed_line(sources.file_text))
    return std::unexpected(wrong(sources.file_name + ":" + std::to_string(line) +
                                 ": a setting is name = a text in quotes, a number, true or "
                                 "false; a table is [name]"));
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
