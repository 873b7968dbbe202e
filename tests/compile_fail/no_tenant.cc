// refused: no matching constructor
#include "domain/projects/queries.h"
#include "tenancy/db.h"
using namespace coditect;
Async<> f(pg::Pool& pool, Deadline d) {
  TenantDb db(pool, d);
  co_await db.all(projects::kList, projects::ProjectId(), 1);
}
