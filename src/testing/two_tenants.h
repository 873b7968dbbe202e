#pragma once
#include <fmt/format.h>

#include "pg/pool.h"
#include "schema/direct.h"
#include "testing/loop_test.h"
#include "testing/mint.h"
#include "testing/servers.h"

namespace coditect::testing {

/// A cell with two tenants that are alike: the same number of rows, ids that differ in one digit.
class TwoTenantsTest : public LoopTest {
 protected:
  static constexpr int kProjects = 3, kTasks_ = 12;

  void SetUp() override {
    admin_ = std::make_unique<schema::Direct>(Databases::get().cell_as_administrator());
    admin_->execute(
        "DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(attrelid::regclass::text, ', ') "
        "FROM pg_attribute WHERE attname = 'tenant_id' AND attnum = 1 AND attrelid IN "
        "(SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = "
        "'public'::regnamespace)); "
        "END $$");
    for (const auto tenant : {kAcme, kGlobex}) fill(tenant);
  }
  void TearDown() override { admin_.reset(); }

  static std::string uuid(std::int64_t tenant, int kind, int n) {
    return fmt::format("0{}000000-0000-7000-8000-0000{:04}{:04}", tenant, kind, n);
  }
  static std::string project(std::int64_t tenant, int n) { return uuid(tenant, 1, n); }
  static std::string task(std::int64_t tenant, int n) { return uuid(tenant, 2, n); }
  static std::string member(std::int64_t tenant) { return uuid(tenant, 3, 0); }

  std::int64_t count(const std::string& table, std::int64_t tenant) {
    return std::stoll(*admin_->query("SELECT count(*) FROM " + table +
                                     " WHERE tenant_id = " + std::to_string(tenant))[0][0]);
  }

  /// The application's role, without any code of ours between.
  schema::Direct as_app() { return schema::Direct(Databases::get().cell_as("coditect_app")); }

  pg::PoolSettings pool_settings(const std::string& conninfo, int size = 2) {
    pg::PoolSettings s;
    s.conninfo = conninfo;
    s.size = size;
    return s;
  }

  std::unique_ptr<schema::Direct> admin_;

 private:
  void fill(std::int64_t t) {
    const auto id = std::to_string(t);
    admin_->execute("INSERT INTO tenant_state VALUES (" + id + ", 'active', 1)");
    admin_->execute(
        "INSERT INTO members (tenant_id, id, user_id, email, role, state, created_at, updated_at) "
        "VALUES (" +
        id + ", '" + member(t) + "', '" + member(t) + "', 'owner@" + id +
        ".example', 'owner', 'active', now(), now())");
    for (int n = 0; n < kProjects; ++n)
      admin_->execute(
          "INSERT INTO projects (tenant_id, id, name, created_at, updated_at) VALUES (" + id +
          ", '" + project(t, n) + "', 'secret of " + id + "', now(), now())");
    for (int n = 0; n < kTasks_; ++n) {
      admin_->execute(
          "INSERT INTO tasks (tenant_id, id, project_id, title, status, labels, position, "
          "created_at, updated_at) VALUES (" +
          id + ", '" + task(t, n) + "', '" + project(t, n % kProjects) + "', 'secret of " + id +
          "', 'todo', '{red}', 1, now(), now())");
      admin_->execute("INSERT INTO task_labels VALUES (" + id + ", 'red', '" + task(t, n) + "')");
      admin_->execute("INSERT INTO task_terms VALUES (" + id + ", 'secret', '" + task(t, n) + "')");
      admin_->execute(
          "INSERT INTO comments (tenant_id, id, task_id, body, author_type, created_at, "
          "updated_at) VALUES (" +
          id + ", '" + uuid(t, 4, n) + "', '" + task(t, n) +
          "', 'secret', 'member', now(), now())");
    }
    admin_->execute(
        "INSERT INTO api_keys (tenant_id, id, name, secret_key, secret_hash, scopes, created_at) "
        "VALUES (" +
        id + ", '" + uuid(t, 5, 0) + "', 'k', 'k', '', '{}', now())");
    admin_->execute(
        "INSERT INTO activity (tenant_id, id, actor_type, verb, target_type, target_id, "
        "request_id, created_at) VALUES (" +
        id + ", '" + uuid(t, 6, 0) + "', 'member', 'x', 'task', '" + task(t, 0) + "', 'r', now())");
  }
};

}  // namespace coditect::testing
