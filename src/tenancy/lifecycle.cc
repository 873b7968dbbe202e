#include "tenancy/lifecycle.h"

#include "obs/log.h"

namespace coditect::tenancy {
namespace {

constexpr GlobalStatement<TenantRecord, std::int64_t, std::vector<std::string>, TenantState,
                          std::string, std::optional<Timestamp>, std::optional<Timestamp>>
    kChange{"lifecycle.change",
            "UPDATE tenants SET state = $3, epoch = epoch + 1, version = version + 1, state_reason "
            "= $4, updated_at = now(), deleted_at = $5, purge_after = $6 "
            "WHERE id = $1 AND state = ANY ($2) RETURNING id, public_id, slug, cell, state, epoch"};
constexpr GlobalStatement<pg::NoRow, std::string, std::string> kNotify{"lifecycle.notify",
                                                                       "SELECT pg_notify($1, $2)"};
constexpr GlobalStatement<pg::NoRow, std::int64_t, std::int64_t> kSettled{
    "lifecycle.settled", "UPDATE tenants SET cell_epoch = greatest(cell_epoch, $2) WHERE id = $1"};
constexpr GlobalStatement<TenantRecord> kUnsettled{
    "lifecycle.unsettled",
    "SELECT id, public_id, slug, cell, state, epoch FROM tenants WHERE cell_epoch <> epoch AND "
    "state IN ('active', 'suspended', 'deleted') "
    "ORDER BY updated_at LIMIT 100"};
constexpr OperatorStatement<pg::NoRow, std::int64_t, TenantState, std::int64_t> kFence{
    "lifecycle.fence",
    "UPDATE tenant_state AS s SET state = $2, epoch = $3 WHERE s.tenant_id = $1 AND s.epoch < $3 "
    "AND s.state <> 'purging'"};

constexpr GlobalStatement<TenantRecord> kPurgeable{
    "lifecycle.purgeable",
    "SELECT id, public_id, slug, cell, state, epoch FROM tenants WHERE state = 'purging' OR "
    "(state = 'deleted' AND purge_after < now()) ORDER BY purge_after LIMIT 20"};
// The point of no return: an undelete comes before it, or is refused.
constexpr GlobalStatement<std::int64_t, std::int64_t> kStartPurge{
    "lifecycle.start_purge",
    "UPDATE tenants SET state = 'purging', epoch = epoch + 1, updated_at = now() WHERE id = $1 AND "
    "(state = 'purging' OR (state = 'deleted' AND purge_after < now())) RETURNING epoch"};
constexpr GlobalStatement<pg::NoRow, std::int64_t> kPurged{
    "lifecycle.purged",
    "UPDATE tenants SET state = 'purged', epoch = epoch + 1, cell_epoch = epoch + 1, name = '', "
    "state_reason = '', updated_at = now() WHERE id = $1 AND state = 'purging'"};
constexpr GlobalStatement<pg::NoRow, std::int64_t> kForgetUsers{
    "lifecycle.forget_users", "DELETE FROM user_tenants WHERE tenant_id = $1"};
constexpr OperatorStatement<pg::NoRow, std::int64_t, std::int64_t> kPurging{
    "lifecycle.purging",
    "UPDATE tenant_state AS s SET state = 'purging', epoch = $2 WHERE s.tenant_id = $1"};

constexpr GlobalStatement<std::string, std::string, std::string, Timestamp> kTakeLease{
    "lease.take",
    "INSERT INTO leases AS l (name, holder, expires_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO "
    "UPDATE SET holder = excluded.holder, "
    "expires_at = excluded.expires_at WHERE l.holder = excluded.holder OR l.expires_at < now() "
    "RETURNING holder"};

std::string name_of(TenantState s) { return boost::describe::enum_to_string(s, ""); }

}  // namespace

Async<std::optional<TenantRecord>> Lifecycle::change(std::int64_t tenant,
                                                     std::vector<TenantState> from, TenantState to,
                                                     std::string reason, Deadline deadline) {
  std::vector<std::string> names;
  for (const auto s : from) names.push_back(name_of(s));
  std::optional<Timestamp> deleted, purge;
  if (to == TenantState::deleted) {
    deleted = now();
    purge = now() + kPurgeGrace;
  }
  if (to == TenantState::active) reason.clear();  // it told of a state that is over
  auto tx = GlobalDb(directory_, deadline).begin();
  auto record = co_await tx.maybe_one(kChange, tenant, names, to, reason, deleted, purge);
  if (!record) co_return std::nullopt;
  tx.defer(kNotify, std::string(kTenantChannel), change_payload(*record));
  co_await tx.commit();
  co_await apply(*record, deadline);
  co_return record;
}

Async<> Lifecycle::apply(const TenantRecord& record, Deadline deadline) {
  auto cell = OperatorDb(cell_, deadline).begin();
  cell.defer(kFence, record.id, record.state, record.epoch);
  co_await cell.commit();
  auto directory = GlobalDb(directory_, deadline).begin();
  directory.defer(kSettled, record.id, record.epoch);
  co_await directory.commit();
  co_await cache_.announce(record);
}

Async<int> Lifecycle::settle(Deadline deadline) {
  const auto left = co_await GlobalDb(directory_, deadline).all(kUnsettled);
  for (const auto& record : left) {
    co_await apply(record, deadline);
    obs::log(obs::Level::info, "finished a change of state",
             {{"tenant", record.slug}, {"state", name_of(record.state)}});
  }
  co_return static_cast<int>(left.size());
}

Async<bool> Lifecycle::purge_one(pg::Pool& directory, pg::Pool& cell, pg::Pool& cell_operator,
                                 const TenantRecord& record, std::span<const PurgeStatement> rows,
                                 Deadline deadline) {
  auto start = GlobalDb(directory, deadline).begin();
  const auto epoch = co_await start.maybe_one(kStartPurge, record.id);
  co_await start.commit();
  if (!epoch) co_return false;  // brought back meanwhile
  auto fence = OperatorDb(cell_operator, deadline).begin();
  fence.defer(kPurging, record.id, *epoch);
  co_await fence.commit();
  auto tx = OperatorDb(cell, deadline).begin();
  tx.set_purged_tenant(record.id);
  for (const auto& st : rows) tx.purge(st, record.id);
  co_await tx.commit();
  auto done = GlobalDb(directory, deadline).begin();
  done.defer(kForgetUsers, record.id);
  done.defer(kPurged, record.id);
  co_await done.commit();
  obs::log(obs::Level::info, "purged a tenant after its grace", {{"tenant", record.slug}});
  co_return true;
}

Async<int> Lifecycle::purge(pg::Pool& directory, pg::Pool& cell, pg::Pool& cell_operator,
                            std::span<const PurgeStatement> rows,
                            const std::function<Async<bool>()>& may_purge, Deadline deadline) {
  const auto due = co_await GlobalDb(directory, deadline).all(kPurgeable);
  if (due.empty() || !co_await may_purge()) co_return 0;
  int purged = 0;
  for (const auto& record : due) {
    try {
      purged += co_await purge_one(directory, cell, cell_operator, record, rows, deadline);
    } catch (const Failure& f) {  // one tenant's trouble must not keep the others
      obs::log(obs::Level::error, "cannot purge a tenant",
               {{"tenant", record.slug}, {"error", f.what()}});
    }
  }
  co_return purged;
}

Async<bool> take_lease(pg::Pool& directory, std::string name, std::string holder,
                       std::chrono::seconds lasting, Deadline deadline) {
  auto tx = GlobalDb(directory, deadline).begin();
  const auto got = co_await tx.maybe_one(kTakeLease, name, holder, now() + lasting);
  co_await tx.commit();
  co_return got.has_value();
}

}  // namespace coditect::tenancy
