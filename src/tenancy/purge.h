#pragma once
#include <algorithm>
#include <array>
#include <string_view>

#include "tenancy/statement.h"

namespace coditect::tenancy {

/// The removal of one table's rows of one tenant, checked while compiling like every statement.
struct PurgeStatement {
  std::string_view name;
  const char* sql;

  template <class Registry>
  consteval PurgeStatement(
      const BasicStatement<Door::operators, Registry, pg::NoRow, std::int64_t>& st)
      : name(st.name), sql(st.sql) {}
};

namespace detail {

template <class Registry, std::size_t I>
struct PurgeOf {
  static constexpr std::string_view table = Registry::tables[I].name;
  template <std::size_t N>
  static constexpr auto text(std::string_view before, std::string_view after) {
    std::array<char, N + 1> out{};
    auto at = std::ranges::copy(before, out.begin()).out;
    at = std::ranges::copy(table, at).out;
    std::ranges::copy(after, at);
    return out;
  }
  static constexpr std::string_view kPurge = "purge.", kDelete = "DELETE FROM ",
                                    kOf = " WHERE tenant_id = $1";
  static constexpr auto name = text<kPurge.size() + table.size()>(kPurge, "");
  static constexpr auto sql = text<kDelete.size() + table.size() + kOf.size()>(kDelete, kOf);
  static constexpr BasicStatement<Door::operators, Registry, pg::NoRow, std::int64_t> statement{
      {name.data(), name.size() - 1}, sql.data()};
};

constexpr bool is_purged(const schema::Table& t) {
  return t.kind == schema::Kind::tenant && t.removal == schema::Removal::purge;
}

/// Where the purged tables are in the registry, the last first.
template <class Registry>
constexpr auto purged() {
  std::array<std::size_t,
             static_cast<std::size_t>(std::ranges::count_if(Registry::tables, is_purged))>
      out{};
  std::size_t n = 0;
  for (std::size_t i = Registry::tables.size(); i-- > 0;)
    if (is_purged(Registry::tables[i])) out[n++] = i;
  return out;
}

}  // namespace detail

/// One statement for each tenant table of the registry, from its end to its beginning: children
/// before parents.
template <class Registry>
inline constexpr auto kPurgeStatements = []<std::size_t... N>(std::index_sequence<N...>) {
  constexpr auto at = detail::purged<Registry>();
  return std::array{PurgeStatement(detail::PurgeOf<Registry, at[N]>::statement)...};
}(std::make_index_sequence<detail::purged<Registry>().size()>());

}  // namespace coditect::tenancy
