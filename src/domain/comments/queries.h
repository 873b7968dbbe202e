#pragma once
#include "domain/comments/model.h"
#include "tenancy/statement.h"

namespace coditect::comments {

using tenancy::TenantStatement;

struct CommentRow {
  CommentId id;
  TaskId task_id;
  std::string body;
  std::string author_type;
  std::optional<Uuid> author_id;
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<Timestamp> deleted_at;
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(CommentRow, (),
                      (id, task_id, body, author_type, author_id, created_at, updated_at,
                       deleted_at, version))

// A comment hides with its task and its project.
#define LIVE_COMMENTS                                                                           \
  "SELECT c.id, c.task_id, c.body, c.author_type, c.author_id, c.created_at, c.updated_at, "    \
  "c.deleted_at, c.version "                                                                    \
  "FROM comments c JOIN tasks t ON t.tenant_id = $1 AND t.id = c.task_id AND t.deleted_at IS "  \
  "NULL "                                                                                       \
  "JOIN projects p ON p.tenant_id = $1 AND p.id = t.project_id AND p.deleted_at IS NULL WHERE " \
  "c.tenant_id = $1 "

inline constexpr TenantStatement<CommentRow, TaskId, CommentId, std::int32_t> kList{
    "comments.list", LIVE_COMMENTS
    "AND c.task_id = $2 AND c.deleted_at IS NULL AND c.id > $3 ORDER BY c.id LIMIT $4"};
inline constexpr TenantStatement<CommentRow, CommentId> kGet{
    "comments.get", LIVE_COMMENTS "AND c.id = $2 AND c.deleted_at IS NULL"};
inline constexpr TenantStatement<CommentRow, CommentId> kLock{
    "comments.lock", LIVE_COMMENTS "AND c.id = $2 FOR UPDATE OF c"};
inline constexpr TenantStatement<pg::NoRow, CommentId, TaskId, std::string, std::string, Uuid,
                                 Timestamp>
    kInsert{"comments.insert",
            "INSERT INTO comments (tenant_id, id, task_id, body, author_type, author_id, "
            "created_at, updated_at) "
            "SELECT t.tenant_id, $2, t.id, $4, $5, $6, $7, $7 FROM tasks t JOIN projects p ON "
            "p.tenant_id = $1 AND p.id = t.project_id AND p.deleted_at IS NULL "
            "WHERE t.tenant_id = $1 AND t.id = $3 AND t.deleted_at IS NULL"};
inline constexpr TenantStatement<pg::NoRow, CommentId, std::string, Timestamp,
                                 std::optional<Timestamp>>
    kUpdate{"comments.update",
            "UPDATE comments AS c SET body = $3, updated_at = $4, deleted_at = $5, version = "
            "version + 1 WHERE c.tenant_id = $1 AND c.id = $2"};

}  // namespace coditect::comments
