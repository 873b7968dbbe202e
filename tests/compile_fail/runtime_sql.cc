// refused: is not a constant expression
#include "tenancy/statement.h"
using namespace coditect;
auto make(const std::string& sql) {
  return tenancy::TenantStatement<std::string>{"x", sql.c_str()};
}
