// refused: tenant_table_without_its_own_tenant_id_filter
#include "tenancy/statement.h"
using namespace coditect;
inline constexpr tenancy::TenantStatement<std::string> kAll{
    "x", "SELECT title FROM tasks WHERE tenant_id = $12"};
