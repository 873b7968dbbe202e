// refused: table_is_not_registered
#include "tenancy/statement.h"
using namespace coditect;
inline constexpr tenancy::TenantStatement<std::string> kAll{
    "x", "SELECT title FROM invoices WHERE tenant_id = $1"};
