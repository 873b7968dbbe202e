#pragma once
#include <array>
#include <span>
#include <string_view>

/// Every table, once. The statement check reads this while compiling; `coditect migrate verify` and
/// a database test compare it with the live catalog.
namespace coditect::schema {

enum class Kind {
  tenant,     ///< key (tenant_id, ...), row-level security; in the cells
  reference,  ///< small, rarely written, on every node; in the cells
  global,     ///< in the directory database only
};

/// How a purged tenant's rows go.
enum class Removal {
  purge,    ///< by the purge
  expires,  ///< by themselves, before the grace of a deleted tenant ends
};

struct Table {
  std::string_view name;
  Kind kind;
  Removal removal = Removal::purge;
};

template <std::size_t N, std::size_t M>
constexpr std::array<Table, N + M> join(const std::array<Table, N>& a,
                                        const std::array<Table, M>& b) {
  std::array<Table, N + M> out{};
  for (std::size_t i = 0; i < N; ++i) out[i] = a[i];
  for (std::size_t i = 0; i < M; ++i) out[N + i] = b[i];
  return out;
}

/// The platform's own tables, parents before the children that reference them. An application makes
/// a registry of its own with
///   struct MyTables { static constexpr auto tables = schema::join(schema::CoreTables::tables,
///   ...); };
/// and gives that type to its statements: the same checks hold for its tables.
struct CoreTables {
  static constexpr std::array tables = {
      // cell
      Table{"tenant_state", Kind::tenant},
      Table{"members", Kind::tenant},
      Table{"api_keys", Kind::tenant},
      Table{"activity", Kind::tenant},
      Table{"idempotency_records", Kind::tenant, Removal::expires},
      Table{"projects", Kind::tenant},
      Table{"tasks", Kind::tenant},
      Table{"task_labels", Kind::tenant},
      Table{"task_terms", Kind::tenant},
      Table{"comments", Kind::tenant},
      // new tables of tenants above this line
      // directory
      Table{"users", Kind::global},
      Table{"tenants", Kind::global},
      Table{"user_tenants", Kind::global},
      Table{"sessions", Kind::global},
      Table{"request_records", Kind::global},
      Table{"operators", Kind::global},
      Table{"operator_log", Kind::global},
      Table{"leases", Kind::global},
      Table{"imports", Kind::global},
  };
};

}  // namespace coditect::schema
