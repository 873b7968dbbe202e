// refused: no matching member function
#include "domain/projects/queries.h"
#include "domain/tasks/model.h"
#include "tenancy/db.h"
using namespace coditect;
Async<> f(TenantDb db) { co_await db.maybe_one(projects::kGet, tasks::TaskId()); }
