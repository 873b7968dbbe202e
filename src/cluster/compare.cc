#include "cluster/compare.h"

#include <fmt/format.h>

namespace coditect::cluster {

bool is_short(const Tally& t) { return t.source && t.target < *t.source; }

std::string losses(const std::vector<Tally>& tallies) {
  std::string out;
  for (const auto& t : tallies)
    if (is_short(t) && *t.source - t.target > t.deleted)
      out += fmt::format("{}{}: {} rows of {}, and {} were deleted since", out.empty() ? "" : ", ",
                         t.table, t.target, *t.source, t.deleted);
  return out;
}

}  // namespace coditect::cluster
