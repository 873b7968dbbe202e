#pragma once
#include <functional>

#include "tenancy/directory.h"
#include "tenancy/purge.h"

namespace coditect::tenancy {

/// Changes a tenant's state in the directory and its cell. No transaction spans the two: the
/// directory says first what shall be, with a new epoch, then the cell follows and the directory
/// notes that it did. What a crash leaves between is finished by settle().
class Lifecycle {
 public:
  /// Both pools are coditect_operator's.
  Lifecycle(pg::Pool& directory, pg::Pool& cell, Directory& cache)
      : directory_(directory), cell_(cell), cache_(cache) {}

  /// The record after the change; nullopt when the tenant is not in one of the `from` states.
  /// Returns when the cell's fence is set: no write of the tenant commits afterwards.
  Async<std::optional<TenantRecord>> change(std::int64_t tenant, std::vector<TenantState> from,
                                            TenantState to, std::string reason, Deadline deadline);

  /// Finishes changes that were left half done; the number finished.
  Async<int> settle(Deadline deadline);

  /// Removes all rows of tenants deleted longer ago than the grace; the number of tenants. `cell`
  /// and `directory` are coditect_maintenance's.
  /// `rows` are what to remove, children before parents; `may_purge` is asked once when somebody is
  /// due, and nobody is purged when it says no.
  static Async<int> purge(pg::Pool& directory, pg::Pool& cell, pg::Pool& cell_operator,
                          std::span<const PurgeStatement> rows,
                          const std::function<Async<bool>()>& may_purge, Deadline deadline);

 private:
  static Async<bool> purge_one(pg::Pool& directory, pg::Pool& cell, pg::Pool& cell_operator,
                               const TenantRecord& record, std::span<const PurgeStatement> rows,
                               Deadline deadline);
  Async<> apply(const TenantRecord& record, Deadline deadline);

  pg::Pool& directory_;
  pg::Pool& cell_;
  Directory& cache_;
};

/// How long a deleted tenant can be brought back.
inline constexpr std::chrono::hours kPurgeGrace{30 * 24};

/// A lease in the directory (coditect_maintenance's pool): true while this holder has it.
Async<bool> take_lease(pg::Pool& directory, std::string name, std::string holder,
                       std::chrono::seconds lasting, Deadline deadline);

}  // namespace coditect::tenancy
