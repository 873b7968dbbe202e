#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "cluster/capacity.h"

namespace coditect::cluster {
namespace {

namespace json = boost::json;

std::string dollars(double d) { return fmt::format("${:.0f}", d); }

std::string count(double n) {
  return n >= 1e6   ? fmt::format("{:.2f}M", n / 1e6)
         : n >= 1e4 ? fmt::format("{:.0f}K", n / 1e3)
                    : fmt::format("{:.0f}", n);
}

double most_load(const Sizing& s) {
  return std::ranges::max_element(s.load, {}, [](const auto& l) { return l.second; })->second;
}

std::string database_of(const Sizing& s) {
  return s.phase == 1 ? s.database.name : fmt::format("{} x {}", s.workers, s.database.name);
}

json::object json_of(const Sizing& s) {
  json::object load;
  for (const auto& [name, value] : s.load) load[name] = value;
  return {{"phase", s.phase},         {"workers", s.workers},
          {"shards", s.shards},       {"database_node", s.database.name},
          {"disk_gib", s.disk_gib},   {"connections", s.connections},
          {"api_nodes", s.api_nodes}, {"api_node", s.api.name},
          {"redis_gib", s.redis_gib}, {"month", s.month},
          {"load", std::move(load)},  {"bottleneck", s.bottleneck}};
}

json::object json_of(const Founding& f) {
  return {{"phase", f.phase},
          {"workers", f.least_workers == f.most_workers
                          ? json::value(f.least_workers)
                          : json::value(json::array{f.least_workers, f.most_workers})},
          {"month", f.month},
          {"team", f.team}};
}

json::object json_of(const Budget& budget) {
  json::object out;
  double all = 0;
  for (const auto& [name, month] : budget) out[name] = month, all += month;
  out["all"] = all;
  return out;
}

double sum(const Budget& budget) {
  double all = 0;
  for (const auto& [name, month] : budget) all += month;
  return all;
}

/// The months that say something new: the first, each that changes something, the last.
std::vector<const Month*> telling(const std::vector<Month>& months) {
  std::vector<const Month*> out;
  for (const auto& m : months)
    if (&m == &months.front() || &m == &months.back() || !m.trigger.empty()) out.push_back(&m);
  return out;
}

class Svg {
 public:
  Svg(double width, double height)
      : text_(fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" "
                          "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" "
                          "height=\"100%\" fill=\"white\"/>\n",
                          width, height)) {}
  void text(double x, double y, const std::string& words, const std::string& more = "") {
    text_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, more, words);
  }
  void line(double x1, double y1, double x2, double y2, const std::string& color) {
    text_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1,
        x2, y2, color);
  }
  void path(const std::vector<std::pair<double, double>>& points, const std::string& style) {
    text_ += "<path d=\"";
    for (const auto& [x, y] : points)
      text_ += fmt::format("{}{:.1f} {:.1f}", &x == &points.front().first ? "M" : " L", x, y);
    text_ += "\" " + style + "/>\n";
  }
  std::string end() { return text_ + "</svg>\n"; }

 private:
  std::string text_;
};

constexpr double kWidth = 760, kLeft = 70, kRight = 20;
constexpr double kCostTop = 44, kCostBottom = 300, kLoadTop = 350, kLoadBottom = 520;

/// Logarithmic dollars, so that phase 1 is seen beside phase 3.
class Scale {
 public:
  explicit Scale(const std::vector<Month>& months) : months_(months.size()) {
    for (const auto& m : months) {
      low_ = std::min(low_, m.low.month);
      high_ = std::max({high_, m.high.month, founding(m.workload.tenants).month});
    }
    low_ = std::pow(10, std::floor(std::log10(low_)));
    high_ = std::pow(10, std::ceil(std::log10(high_)));
  }
  double x(int month) const {
    return kLeft + (kWidth - kLeft - kRight) * (month - 1) /
                       std::max(1.0, static_cast<double>(months_) - 1);
  }
  double y(double cost) const {
    return kCostBottom - (kCostBottom - kCostTop) * std::log10(cost / low_) /
                             std::max(0.001, std::log10(high_ / low_));
  }
  double low() const { return low_; }
  double high() const { return high_; }

 private:
  std::size_t months_;
  double low_ = 1e12, high_ = 1;
};

void draw_costs(Svg& svg, const std::vector<Month>& months, const Scale& scale) {
  for (double d = scale.low(); d <= scale.high() * 1.001; d *= 10) {
    svg.line(kLeft, scale.y(d), kWidth - kRight, scale.y(d), "#ddd");
    svg.text(kLeft - 6, scale.y(d) + 4, dollars(d), "text-anchor=\"end\" fill=\"#555\"");
  }
  std::vector<std::pair<double, double>> middle, band, first;
  for (const auto& m : months) {
    middle.emplace_back(scale.x(m.number), scale.y(m.middle.month));
    band.emplace_back(scale.x(m.number), scale.y(m.high.month));
    first.emplace_back(scale.x(m.number), scale.y(founding(m.workload.tenants).month));
  }
  for (auto m = months.rbegin(); m != months.rend(); ++m)
    band.emplace_back(scale.x(m->number), scale.y(m->low.month));
  svg.path(band, "fill=\"#2a6f97\" fill-opacity=\"0.18\" stroke=\"none\"");
  svg.path(middle, "fill=\"none\" stroke=\"#2a6f97\" stroke-width=\"2\"");
  svg.path(first, "fill=\"none\" stroke=\"#e07a5f\" stroke-width=\"2\" stroke-dasharray=\"6 4\"");
  svg.text(kLeft, 18, "Cost a month", "font-size=\"14\" font-weight=\"bold\"");
  svg.text(kLeft + 130, 18, "all, by measured CPU (band: range)", "fill=\"#2a6f97\"");
  svg.text(kLeft + 380, 18, "founding table, databases alone", "fill=\"#e07a5f\"");
  // Where a phase begins.
  int phase = 0;
  for (const auto& m : months) {
    if (m.middle.phase == phase) continue;
    phase = m.middle.phase;
    svg.line(scale.x(m.number), kCostTop, scale.x(m.number), kLoadBottom, "#bbb");
    svg.text(scale.x(m.number) + 3, kCostTop - 6 + 14, fmt::format("phase {}", phase),
             "fill=\"#555\"");
  }
}

void draw_headroom(Svg& svg, const std::vector<Month>& months, const Scale& scale) {
  const auto y = [](double load) {
    return kLoadBottom - (kLoadBottom - kLoadTop) * std::clamp(load, 0.0, 1.0);
  };
  svg.text(kLeft, kLoadTop - 12, "Load of the fullest part at the peak",
           "font-size=\"14\" font-weight=\"bold\"");
  for (const double load : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    svg.line(kLeft, y(load), kWidth - kRight, y(load), "#ddd");
    svg.text(kLeft - 6, y(load) + 4, fmt::format("{:.0f} %", load * 100),
             "text-anchor=\"end\" fill=\"#555\"");
  }
  std::vector<std::pair<double, double>> line;
  for (const auto& m : months) line.emplace_back(scale.x(m.number), y(most_load(m.middle)));
  svg.path(line, "fill=\"none\" stroke=\"#6d597a\" stroke-width=\"2\"");
  const auto steps = std::max<std::size_t>(1, months.size() / 6);
  for (std::size_t i = 0; i < months.size(); i += steps) {
    svg.text(scale.x(months[i].number), kLoadBottom + 18, fmt::format("month {}", months[i].number),
             "text-anchor=\"middle\" fill=\"#555\"");
    svg.text(scale.x(months[i].number), kLoadBottom + 33, count(months[i].workload.tenants),
             "text-anchor=\"middle\" fill=\"#555\"");
  }
}

}  // namespace

std::string plan_text(const std::vector<Month>& months, const Costs& costs) {
  std::string out = fmt::format(
      "{:>5} {:>9} {:>9} {:>6} {:<30} {:>6} {:>9} {:>6} {:>5} {:>8} {:<21} {:>8} {:>18}\n", "month",
      "tenants", "req/s", "phase", "database (standbys beside)", "shards", "disk GiB", "conns",
      "API", "a month", "cheap to dear", "a tenant", "fullest");
  for (const auto* m : telling(months)) {
    const auto& s = m->middle;
    out += fmt::format(
        "{:>5} {:>9} {:>9} {:>6} {:<30} {:>6} {:>9.0f} {:>6} {:>5} {:>8} {:<21} {:>8} {:>18}\n",
        m->number, count(m->workload.tenants), count(m->workload.requests()), s.phase,
        database_of(s), s.shards, s.disk_gib, s.connections, s.api_nodes, dollars(s.month),
        dollars(m->low.month) + " to " + dollars(m->high.month),
        fmt::format("${:.3f}", s.month / m->workload.tenants),
        fmt::format("{} {:.0f} %", s.bottleneck, most_load(s) * 100));
    if (!m->trigger.empty()) out += "      ^ " + m->trigger + "\n";
  }
  out +=
      "\nThe founding table beside it (databases alone; it reads phase 1 as Citus with 3 workers, "
      "we as managed PostgreSQL)\n";
  for (const auto& f : founding_table()) {
    const auto inside = std::ranges::find_if(months, [&f](const Month& m) {
      return m.workload.tenants >= f.from_tenants && m.workload.tenants < f.to_tenants;
    });
    out += fmt::format("  {:>5} to {:<6} {:>2}{} workers, {} a month, a team of {}",
                       count(f.from_tenants), count(f.to_tenants), f.least_workers,
                       f.phase == 3                       ? "+"
                       : f.most_workers > f.least_workers ? "-" + std::to_string(f.most_workers)
                                                          : "",
                       dollars(f.month), f.team);
    if (inside != months.end()) {
      auto last = inside;
      while (last != months.end() && last->workload.tenants < f.to_tenants) ++last;
      const auto& s = std::prev(last)->middle;
      out += fmt::format("; measured at {}: {}, {} in all ({} to {})",
                         count(std::prev(last)->workload.tenants), database_of(s), dollars(s.month),
                         dollars(std::prev(last)->low.month), dollars(std::prev(last)->high.month));
    }
    out += "\n";
  }
  const double revenue = 1e6 * months.front().workload.revenue_per_tenant;
  out += fmt::format(
      "  founding budget: development {}, production at 1M {} a month; revenue at "
      "{} a tenant {}, margin {:.1f} %\n",
      dollars(sum(founding_budget_dev())), dollars(sum(founding_budget_production())),
      dollars(months.front().workload.revenue_per_tenant), dollars(revenue),
      revenue > 0 ? 100 * (1 - sum(founding_budget_production()) / revenue) : 0.0);
  const auto& last = months.back();
  const double earned = last.workload.tenants * last.workload.revenue_per_tenant;
  out += fmt::format("  this plan in month {}: {} a month, revenue {}, margin {:.1f} %\n\n",
                     last.number, dollars(last.middle.month), dollars(earned),
                     earned > 0 ? 100 * (1 - last.middle.month / earned) : 0.0);
  out += "CPU per request measured " + costs.measured +
         fmt::format(
             "; what loopback hides counts {:.1f} to {:.1f} times as much. Prices are of "
             "the price file, with standbys, without traffic.\n",
             costs.hidden.low, costs.hidden.high);
  return out;
}

json::object plan_json(const std::vector<Month>& months, const Costs& costs) {
  json::array list, table;
  for (const auto& m : months)
    list.push_back(json::object{{"month", m.number},
                                {"tenants", m.workload.tenants},
                                {"requests_per_second", m.workload.requests()},
                                {"low", json_of(m.low)},
                                {"middle", json_of(m.middle)},
                                {"high", json_of(m.high)},
                                {"cost_per_tenant", m.middle.month / m.workload.tenants},
                                {"revenue", m.workload.tenants * m.workload.revenue_per_tenant},
                                {"founding", json_of(founding(m.workload.tenants))},
                                {"trigger", m.trigger}});
  for (const auto& f : founding_table()) {
    auto row = json_of(f);
    row["from_tenants"] = f.from_tenants;
    row["to_tenants"] = f.to_tenants;
    table.push_back(std::move(row));
  }
  return {{"measured", costs.measured},
          {"months", std::move(list)},
          {"founding_table", std::move(table)},
          {"founding_budget", json::object{{"development", json_of(founding_budget_dev())},
                                           {"production", json_of(founding_budget_production())}}}};
}

std::string plan_svg(const std::vector<Month>& months) {
  Svg svg(kWidth, kLoadBottom + 45);
  const Scale scale(months);
  draw_costs(svg, months, scale);
  draw_headroom(svg, months, scale);
  return svg.end();
}

}  // namespace coditect::cluster
