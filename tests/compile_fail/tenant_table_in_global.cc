// refused: tenant_table_named_in_a_statement_that_has_no_tenant
#include "tenancy/statement.h"
using namespace coditect;
inline constexpr tenancy::GlobalStatement<std::string> kAll{"x",
                                                            "SELECT u.email FROM users u, Tasks"};
