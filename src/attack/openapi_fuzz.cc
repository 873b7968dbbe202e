// Another service's OpenAPI document.
#include "attack/openapi.h"
#include "testing/fuzz.h"

using namespace coditect;

FUZZ_TARGET {
  try {
    const attack::Examples examples{
        [](const std::string&) { return std::string("t"); },
        [](const std::string&) { return std::optional<std::string>("i"); }};
    for (const auto& operation : attack::operations_of(std::string(input))) {
      for (const auto& name : operation.path_parameters()) (void)operation.collection_of(name);
      if (operation.body) (void)examples.make("body", *operation.body);
    }
  } catch (const Failure&) {  // it is none
  }
}
