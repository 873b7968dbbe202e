#pragma once
#include <string_view>

#include "pg/codec.h"
#include "tenancy/sql_check.h"

/// SQL statements as named constants, checked while compiling; see sql_check.h for the rules.
namespace coditect::tenancy {

namespace detail {

// Not constexpr on purpose: reaching one stops the compilation, and its name is the message.
template <SqlVerdict>
void this_sql_statement_is_refused();

template <SqlVerdict V>
consteval void refuse_if(SqlVerdict verdict) {
  if (verdict == V) this_sql_statement_is_refused<V>();
}

consteval void require_ok(SqlVerdict v) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (refuse_if<static_cast<SqlVerdict>(I + 1)>(v), ...);
  }(std::make_index_sequence<static_cast<std::size_t>(
        SqlVerdict::number_of_parameters_differs_from_the_arguments)>());
}

}  // namespace detail

/// A statement of one door. Its name is the prepared statement's, the metric's and the span's, and
/// must be unique: "projects.by_id".
template <Door D, class Registry, class Row, class... Args>
struct BasicStatement {
  std::string_view name;
  const char* sql;

  consteval BasicStatement(std::string_view statement_name, const char* text)
      : name(statement_name), sql(text) {
    detail::require_ok(check_sql(text, Registry::tables, D,
                                 static_cast<int>(sizeof...(Args)) + (D == Door::tenant ? 1 : 0)));
  }
};

/// Touches tenant tables. $1 is the tenant and is bound by TenantDb: the caller's arguments start
/// at $2. Every tenant table named needs its own `alias.tenant_id = $1`.
template <class Row, class... Args>
using TenantStatement = BasicStatement<Door::tenant, schema::CoreTables, Row, Args...>;

/// Touches the directory's tables only.
template <class Row, class... Args>
using GlobalStatement = BasicStatement<Door::global, schema::CoreTables, Row, Args...>;

/// Touches a cell's tables across tenants: for operators and maintenance, whose roles have policies
/// of their own.
template <class Row, class... Args>
using OperatorStatement = BasicStatement<Door::operators, schema::CoreTables, Row, Args...>;

}  // namespace coditect::tenancy
