// refused: no matching constructor
#include "tenancy/db.h"
using namespace coditect;
TenantDb make(pg::Pool& pool, Deadline d) { return TenantDb(pool, std::int64_t{7}, d); }
