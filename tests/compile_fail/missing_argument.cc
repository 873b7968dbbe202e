// refused: number_of_parameters_differs_from_the_arguments
#include "tenancy/statement.h"
using namespace coditect;
inline constexpr tenancy::TenantStatement<std::string> kOne{
    "x", "SELECT title FROM tasks WHERE tenant_id = $1 AND id = $2"};
