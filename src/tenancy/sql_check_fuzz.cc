// The statement check gives a verdict on any text, and never lets one pass that names a tenant
// table without the tenant.
#include "schema/tables.h"
#include "tenancy/sql_check.h"
#include "testing/fuzz.h"

using namespace coditect;
using tenancy::SqlVerdict;

FUZZ_TARGET {
  if (input.size() > 2000) return;
  for (const auto door : {tenancy::Door::tenant, tenancy::Door::global, tenancy::Door::operators}) {
    const auto verdict = tenancy::check_sql(input, schema::CoreTables::tables, door, 2);
    if (door == tenancy::Door::tenant && verdict == SqlVerdict::ok) CHECK(input.contains("$1"));
  }
}
