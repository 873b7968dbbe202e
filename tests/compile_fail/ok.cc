// compiles
#include "domain/projects/queries.h"
#include "schema/tables.h"
#include "tenancy/db.h"

using namespace coditect;

inline constexpr tenancy::TenantStatement<std::string> kJoin{
    "x.join",
    "SELECT t.title FROM tasks t JOIN projects p ON p.tenant_id = $1 AND p.id = t.project_id WHERE "
    "t.tenant_id = $1"};
inline constexpr tenancy::GlobalStatement<std::string> kUsers{"x.users", "SELECT email FROM users"};

// An application's own tables get the same checks.
struct MyTables {
  static constexpr auto tables = schema::join(
      schema::CoreTables::tables, std::array{schema::Table{"invoices", schema::Kind::tenant}});
};
inline constexpr tenancy::BasicStatement<tenancy::Door::tenant, MyTables, std::string> kInvoices{
    "x.invoices", "SELECT number FROM invoices WHERE tenant_id = $1"};

Async<> use(TenantDb db) {
  co_await db.all(kJoin);
  co_await db.all(kInvoices);
  co_await db.maybe_one(projects::kGet, projects::ProjectId());
}
