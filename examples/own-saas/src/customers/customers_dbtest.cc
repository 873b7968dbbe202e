// The slice's statements with two tenants whose rows are alike, each wall alone.
#include "customers/queries.h"
#include "tenancy/db.h"
#include "testing/two_tenants.h"

namespace own_saas::customers {
namespace {

using coditect::testing::Databases;
using coditect::testing::kAcme;
using coditect::testing::kGlobex;
using namespace std::chrono_literals;

class CustomersTest : public coditect::testing::TwoTenantsTest {
 protected:
  static constexpr int kRows = 5;

  void SetUp() override {
    TwoTenantsTest::SetUp();
    for (const auto tenant : {kAcme, kGlobex})
      for (int n = 0; n < kRows; ++n) admin_->execute(row(tenant, "'" + id(tenant, n) + "'"));
  }

  static std::string id(std::int64_t tenant, int n) { return uuid(tenant, 20, n); }
  static std::string row(std::int64_t tenant, const std::string& id_of_row) {
    return "INSERT INTO customers (tenant_id, id, name, email, active, created_at, updated_at) "
           "VALUES (" +
           std::to_string(tenant) + ", " + id_of_row + ", 'secret', 'secret', true, now(), now())";
  }
  static CustomerId known(std::int64_t tenant, int n) {
    return CustomerId(*parse_uuid(id(tenant, n)));
  }
};

TEST_F(CustomersTest, StatementsFilterByTheirOwnTenantWithoutRowLevelSecurity) {
  pg::Pool pool(loop_, pool_settings(Databases::get().cell_as_administrator()), metrics_, "t");
  for (const auto tenant : {kAcme, kGlobex}) {
    const auto other = tenant == kAcme ? kGlobex : kAcme;
    const TenantDb db(pool, coditect::testing::tenant(tenant), after(5s));
    EXPECT_EQ(run(db.all(kList, CustomerId(), 100)).size(), static_cast<std::size_t>(kRows));
    EXPECT_TRUE(run(db.maybe_one(kGet, known(tenant, 0))));
    EXPECT_FALSE(run(db.maybe_one(kGet, known(other, 0))));
  }
  run(pool.stop());
}

Async<std::int64_t> change(const TenantDb& db, CustomerId id) {
  auto tx = db.begin();
  const Customer row{};
  const auto changed = co_await tx.execute(kUpdate, id, row.name, row.email, row.active, now(),
                                           std::optional<Timestamp>());
  co_await tx.commit();
  co_return changed;
}

TEST_F(CustomersTest, AChangeOfAnotherTenantsRowChangesNothing) {
  for (const auto& conninfo :
       {Databases::get().cell_as_administrator(), Databases::get().cell_as("coditect_app")}) {
    pg::Pool pool(loop_, pool_settings(conninfo), metrics_, "t");
    const TenantDb db(pool, coditect::testing::tenant(kAcme), after(5s));
    EXPECT_EQ(run(change(db, known(kGlobex, 1))), 0);
    EXPECT_EQ(run(change(db, known(kAcme, 1))), 1);
    run(pool.stop());
  }
  EXPECT_EQ(
      admin_->query("SELECT count(*) FROM customers WHERE tenant_id = 2 AND version > 1")[0][0],
      "0");
}

TEST_F(CustomersTest, RowLevelSecurityAloneKeepsTenantsApart) {
  auto db = as_app();
  EXPECT_EQ(db.try_execute("SELECT * FROM customers"), "42704");  // no tenant, no answer
  db.execute("BEGIN; SET LOCAL app.tenant_id = '1'");
  EXPECT_EQ(db.query("SELECT count(*), min(tenant_id), max(tenant_id) FROM customers")[0],
            (schema::Direct::Row{std::to_string(kRows), "1", "1"}));
  EXPECT_EQ(db.try_execute(row(kGlobex, "gen_random_uuid()")), "42501");
  db.execute("ROLLBACK");
}

TEST_F(CustomersTest, TheListWalksAnIndex) {
  admin_->execute(
      "INSERT INTO customers (tenant_id, id, name, email, active, created_at, updated_at) SELECT "
      "1, "
      "gen_random_uuid(), 'secret', 'secret', true, now(), now() FROM generate_series(1, 20000); "
      "ANALYZE "
      "customers");
  auto db = as_app();
  db.execute("SET plan_cache_mode = force_generic_plan; PREPARE s (bigint, uuid, int) AS " +
             std::string(kList.sql));
  db.execute("BEGIN; SET LOCAL app.tenant_id = '1'");
  std::string plan;
  for (const auto& line :
       db.query("EXPLAIN EXECUTE s (1, '00000000-0000-0000-0000-000000000000', 51)"))
    plan += *line[0] + "\n";
  EXPECT_FALSE(plan.contains("Seq Scan")) << plan;
  db.execute("ROLLBACK");
}

TEST(CustomerRequests, AreReadAndTheirBrokenRulesNamed) {
  EXPECT_NO_THROW(
      http::read_json<CreateCustomer>(R"({"name": "secret", "email": "secret", "active": true})"));
  EXPECT_THROW(http::read_json<CreateCustomer>(R"({"no_such_member": 1})"), Failure);
  EXPECT_THROW(http::read_json<CreateCustomer>("{}"), Failure);
  EXPECT_FALSE(http::read_json<PatchCustomer>("{}").name.present());
}

}  // namespace
}  // namespace own_saas::customers
