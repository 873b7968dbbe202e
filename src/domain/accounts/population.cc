#include "domain/accounts/population.h"

#include "tenancy/db.h"

namespace coditect::accounts {
namespace {

using tenancy::GlobalStatement;

struct StateCount {
  std::string state;
  std::int64_t tenants;
};
BOOST_DESCRIBE_STRUCT(StateCount, (), (state, tenants))

constexpr GlobalStatement<StateCount> kTenants{
    "accounts.count_tenants", "SELECT t.state, count(*) FROM tenants t GROUP BY t.state"};
constexpr GlobalStatement<std::int64_t> kUsers{"accounts.count_users",
                                               "SELECT count(*) FROM users u"};

}  // namespace

Population::Population(obs::Metrics& metrics) : users_(metrics.gauge("coditect_users", "Users")) {
  for (const char* state : {"provisioning", "active", "suspended", "deleted", "purging", "purged"})
    tenants_[state] = &metrics.gauge("coditect_tenants", "Tenants by state", {{"state", state}});
}

Async<int> Population::count(pg::Pool& directory, Deadline deadline) {
  const GlobalDb db(directory, deadline);
  const auto counts = co_await db.all(kTenants);
  for (auto& [state, gauge] : tenants_) gauge->Set(0);
  for (const auto& c : counts) tenants_.at(c.state)->Set(static_cast<double>(c.tenants));
  const auto users = co_await db.maybe_one(kUsers);
  users_.Set(static_cast<double>(users.value_or(0)));
  co_return 0;
}

}  // namespace coditect::accounts
