#include "tenancy/db.h"

namespace coditect::tenancy {
namespace {

/// The fence: every write holds its tenant's state row, so suspension, deletion and moves wait for
/// running writes and stop new ones at once. Divides by zero unless the tenant is active.
constexpr TenantStatement<std::int32_t> kFence{
    "tenancy.fence",
    "SELECT 1 / count(x.state)::int FROM (SELECT s.state FROM tenant_state s WHERE s.tenant_id = "
    "$1 AND s.state = 'active' FOR SHARE) AS x"};
constexpr TenantStatement<std::string> kState{
    "tenancy.state", "SELECT s.state FROM tenant_state s WHERE s.tenant_id = $1"};

/// SET takes no parameters: the number's text is safe. set_config() would not reach Citus workers.
pg::Command set_tenant(std::int64_t id) {
  return {{}, "SET LOCAL app.tenant_id = '" + std::to_string(id) + "'", {}};
}

}  // namespace

template <Door D>
std::vector<pg::Command> Db<D>::prelude() const {
  std::vector<pg::Command> commands;
  if (tenant_) commands.push_back(set_tenant(*tenant_));
  return commands;
}

template <Door D>
Async<pg::Result> Db<D>::read(pg::Command command) const {
  std::vector<pg::Command> commands;
  const bool accompanied = companion_ != nullptr && !companion_->done();
  if (accompanied) commands.push_back(companion_->command());
  commands.push_back(std::move(command));
  const obs::DatabaseSpan span(tracer_, "postgresql", commands.back().name);
  auto results = co_await pg::read(*pool_, deadline_, prelude(), std::move(commands));
  if (accompanied) companion_->inspect(results.front());
  co_return std::move(results.back());
}

template <Door D>
Async<> Db<D>::accompany() const {
  if (companion_ == nullptr || companion_->done()) co_return;
  auto command = companion_->command();
  const obs::DatabaseSpan span(tracer_, "postgresql", command.name);
  const auto result = co_await pg::read(*pool_, deadline_, prelude(), std::move(command));
  companion_->inspect(result);
}

/// After a fence that refused: the credential's failing first, then the tenant's.
template <Door D>
Async<> Db<D>::explain_refusal() const {
  if constexpr (D == Door::tenant) {
    co_await accompany();
    const auto state = co_await maybe_one(kState);
    if (!state) fail(Code::not_found, "tenant_not_found");
    if (*state == "suspended")
      fail(Code::permission_denied, "tenant_suspended", "the organization is suspended");
    if (*state != "active")
      fail(Code::permission_denied, "tenant_deleted", "the organization is deleted");
  }
}

template <Door D>
Tx<D> Db<D>::begin(Fence fence) const {
  auto commands = prelude();
  pg::Transaction::Guard guard;
  if (D == Door::tenant && fence == Fence::fenced) {
    if (companion_ != nullptr && !companion_->done()) {
      commands.push_back(companion_->fence());
      guard.passed = [c = companion_](const std::vector<pg::Result>& results) {
        c->passed(results.back());
      };
    } else {
      commands.push_back(detail::command(kFence, tenant()));
    }
    guard.refused = [db = *this] { return db.explain_refusal(); };
  }
  return Tx<D>(pg::Transaction(*pool_, deadline_, std::move(commands), std::move(guard)), tenant_,
               tracer_);
}

template class Db<Door::tenant>;
template class Db<Door::global>;
template class Db<Door::operators>;

}  // namespace coditect::tenancy
