#include "tenancy/db.h"

namespace coditect::tenancy {
namespace {

/// The fence: every write holds its tenant's state row, so suspension, deletion and moves wait for
/// running writes and stop new ones at once.
constexpr TenantStatement<std::string> kLockState{
    "tenancy.lock_state", "SELECT s.state FROM tenant_state s WHERE s.tenant_id = $1 FOR SHARE"};

void require_active(const std::vector<pg::Result>& prelude) {
  const auto state = detail::at_most_one<std::string>(prelude.back());
  if (!state) fail(Code::not_found, "tenant_not_found");
  if (*state == "suspended")
    fail(Code::permission_denied, "tenant_suspended", "the organization is suspended");
  if (*state != "active")
    fail(Code::permission_denied, "tenant_deleted", "the organization is deleted");
}

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
Tx<D> Db<D>::begin(Fence fence) const {
  auto commands = prelude();
  pg::Transaction::Inspect inspect = nullptr;
  if constexpr (D != Door::tenant) {
    (void)fence;
  } else {
    if (fence == Fence::fenced) {
      commands.push_back(detail::command(kLockState, tenant()));
      inspect = require_active;
    }
  }
  return Tx<D>(pg::Transaction(*pool_, deadline_, std::move(commands), inspect), tenant_);
}

template class Db<Door::tenant>;
template class Db<Door::global>;
template class Db<Door::operators>;

}  // namespace coditect::tenancy
