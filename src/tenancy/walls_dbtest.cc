// Each wall of the isolation alone, with the others taken down. The numbers are those of the leak
// patterns in docs/ISOLATION.md.
#include "schema/verify.h"
#include "tenancy/db.h"
#include "tenancy/lifecycle.h"
#include "testing/two_tenants.h"

namespace coditect::tenancy {
namespace {

using namespace std::chrono_literals;
using testing::Databases;
using testing::kAcme;
using testing::kGlobex;

struct Named {
  Uuid id;
  std::string title;
};
BOOST_DESCRIBE_STRUCT(Named, (), (id, title))

constexpr TenantStatement<Named> kTasks{
    "walls.tasks", "SELECT t.id, t.title FROM tasks t WHERE t.tenant_id = $1 ORDER BY t.id"};
constexpr TenantStatement<Named, Uuid> kTask{
    "walls.task", "SELECT t.id, t.title FROM tasks t WHERE t.tenant_id = $1 AND t.id = $2"};
constexpr TenantStatement<pg::NoRow, Uuid, std::string> kRetitle{
    "walls.retitle", "UPDATE tasks AS t SET title = $3 WHERE t.tenant_id = $1 AND t.id = $2"};
constexpr TenantStatement<pg::NoRow, Uuid> kDrop{
    "walls.drop", "DELETE FROM comments AS c WHERE c.tenant_id = $1 AND c.task_id = $2"};
constexpr TenantStatement<pg::NoRow, Uuid, Uuid> kInsert{
    "walls.insert",
    "INSERT INTO tasks (tenant_id, id, project_id, title, status, labels, position, created_at, "
    "updated_at) VALUES ($1, $2, $3, 'new', 'todo', '{}', 1, now(), now())"};

class Walls : public testing::TwoTenantsTest {
 protected:
  /// The state an SQL text of the application's role ends in; empty when it works.
  std::string state_of(schema::Direct& db, const std::string& sql) {
    const auto state = db.try_execute(sql);
    db.try_execute("ROLLBACK");
    return state.value_or("");
  }
};

// --- Wall 2 alone: the role is above row-level security -----------------------------------------

TEST_F(Walls, Statements_FilterByTheirOwnTenantWithoutRowLevelSecurity) {
  pg::Pool pool(loop_, pool_settings(Databases::get().cell_as_administrator()), metrics_, "t");
  for (const auto tenant : {kAcme, kGlobex}) {
    const TenantDb db(pool, testing::tenant(tenant), after(5s));
    const auto rows = run(db.all(kTasks));
    EXPECT_EQ(rows.size(), static_cast<std::size_t>(kTasks_)) << tenant;
    for (const auto& row : rows) EXPECT_EQ(row.title, "secret of " + std::to_string(tenant));
    EXPECT_FALSE(run(db.maybe_one(kTask, *parse_uuid(task(3 - tenant, 0)))));
  }
  run(pool.stop());
}

Async<std::int64_t> change(const TenantDb& db, Uuid id) {
  auto tx = db.begin();
  const auto changed = co_await tx.execute(kRetitle, id, std::string("stolen"));
  const auto dropped = co_await tx.execute(kDrop, id);
  co_await tx.commit();
  co_return changed + dropped;
}

TEST_F(Walls, Pattern11_EachWriteVerbWithAForeignIdChangesNothing) {
  for (const auto& conninfo :
       {Databases::get().cell_as_administrator(), Databases::get().cell_as("coditect_app")}) {
    pg::Pool pool(loop_, pool_settings(conninfo), metrics_, "t");
    EXPECT_EQ(run(change(TenantDb(pool, testing::tenant(kAcme), after(5s)),
                         *parse_uuid(task(kGlobex, 1)))),
              0);
    run(pool.stop());
  }
  EXPECT_EQ(count("comments", kGlobex), kTasks_);
  EXPECT_EQ(admin_->query("SELECT count(*) FROM tasks WHERE title = 'stolen'")[0][0], "0");
}

// --- Wall 3 alone: keys --------------------------------------------------------------------------

TEST_F(Walls, Pattern13_ARowCannotReferToAnotherTenantsRow) {
  const auto insert = [&](std::int64_t tenant, const std::string& project_id) {
    return admin_->try_execute(
        "INSERT INTO tasks (tenant_id, id, project_id, title, status, labels, position, "
        "created_at, updated_at) VALUES (" +
        std::to_string(tenant) + ", gen_random_uuid(), '" + project_id +
        "', 'x', 'todo', '{}', 1, now(), now())");
  };
  EXPECT_EQ(insert(kAcme, project(kGlobex, 0)), "23503");
  EXPECT_EQ(insert(kAcme, project(kAcme, 0)), std::nullopt);
  EXPECT_EQ(admin_->try_execute("UPDATE tasks SET assignee_id = '" + member(kGlobex) +
                                "' WHERE tenant_id = 1"),
            "23503");
  EXPECT_EQ(admin_->try_execute("UPDATE comments SET task_id = '" + task(kGlobex, 0) +
                                "' WHERE tenant_id = 1"),
            "23503");
}

// --- Wall 4 alone: SQL without any filter, as the application's role
// ------------------------------

TEST_F(Walls, Pattern7And8And9_WhateverTheStatementOnlyOwnRowsAreSeen) {
  auto db = as_app();
  db.execute("BEGIN; SET LOCAL app.tenant_id = '1'");
  const std::pair<const char*, std::size_t> statements[] = {
      {"SELECT id FROM tasks", 12},
      {"SELECT id FROM tasks WHERE tenant_id = 2", 0},
      {"SELECT id FROM tasks WHERE tenant_id = 2 OR true", 12},
      {"SELECT t.id FROM tasks t, comments c WHERE c.task_id = t.id", 12},
      {"SELECT id FROM tasks UNION ALL SELECT id FROM comments", 24},
      {"WITH x AS (SELECT * FROM projects) SELECT id FROM x", 3},
      {"SELECT id FROM projects p WHERE EXISTS (SELECT 1 FROM tasks t WHERE t.project_id = p.id)",
       3},
      {"SELECT p.id FROM projects p LEFT JOIN tasks t ON true", 36},
      {"SELECT task_id FROM task_labels WHERE label = 'red'", 12},
      {"SELECT task_id FROM task_terms", 12},
      {"SELECT id FROM members", 1},
      {"SELECT id FROM api_keys", 1},
      {"SELECT id FROM activity", 1},
      {"SELECT tenant_id FROM tenant_state", 1}};
  for (const auto& [sql, rows] : statements) EXPECT_EQ(db.query(sql).size(), rows) << sql;
  db.execute("COMMIT");
}

TEST_F(Walls, Pattern1_WithoutATenantEveryStatementFailsInsteadOfFindingNothing) {
  auto db = as_app();
  for (const auto& table : schema::CoreTables::tables) {
    if (table.kind != schema::Kind::tenant) continue;
    EXPECT_EQ(state_of(db, "SELECT * FROM " + std::string(table.name)), "42704") << table.name;
  }
  // A reused connection, whose setting has ended, is no better.
  db.execute("BEGIN; SET LOCAL app.tenant_id = '1'; COMMIT");
  EXPECT_EQ(state_of(db, "SELECT * FROM tasks"), "22P02");
  EXPECT_EQ(state_of(db, "BEGIN; SET LOCAL app.tenant_id = ''; SELECT * FROM tasks"), "22P02");
  EXPECT_EQ(state_of(db, "BEGIN; SET LOCAL app.tenant_id = 'x'; SELECT * FROM tasks"), "22P02");
}

TEST_F(Walls, Pattern11And12_RowsOfAnotherTenantCanNeitherBeMadeNorTakenNorMoved) {
  auto db = as_app();
  const auto as_acme = [&](const std::string& sql) {
    return state_of(db, "BEGIN; SET LOCAL app.tenant_id = '1'; " + sql + "; COMMIT");
  };
  EXPECT_EQ(as_acme("INSERT INTO projects (tenant_id, id, name, created_at, updated_at) VALUES (2, "
                    "gen_random_uuid(), 'x', now(), now())"),
            "42501");
  EXPECT_EQ(as_acme("UPDATE projects SET tenant_id = 2"), "42501");
  EXPECT_EQ(
      as_acme("INSERT INTO projects (tenant_id, id, name, created_at, updated_at) VALUES (2, '" +
              project(kGlobex, 0) +
              "', 'x', now(), now()) ON CONFLICT (tenant_id, id) DO UPDATE SET name = 'x'"),
      "42501");
  EXPECT_EQ(as_acme("DELETE FROM projects WHERE tenant_id = 2"), "");
  EXPECT_EQ(as_acme("COPY projects FROM STDIN"), "0A000");
  EXPECT_EQ(count("projects", kGlobex), kProjects);
}

TEST_F(Walls, Pattern14_TheApplicationsRoleCannotStepOutOfItsCell) {
  auto db = as_app();
  for (const char* sql :
       {"TRUNCATE tasks", "SET ROLE coditect_owner", "SET ROLE coditect_operator",
        "SET SESSION AUTHORIZATION coditect_admin", "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON tasks USING (true)", "CREATE TABLE mine (n int)",
        "CREATE VIEW v AS SELECT 1", "DROP TABLE tasks", "SELECT * FROM pg_authid",
        "ALTER ROLE coditect_app BYPASSRLS", "UPDATE tenant_state SET state = 'active'",
        "DELETE FROM activity", "UPDATE activity SET verb = 'x'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT coditect.tenant_table('tasks')"})
    EXPECT_EQ(state_of(db, std::string("BEGIN; SET LOCAL app.tenant_id = '1'; ") + sql),
              std::string(sql).contains("AUTHORIZATION") ? "42501" : "42501")
        << sql;
  // Without row_security a statement fails rather than shows everything.
  EXPECT_EQ(state_of(db, "SET row_security = off; SELECT * FROM tasks"), "42501");
}

// --- Contexts on pooled connections --------------------------------------------------------------

Async<> interleave(pg::Pool& pool, std::int64_t tenant, int rounds, int& wrong) {
  for (int i = 0; i < rounds; ++i) {
    const auto rows = co_await TenantDb(pool, testing::tenant(tenant), after(20s)).all(kTasks);
    if (rows.size() != 12 || rows[0].title != "secret of " + std::to_string(tenant)) ++wrong;
  }
}

TEST_F(Walls, Pattern2And4_TransactionsOfTwoTenantsOnSharedConnectionsNeverMix) {
  pg::Pool pool(loop_, pool_settings(Databases::get().cell_as("coditect_app")), metrics_, "t");
  int wrong = 0;
  std::vector<std::future<void>> work;
  for (int i = 0; i < 10; ++i)
    work.push_back(
        asio::co_spawn(loop_.io(), interleave(pool, 1 + i % 2, 200, wrong), asio::use_future));
  for (auto& w : work) {
    while (w.wait_for(0s) != std::future_status::ready) loop_.io().run_one();
    w.get();
  }
  EXPECT_EQ(wrong, 0);
  run(pool.stop());
}

TEST_F(Walls, Pattern6_APreparedStatementServesEachTenantItsOwn) {
  pg::Pool pool(loop_, pool_settings(Databases::get().cell_as("coditect_app"), 1), metrics_, "t");
  for (int i = 0; i < 15; ++i) {  // beyond the fifth use the server may keep a generic plan
    for (const auto tenant : {kAcme, kGlobex, kAcme}) {
      const auto row = run(TenantDb(pool, testing::tenant(tenant), after(5s))
                               .maybe_one(kTask, *parse_uuid(task(tenant, 3))));
      ASSERT_TRUE(row);
      EXPECT_EQ(row->title, "secret of " + std::to_string(tenant));
      EXPECT_FALSE(run(TenantDb(pool, testing::tenant(tenant), after(5s))
                           .maybe_one(kTask, *parse_uuid(task(3 - tenant, 3)))));
    }
  }
  run(pool.stop());
}

// --- The fence -----------------------------------------------------------------------------------

Async<std::string> try_write(const TenantDb& db, std::string project_id) {
  try {
    auto tx = db.begin();
    co_await tx.execute(kInsert, make_uuid7(), *parse_uuid(project_id));
    co_await tx.commit();
  } catch (const Failure& f) {
    co_return std::string(f.error().reason);
  }
  co_return "";
}

TEST_F(Walls, Pattern19_TheStateRowStopsWritesAtOnce) {
  pg::Pool pool(loop_, pool_settings(Databases::get().cell_as("coditect_app")), metrics_, "t");
  const TenantDb db(pool, testing::tenant(kAcme), after(5s));
  EXPECT_EQ(run(try_write(db, project(kAcme, 0))), "");
  admin_->execute("UPDATE tenant_state SET state = 'suspended' WHERE tenant_id = 1");
  EXPECT_EQ(run(try_write(db, project(kAcme, 0))), "tenant_suspended");
  admin_->execute("UPDATE tenant_state SET state = 'deleted' WHERE tenant_id = 1");
  EXPECT_EQ(run(try_write(db, project(kAcme, 0))), "tenant_deleted");
  admin_->execute("DELETE FROM tenant_state WHERE tenant_id = 1");
  EXPECT_EQ(run(try_write(db, project(kAcme, 0))), "tenant_not_found");
  EXPECT_EQ(
      run(try_write(TenantDb(pool, testing::tenant(kGlobex), after(5s)), project(kGlobex, 0))), "");
  EXPECT_EQ(count("tasks", kAcme), kTasks_ + 1);
  run(pool.stop());
}

// --- Catalog and registry ------------------------------------------------------------------------

TEST_F(Walls, Pattern14_TheCatalogAgreesWithTheRegistry) {
  const std::vector<std::string> none;
  const auto& tables = schema::CoreTables::tables;
  EXPECT_EQ(schema::verify_cell(Databases::get().cell_as_administrator(), tables), none);
  EXPECT_EQ(schema::verify_directory(Databases::get().directory_as("coditect_app"), tables), none);
}

TEST_F(Walls, TheCatalogTestSeesEachWayToBreakAWall) {
  const std::pair<const char*, const char*> breaks[] = {
      {"ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
       "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY"},
      {"ALTER TABLE tasks FORCE ROW LEVEL SECURITY",
       "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY"},
      {"CREATE POLICY more ON tasks TO coditect_app USING (true)", "DROP POLICY more ON tasks"},
      {"CREATE POLICY more ON tasks USING (true)", "DROP POLICY more ON tasks"},
      {"ALTER POLICY tenant_only ON tasks USING (tenant_id = "
       "nullif(current_setting('app.tenant_id', true), '')::bigint)",
       "ALTER POLICY tenant_only ON tasks USING (tenant_id = "
       "current_setting('app.tenant_id')::bigint)"},
      {"ALTER POLICY tenant_only ON tasks WITH CHECK (true)",
       "ALTER POLICY tenant_only ON tasks WITH CHECK (tenant_id = "
       "current_setting('app.tenant_id')::bigint)"},
      {"GRANT SELECT ON tasks TO PUBLIC", "REVOKE SELECT ON tasks FROM PUBLIC"},
      {"GRANT TRUNCATE ON tasks TO coditect_app", "REVOKE TRUNCATE ON tasks FROM coditect_app"},
      {"GRANT UPDATE ON activity TO coditect_app", "REVOKE UPDATE ON activity FROM coditect_app"},
      {"CREATE TABLE forgotten (n int)", "DROP TABLE forgotten"},
      {"CREATE VIEW all_tasks AS SELECT * FROM tasks", "DROP VIEW all_tasks"},
      {"CREATE UNIQUE INDEX titles ON tasks (title, id)", "DROP INDEX titles"},
      {"CREATE FUNCTION f() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT 1::bigint'",
       "DROP FUNCTION f()"},
      {"ALTER TABLE tasks OWNER TO coditect_app", "ALTER TABLE tasks OWNER TO coditect_owner"},
      {"GRANT coditect_owner TO coditect_app", "REVOKE coditect_owner FROM coditect_app"},
      {"ALTER ROLE coditect_app BYPASSRLS", "ALTER ROLE coditect_app NOBYPASSRLS"},
      {"ALTER ROLE coditect_owner LOGIN", "ALTER ROLE coditect_owner NOLOGIN"},
      {"GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"}};
  for (const auto& [broken, mended] : breaks) {
    admin_->execute(broken);
    EXPECT_FALSE(
        schema::verify_cell(Databases::get().cell_as_administrator(), schema::CoreTables::tables)
            .empty())
        << broken;
    admin_->execute(mended);
  }
  EXPECT_TRUE(
      schema::verify_cell(Databases::get().cell_as_administrator(), schema::CoreTables::tables)
          .empty());
}

TEST_F(Walls, Pattern22_ThePurgeKnowsEveryTenantTable) {
  std::vector<std::string> purged;
  for (const auto& st : kPurgeStatements<schema::CoreTables>)
    purged.push_back(std::string(st.name).substr(6));
  for (const auto& table : schema::CoreTables::tables) {
    if (table.kind != schema::Kind::tenant || table.removal == schema::Removal::expires) continue;
    EXPECT_NE(std::ranges::find(purged, table.name), purged.end()) << table.name;
  }
}

Async<> purge_rows(pg::Pool& pool, std::int64_t tenant) {
  auto tx = OperatorDb(pool, after(5s)).begin();
  tx.set_purged_tenant(tenant);
  for (const auto& st : kPurgeStatements<schema::CoreTables>) tx.purge(st, tenant);
  co_await tx.commit();
}

TEST_F(Walls, AMaintenanceRolePurgesOneTenantAndLeavesTheOther) {
  pg::Pool pool(loop_, pool_settings(Databases::get().cell_as("coditect_maintenance")), metrics_,
                "t");
  run(purge_rows(pool, kAcme));
  for (const auto& table : schema::CoreTables::tables) {
    if (table.kind != schema::Kind::tenant) continue;
    EXPECT_EQ(count(std::string(table.name), kAcme), 0) << table.name;
  }
  EXPECT_EQ(count("tasks", kGlobex), kTasks_);
  EXPECT_EQ(count("comments", kGlobex), kTasks_);
  run(pool.stop());
}

}  // namespace
}  // namespace coditect::tenancy
