// refused: no matching member function
#include "domain/projects/queries.h"
#include "tenancy/db.h"
using namespace coditect;
Async<> f(GlobalDb db) { co_await db.all(projects::kList, projects::ProjectId(), 1); }
