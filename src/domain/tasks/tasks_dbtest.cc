#include "domain/tasks/queries.h"
#include "testing/two_tenants.h"

namespace coditect::tasks {
namespace {

class TaskPlans : public testing::TwoTenantsTest {};

// Row-level security keeps operators that are not leakproof out of index conditions: one careless
// filter turns a list into a scan of everybody's rows. Looked at as the application's role, with
// the generic plan, on a tenant with many rows.
TEST_F(TaskPlans, EveryListWalksAnIndex) {
  const auto p = project(testing::kAcme, 0), m = member(testing::kAcme);
  admin_->execute(
      "INSERT INTO tasks (tenant_id, id, project_id, title, status, assignee_id, due_on, labels, "
      "position, created_at, updated_at) "
      "SELECT 1, gen_random_uuid(), ('01000000-0000-7000-8000-00000001' || lpad((n % 3)::text, 4, "
      "'0'))::uuid, 'task', 'todo', '" +
      m +
      "', date '2026-01-01' + n % 1000, '{red}', n, now(), now() FROM generate_series(1, 20000) n");
  admin_->execute(
      "INSERT INTO task_labels SELECT 1, CASE WHEN random() < 0.01 THEN 'red' ELSE 'blue' END, id "
      "FROM tasks WHERE tenant_id = 1 ON CONFLICT DO NOTHING");
  admin_->execute(
      "INSERT INTO task_terms SELECT 1, CASE WHEN random() < 0.01 THEN 'rare' ELSE 'word' END, id "
      "FROM tasks WHERE tenant_id = 1 ON CONFLICT DO NOTHING");
  admin_->execute("ANALYZE");
  const std::string low = "'00000000-0000-0000-0000-000000000000', 0, 21",
                    high = "'ffffffff-ffff-ffff-ffff-ffffffffffff', 0, 21";
  const auto args = [&](const std::string& five, const std::string& tail) {
    return "1, " + five + ", '{}', " + tail;
  };
  const std::string none = "NULL, NULL, NULL, NULL, NULL";
  const std::pair<const List*, std::string> lists[] = {
      {&kListUp, args(none, low)},
      {&kListDown, args(none, high)},
      {&kByProjectUp, args("'" + p + "', NULL, NULL, NULL, NULL", low)},
      {&kByProjectDown, args("'" + p + "', NULL, NULL, NULL, NULL", high)},
      {&kByStatusUp, args("NULL, 'todo', NULL, NULL, NULL", low)},
      {&kByStatusDown, args("NULL, 'todo', NULL, NULL, NULL", high)},
      {&kByAssigneeUp, args("NULL, NULL, '" + m + "', NULL, NULL", low)},
      {&kByAssigneeDown, args("NULL, NULL, '" + m + "', NULL, NULL", high)},
      {&kByLabelUp, args("NULL, NULL, NULL, 'red', NULL", low)},
      {&kByLabelDown, args("NULL, NULL, NULL, 'red', NULL", high)},
      {&kByWordUp, args("NULL, NULL, NULL, NULL, 'rare'", low)},
      {&kByWordDown, args("NULL, NULL, NULL, NULL, 'rare'", high)},
      {&kByPosition, args("'" + p + "', NULL, NULL, NULL, NULL", low)},
      {&kByDueOn, args(none, low)}};
  auto db = as_app();
  db.execute("SET plan_cache_mode = force_generic_plan");
  for (const auto& [statement, values] : lists) {
    db.execute("DEALLOCATE ALL");
    db.execute("PREPARE s (bigint, uuid, text, uuid, text, text, text[], uuid, bigint, int) AS " +
               std::string(statement->sql));
    db.execute("BEGIN; SET LOCAL app.tenant_id = '1'");
    std::string plan;
    for (const auto& row : db.query("EXPLAIN EXECUTE s (" + values + ")")) plan += *row[0] + "\n";
    EXPECT_FALSE(plan.contains("Seq Scan on tasks")) << statement->name << "\n" << plan;
    EXPECT_FALSE(plan.contains("Seq Scan on task_")) << statement->name << "\n" << plan;
    db.execute("ROLLBACK");
  }
}

TEST(Terms, AreWordsInLowerCaseOnce) {
  EXPECT_EQ(terms_of("Call  Zoë, re: invoice #42 (call)"),
            (std::vector<std::string>{"call", "zoë", "re", "invoice", "42"}));
  EXPECT_TRUE(terms_of(" -- ").empty());
}

}  // namespace
}  // namespace coditect::tasks
