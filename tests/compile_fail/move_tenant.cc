// refused: tenant_id_is_never_updated
#include "tenancy/statement.h"
using namespace coditect;
inline constexpr tenancy::TenantStatement<std::string, std::int64_t> kMove{
    "x", "UPDATE tasks SET tenant_id = $2 WHERE tenant_id = $1"};
