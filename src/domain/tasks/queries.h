#pragma once
#include "domain/tasks/model.h"
#include "tenancy/statement.h"

namespace coditect::tasks {

using tenancy::TenantStatement;

struct TaskRow : Task {
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(TaskRow, (Task), (version))

#define TASK_COLUMNS                                                                              \
  "SELECT t.id, t.project_id, t.title, t.status, t.assignee_id, t.due_on, t.labels, t.position, " \
  "t.created_at, t.updated_at, t.deleted_at, t.version "
// The tasks of a deleted project hide with it.
#define LIVE_TASKS                                                                                \
  TASK_COLUMNS                                                                                    \
  "FROM tasks t JOIN projects p ON p.tenant_id = $1 AND p.id = t.project_id AND p.deleted_at IS " \
  "NULL "

inline constexpr TenantStatement<TaskRow, TaskId> kGet{
    "tasks.get", LIVE_TASKS "WHERE t.tenant_id = $1 AND t.id = $2 AND t.deleted_at IS NULL"};
inline constexpr TenantStatement<TaskRow, TaskId> kLock{
    "tasks.lock", LIVE_TASKS "WHERE t.tenant_id = $1 AND t.id = $2 FOR UPDATE OF t"};

// One statement per way to walk an index. The filter that gives the index its range is plain; the
// others are beside it and narrow what the walk finds:
//   $2 project  $3 status  $4 assignee  $5 label  $6 word  $7 further words
//   $8 id and $9 other key of the last row seen  $10 limit
#define NARROW_PROJECT "AND ($2::uuid IS NULL OR t.project_id = $2) "
#define NARROW_STATUS "AND ($3::text IS NULL OR t.status = $3) "
#define NARROW_ASSIGNEE "AND ($4::uuid IS NULL OR t.assignee_id = $4) "
// Counts, because the planner may turn EXISTS into a hash of all of the tenant's labels or terms.
#define NARROW_LABEL                                                                         \
  "AND ($5::text IS NULL OR (SELECT count(*) FROM task_labels l WHERE l.tenant_id = $1 AND " \
  "l.label = $5 AND l.task_id = t.id) > 0) "
#define NARROW_WORDS                                                                       \
  "AND (cardinality($7) = 0 OR (SELECT count(*) FROM task_terms w WHERE w.tenant_id = $1 " \
  "AND w.task_id = t.id AND w.term = ANY ($7)) = cardinality($7)) "
// The walk that is chosen leaves these out: a word is walked before a label, a label before the
// rest.
#define NO_LABEL "AND $5::text IS NULL "
#define NO_WORDS "AND cardinality($7) = 0 "
#define WHERE_LIVE \
  "WHERE t.tenant_id = $1 AND t.deleted_at IS NULL AND ($6::text IS NULL OR $6 <> '') "
#define UPWARD "AND t.id > $8 AND ($9::bigint IS NULL OR $9 >= 0) ORDER BY t.id LIMIT $10"
#define DOWNWARD "AND t.id < $8 AND ($9::bigint IS NULL OR $9 >= 0) ORDER BY t.id DESC LIMIT $10"

using List = TenantStatement<TaskRow, std::optional<ProjectId>, std::optional<Status>,
                             std::optional<auth::MemberId>, std::optional<std::string>,
                             std::optional<std::string>, std::vector<std::string>, TaskId,
                             std::int64_t, std::int32_t>;

#define ALL_FILTERS WHERE_LIVE NARROW_PROJECT NARROW_STATUS NARROW_ASSIGNEE NO_LABEL NO_WORDS
#define BY_PROJECT \
  WHERE_LIVE "AND t.project_id = $2 " NARROW_STATUS NARROW_ASSIGNEE NO_LABEL NO_WORDS
#define BY_STATUS WHERE_LIVE "AND t.status = $3 " NARROW_PROJECT NARROW_ASSIGNEE NO_LABEL NO_WORDS
#define BY_ASSIGNEE \
  WHERE_LIVE "AND t.assignee_id = $4 " NARROW_PROJECT NARROW_STATUS NO_LABEL NO_WORDS
#define BY_LABEL                                                                             \
  "JOIN task_labels k ON k.tenant_id = $1 AND k.label = $5 AND k.task_id = t.id " WHERE_LIVE \
      NARROW_PROJECT NARROW_STATUS NARROW_ASSIGNEE NO_WORDS
#define BY_WORD                                                                            \
  "JOIN task_terms k ON k.tenant_id = $1 AND k.term = $6 AND k.task_id = t.id " WHERE_LIVE \
      NARROW_PROJECT NARROW_STATUS NARROW_ASSIGNEE NARROW_LABEL NARROW_WORDS

inline constexpr List kListUp{"tasks.list", LIVE_TASKS ALL_FILTERS UPWARD};
inline constexpr List kListDown{"tasks.list_down", LIVE_TASKS ALL_FILTERS DOWNWARD};
inline constexpr List kByProjectUp{"tasks.by_project", LIVE_TASKS BY_PROJECT UPWARD};
inline constexpr List kByProjectDown{"tasks.by_project_down", LIVE_TASKS BY_PROJECT DOWNWARD};
inline constexpr List kByStatusUp{"tasks.by_status", LIVE_TASKS BY_STATUS UPWARD};
inline constexpr List kByStatusDown{"tasks.by_status_down", LIVE_TASKS BY_STATUS DOWNWARD};
inline constexpr List kByAssigneeUp{"tasks.by_assignee", LIVE_TASKS BY_ASSIGNEE UPWARD};
inline constexpr List kByAssigneeDown{"tasks.by_assignee_down", LIVE_TASKS BY_ASSIGNEE DOWNWARD};
inline constexpr List kByLabelUp{"tasks.by_label", LIVE_TASKS BY_LABEL UPWARD};
inline constexpr List kByLabelDown{"tasks.by_label_down", LIVE_TASKS BY_LABEL DOWNWARD};
inline constexpr List kByWordUp{"tasks.by_word", LIVE_TASKS BY_WORD UPWARD};
inline constexpr List kByWordDown{"tasks.by_word_down", LIVE_TASKS BY_WORD DOWNWARD};
inline constexpr List kByPosition{
    "tasks.by_position",
    LIVE_TASKS BY_PROJECT "AND (t.position, t.id) > ($9, $8) ORDER BY t.position, t.id LIMIT $10"};
// $9 is the day as days since 1970.
inline constexpr List kByDueOn{
    "tasks.by_due_on", LIVE_TASKS ALL_FILTERS
    "AND (t.due_on, t.id) > (date '1970-01-01' + $9::int, $8) ORDER BY t.due_on, t.id LIMIT $10"};

// tenant_id comes from the project's row: the project must exist and live, and Citus takes it.
inline constexpr TenantStatement<pg::NoRow, TaskId, ProjectId, std::string, Status,
                                 std::optional<auth::MemberId>, std::optional<Date>,
                                 std::vector<std::string>, std::int64_t, Timestamp>
    kInsert{
        "tasks.insert",
        "INSERT INTO tasks (tenant_id, id, project_id, title, status, assignee_id, due_on, labels, "
        "position, created_at, updated_at) "
        "SELECT p.tenant_id, $2, p.id, $4, $5, $6, $7, $8, $9, $10, $10 FROM projects p "
        "WHERE p.tenant_id = $1 AND p.id = $3 AND p.deleted_at IS NULL AND ($6::uuid IS NULL OR "
        "EXISTS "
        "(SELECT 1 FROM members m WHERE m.tenant_id = $1 AND m.id = $6 AND m.state <> 'removed'))"};
inline constexpr TenantStatement<pg::NoRow, TaskId, ProjectId, std::string, Status,
                                 std::optional<auth::MemberId>, std::optional<Date>,
                                 std::vector<std::string>, std::int64_t, Timestamp,
                                 std::optional<Timestamp>>
    kUpdate{"tasks.update",
            "UPDATE tasks AS t SET project_id = $3, title = $4, status = $5, assignee_id = $6, "
            "due_on = $7, labels = $8, position = $9, "
            "updated_at = $10, deleted_at = $11, version = version + 1 WHERE t.tenant_id = $1 AND "
            "t.id = $2"};

inline constexpr TenantStatement<ProjectId, ProjectId> kLiveProject{
    "tasks.live_project",
    "SELECT p.id FROM projects p WHERE p.tenant_id = $1 AND p.id = $2 AND p.deleted_at IS NULL FOR "
    "SHARE"};
inline constexpr TenantStatement<auth::MemberId, auth::MemberId> kPresentMember{
    "tasks.present_member",
    "SELECT m.id FROM members m WHERE m.tenant_id = $1 AND m.id = $2 AND m.state <> 'removed'"};

inline constexpr TenantStatement<pg::NoRow, TaskId> kDropLabels{
    "tasks.drop_labels", "DELETE FROM task_labels AS l WHERE l.tenant_id = $1 AND l.task_id = $2"};
inline constexpr TenantStatement<pg::NoRow, TaskId> kDropTerms{
    "tasks.drop_terms", "DELETE FROM task_terms AS w WHERE w.tenant_id = $1 AND w.task_id = $2"};
inline constexpr TenantStatement<pg::NoRow, TaskId, std::vector<std::string>> kAddLabels{
    "tasks.add_labels",
    "INSERT INTO task_labels (tenant_id, label, task_id) SELECT t.tenant_id, x.label, t.id FROM "
    "tasks t CROSS JOIN unnest($3::text[]) AS x(label) "
    "WHERE t.tenant_id = $1 AND t.id = $2"};
inline constexpr TenantStatement<pg::NoRow, TaskId, std::vector<std::string>> kAddTerms{
    "tasks.add_terms",
    "INSERT INTO task_terms (tenant_id, term, task_id) SELECT t.tenant_id, x.term, t.id FROM tasks "
    "t CROSS JOIN unnest($3::text[]) AS x(term) "
    "WHERE t.tenant_id = $1 AND t.id = $2"};

}  // namespace coditect::tasks
