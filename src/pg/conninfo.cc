#include "pg/conninfo.h"

#include <libpq-fe.h>

#include <memory>

#include "base/error.h"

namespace coditect::pg {
namespace {

struct Free {
  void operator()(PQconninfoOption* o) const { PQconninfoFree(o); }
};
using Options = std::unique_ptr<PQconninfoOption, Free>;

Options parse(const std::string& conninfo) {
  char* problem = nullptr;
  Options options(PQconninfoParse(conninfo.c_str(), &problem));
  if (!options) {
    const std::string text = problem != nullptr ? problem : "malformed";
    PQfreemem(problem);
    fail(Code::invalid_argument, "invalid_database_url", text);
  }
  return options;
}

std::string quoted(const std::string& value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

}  // namespace

std::string with_options(const std::string& conninfo,
                         const std::map<std::string, std::string>& replaced) {
  const auto options = parse(conninfo);
  std::string out;
  for (const auto* o = options.get(); o->keyword != nullptr; ++o) {
    const auto it = replaced.find(o->keyword);
    const std::string value = it != replaced.end() ? it->second : o->val != nullptr ? o->val : "";
    if (!value.empty())
      out += std::string(out.empty() ? "" : " ") + o->keyword + "=" + quoted(value);
  }
  return out;
}

std::string option_of(const std::string& conninfo, const std::string& name) {
  const auto options = parse(conninfo);
  for (const auto* o = options.get(); o->keyword != nullptr; ++o)
    if (name == o->keyword) return o->val != nullptr ? o->val : "";
  return {};
}

}  // namespace coditect::pg
