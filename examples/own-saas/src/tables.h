#pragma once
#include "schema/tables.h"
#include "tenancy/statement.h"

namespace own_saas {

using coditect::schema::Kind;
using coditect::schema::Table;

/// Every table of the program: the platform's, then those of this product, parents first.
struct Registry {
  static constexpr auto tables =
      coditect::schema::join(coditect::schema::CoreTables::tables,
                             std::to_array<Table>({
                                 Table{"customers", Kind::tenant}, Table{"invoices", Kind::tenant},
                                 // new tables of tenants above this line
                             }));
};

/// A statement on tenants' tables, checked against this registry while compiling.
template <class Row, class... Args>
using TenantStatement =
    coditect::tenancy::BasicStatement<coditect::tenancy::Door::tenant, Registry, Row, Args...>;

}  // namespace own_saas
