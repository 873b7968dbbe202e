#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/mutant.h"
#include "obs/trace.h"
#include "pg/transaction.h"
#include "tenancy/cell.h"
#include "tenancy/purge.h"
#include "tenancy/statement.h"
#include "tenancy/tenant.h"

/// The doors to the tables. Each opens for its own kind of statement only:
///   TenantDb   a tenant's rows in its cell; built from a Tenant; every statement gets it as $1
///   GlobalDb   the directory
///   OperatorDb a cell across tenants, by a database role of its own; audited work only
namespace coditect::tenancy {

namespace detail {

template <Door D, class Registry, class Row, class... Args, class... Given>
pg::Command command(const BasicStatement<D, Registry, Row, Args...>& st, const std::int64_t* tenant,
                    const Given&... given) {
  pg::Params params;
  if (tenant != nullptr) params.add(*tenant);
  (params.add(given), ...);
  const auto [name, sql] =
      D == Door::tenant ? mutated(st.name, st.sql) : std::pair(st.name, st.sql);
  return {name, sql, std::move(params)};
}

inline std::int64_t affected(const pg::Result& r) {
  const char* text = PQcmdTuples(r.get());
  return *text == '\0' ? 0 : std::atoll(text);
}

/// More than one row means that a statement's filter does not hold what it should: nobody gets any.
template <class Row>
std::optional<Row> at_most_one(const pg::Result& r) {
  if (PQntuples(r.get()) == 0) return std::nullopt;
  if (PQntuples(r.get()) > 1) fail(Code::internal, "more_than_one_row");
  return pg::decode_row<Row>(r.get(), 0);
}

}  // namespace detail

/// A statement that travels with the first one that a TenantDb sends, in the same flush and before
/// it, and whose result is looked at first: what it throws is the outcome of both.
class Companion {
 public:
  virtual ~Companion() = default;
  virtual pg::Command command() const = 0;
  /// The same as the guard of a transaction that writes: it also locks the tenant's state row FOR
  /// SHARE, and fails (pg::Transaction::Guard) where inspect() would throw.
  virtual pg::Command fence() const = 0;
  /// The result of command().
  virtual void inspect(const pg::Result& result) = 0;
  /// The result of a fence() that let pass. It must not refuse any more: COMMIT may have been sent
  /// with it.
  virtual void passed(const pg::Result& result) = 0;
  /// Whether it need not travel any more.
  virtual bool done() const = 0;
};

/// A transaction: explicit commit, rolled back otherwise. See pg::Transaction for when things are
/// sent.
template <Door D>
class Tx {
 public:
  Tx(pg::Transaction tx, std::optional<std::int64_t> tenant, const obs::Tracer& tracer)
      : tx_(std::move(tx)), tenant_(tenant), tracer_(tracer) {}

  template <class Registry, class Row, class... Args>
  Async<std::vector<Row>> all(const BasicStatement<D, Registry, Row, Args...>& st,
                              std::type_identity_t<Args>... args) {
    const auto result = co_await run(detail::command(st, tenant(), args...));
    co_return pg::decode_rows<Row>(result.get());
  }
  template <class Registry, class Row, class... Args>
  Async<std::optional<Row>> maybe_one(const BasicStatement<D, Registry, Row, Args...>& st,
                                      std::type_identity_t<Args>... args) {
    const auto result = co_await run(detail::command(st, tenant(), args...));
    co_return detail::at_most_one<Row>(result);
  }
  /// The number of rows changed.
  template <class Registry, class Row, class... Args>
  Async<std::int64_t> execute(const BasicStatement<D, Registry, Row, Args...>& st,
                              std::type_identity_t<Args>... args) {
    const auto result = co_await run(detail::command(st, tenant(), args...));
    if (detail::affected(result) > 0 || !std::string_view(st.sql).starts_with("INSERT"))
      co_return detail::affected(result);
    // An INSERT ... SELECT that waited for the end of a shard's split looks where the rows were and
    // finds none. The second look is planned anew; elsewhere it finds what the first one found.
    const auto again = co_await run(detail::command(st, tenant(), args...));
    co_return detail::affected(again);
  }
  /// Sends the statement with the next one or with the commit; only an error of it is seen.
  template <class Registry, class Row, class... Args>
  void defer(const BasicStatement<D, Registry, Row, Args...>& st,
             std::type_identity_t<Args>... args) {
    tx_.defer(detail::command(st, tenant(), args...));
  }
  /// How long a statement waits for a lock, from here on; 0: as long as the deadline allows.
  void set_lock_timeout(std::chrono::milliseconds wait) {
    tx_.defer({{}, "SET LOCAL lock_timeout = " + std::to_string(wait.count()), {}});
  }
  /// Names the tenant whose rows coditect_maintenance may delete in this transaction.
  void set_purged_tenant(std::int64_t id)
    requires(D == Door::operators)
  {
    tx_.defer({{}, "SET LOCAL app.purge_tenant_id = '" + std::to_string(id) + "'", {}});
  }
  /// Removes rows of the tenant that set_purged_tenant() names.
  void purge(const PurgeStatement& st, std::int64_t tenant)
    requires(D == Door::operators)
  {
    tx_.defer({st.name, st.sql, pg::Params::of(tenant)});
  }
  /// Sends what waits.
  Async<> flush() { return tx_.flush(); }
  /// Sends what waits; an SQL error is a value.
  Async<std::optional<pg::SqlError>> try_flush() { return tx_.try_flush(); }

  Async<> commit() {
    const obs::DatabaseSpan span(tracer_, "postgresql", "COMMIT");
    co_await tx_.commit();
  }
  Async<> rollback() { return tx_.rollback(); }

 private:
  const std::int64_t* tenant() const { return tenant_ ? &*tenant_ : nullptr; }
  Async<pg::Result> run(pg::Command command) {
    const obs::DatabaseSpan span(tracer_, "postgresql", command.name);
    co_return co_await tx_.run(std::move(command));
  }

  pg::Transaction tx_;
  std::optional<std::int64_t> tenant_;
  obs::Tracer tracer_;
};

using TenantTx = Tx<Door::tenant>;
using GlobalTx = Tx<Door::global>;
using OperatorTx = Tx<Door::operators>;

template <Door D>
class Db {
 public:
  /// Single statements are read-only: changes need begin().
  template <class Registry, class Row, class... Args>
  Async<std::vector<Row>> all(const BasicStatement<D, Registry, Row, Args...>& st,
                              std::type_identity_t<Args>... args) const {
    const auto result = co_await read(detail::command(st, tenant(), args...));
    co_return pg::decode_rows<Row>(result.get());
  }
  template <class Registry, class Row, class... Args>
  Async<std::optional<Row>> maybe_one(const BasicStatement<D, Registry, Row, Args...>& st,
                                      std::type_identity_t<Args>... args) const {
    const auto result = co_await read(detail::command(st, tenant(), args...));
    co_return detail::at_most_one<Row>(result);
  }

  /// Sends the companion alone, if it has not been looked at yet.
  Async<> accompany() const;

  /// `unfenced`: without looking at the tenant's state row, for the transaction that makes it.
  enum class Fence { fenced, unfenced };
  Tx<D> begin(Fence fence = Fence::fenced) const;

 protected:
  Db(pg::Pool& pool, Deadline deadline, std::optional<std::int64_t> tenant,
     const obs::Tracer& tracer, Companion* companion = nullptr)
      : pool_(&pool),
        deadline_(deadline),
        tenant_(tenant),
        tracer_(tracer),
        companion_(companion) {}

 private:
  const std::int64_t* tenant() const { return tenant_ ? &*tenant_ : nullptr; }
  std::vector<pg::Command> prelude() const;
  Async<pg::Result> read(pg::Command command) const;
  Async<> explain_refusal() const;

  pg::Pool* pool_;
  Deadline deadline_;
  std::optional<std::int64_t> tenant_;
  obs::Tracer tracer_;
  Companion* companion_ = nullptr;
};

}  // namespace coditect::tenancy

namespace coditect {

class TenantDb : public tenancy::Db<tenancy::Door::tenant> {
 public:
  /// Goes where the cell has the tenant. `companion` must outlive this and all transactions begun
  /// here.
  TenantDb(tenancy::Cell& cell, Tenant tenant, Deadline deadline, const obs::Tracer& tracer = {},
           tenancy::Companion* companion = nullptr)
      : TenantDb(cell.of(tenant.id()), tenant, deadline, tracer, companion) {}
  TenantDb(pg::Pool& cell, Tenant tenant, Deadline deadline, const obs::Tracer& tracer = {},
           tenancy::Companion* companion = nullptr)
      : Db(cell, deadline, tenant.id(), tracer, companion) {}
};

class GlobalDb : public tenancy::Db<tenancy::Door::global> {
 public:
  GlobalDb(pg::Pool& directory, Deadline deadline, const obs::Tracer& tracer = {})
      : Db(directory, deadline, std::nullopt, tracer) {}
};

class OperatorDb : public tenancy::Db<tenancy::Door::operators> {
 public:
  /// The pool's role must be coditect_operator or coditect_maintenance.
  OperatorDb(pg::Pool& cell, Deadline deadline, const obs::Tracer& tracer = {})
      : Db(cell, deadline, std::nullopt, tracer) {}
};

}  // namespace coditect
