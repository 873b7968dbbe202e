// refused: tenant_table_without_its_own_tenant_id_filter
#include "tenancy/statement.h"
using namespace coditect;
inline constexpr tenancy::TenantStatement<std::string> kAll{
    "x",
    "SELECT t.title FROM tasks t JOIN projects p ON p.id = t.project_id WHERE t.tenant_id = $1"};
