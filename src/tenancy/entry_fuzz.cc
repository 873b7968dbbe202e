// A tenant's record as Redis and the directory's channel give it.
#include "tenancy/directory.h"
#include "testing/fuzz.h"

using namespace coditect;

FUZZ_TARGET {
  if (const auto record = tenancy::from_entry(input)) {
    const auto text = tenancy::change_payload(*record);
    const auto again = tenancy::from_entry(text);
    CHECK(again && tenancy::change_payload(*again) == text);
  }
}
