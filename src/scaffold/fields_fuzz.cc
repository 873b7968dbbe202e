// The words after `coditect new slice`: whatever passes renders, and its statements pass the check.
#include "scaffold/slice.h"
#include "testing/fuzz.h"

using namespace coditect;

FUZZ_TARGET {
  const auto colon = input.find('|');
  const auto name = scaffold::parse_name(input.substr(0, colon), "");
  const auto fields = scaffold::parse_fields(colon == input.npos ? input : input.substr(colon + 1));
  if (!fields) CHECK(!fields.error().detail.empty());
  if (!fields || !name) return;
  try {
    for (const auto& file : scaffold::render_slice(*name, *fields, {}))
      CHECK(!file.text.contains("{{") || file.path.ends_with("handlers.cc"));
  } catch (const Failure& f) {  // a word that statements may not have
    CHECK(f.error().code == Code::invalid_argument);
  }
}
