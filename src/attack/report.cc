#include <fmt/format.h>

#include "attack/campaign.h"

namespace coditect::attack {

std::string to_json(const Report& r) {
  namespace json = boost::json;
  json::array phases, findings;
  for (const auto& p : r.phases)
    phases.push_back({{"phase", p.name}, {"requests", p.requests}, {"findings", p.findings}});
  for (const auto& f : r.findings)
    findings.push_back({{"kind", f.kind},
                        {"operation", f.operation},
                        {"attack", f.attack},
                        {"request", f.request},
                        {"expected", f.expected},
                        {"got", f.got}});
  return json::serialize(json::object{{"url", r.url},
                                      {"operations", r.operations},
                                      {"requests", r.requests},
                                      {"phases", std::move(phases)},
                                      {"findings", std::move(findings)},
                                      {"warnings", json::value_from(r.warnings)},
                                      {"not_tried", json::value_from(r.not_tried)}}) +
         "\n";
}

std::string to_text(const Report& r) {
  std::string out = fmt::format("{}: {} operations\n\n", r.url, r.operations);
  out += fmt::format("{:<14}{:>10}{:>10}\n", "phase", "requests", "findings");
  for (const auto& p : r.phases)
    out += fmt::format("{:<14}{:>10}{:>10}\n", p.name, p.requests, p.findings);
  for (std::size_t i = 0; i < r.findings.size(); ++i) {
    const auto& f = r.findings[i];
    out += fmt::format("\n{}. {}: {} ({})\n   {}\n   expected {}\n   got      {}\n", i + 1, f.kind,
                       f.attack, f.operation, f.request, f.expected, f.got);
  }
  if (!r.warnings.empty()) out += "\n";
  for (const auto& w : r.warnings) out += "warning: " + w + "\n";
  for (const auto& n : r.not_tried) out += "not tried: " + n + "\n";
  out += fmt::format("\n{} requests, {} findings\n", r.requests, r.findings.size());
  return out;
}

}  // namespace coditect::attack
