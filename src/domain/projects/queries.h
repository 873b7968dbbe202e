#pragma once
#include "domain/projects/model.h"
#include "tenancy/statement.h"

namespace coditect::projects {

using tenancy::TenantStatement;

struct ProjectRow : Project {
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(ProjectRow, (Project), (version))

inline constexpr TenantStatement<ProjectRow, ProjectId> kGet{
    "projects.get",
    "SELECT p.id, p.name, p.created_at, p.updated_at, p.deleted_at, p.version FROM projects p "
    "WHERE p.tenant_id = $1 AND p.id = $2 AND p.deleted_at IS NULL"};
inline constexpr TenantStatement<ProjectRow, ProjectId> kLock{
    "projects.lock",
    "SELECT p.id, p.name, p.created_at, p.updated_at, p.deleted_at, p.version FROM projects p "
    "WHERE p.tenant_id = $1 AND p.id = $2 FOR UPDATE"};
inline constexpr TenantStatement<ProjectRow, ProjectId, std::int32_t> kList{
    "projects.list",
    "SELECT p.id, p.name, p.created_at, p.updated_at, p.deleted_at, p.version FROM projects p "
    "WHERE p.tenant_id = $1 AND p.deleted_at IS NULL AND p.id > $2 ORDER BY p.id LIMIT $3"};
inline constexpr TenantStatement<pg::NoRow, ProjectId, std::string, Timestamp> kInsert{
    "projects.insert",
    "INSERT INTO projects (tenant_id, id, name, created_at, updated_at) VALUES ($1, $2, $3, $4, "
    "$4)"};
inline constexpr TenantStatement<pg::NoRow, ProjectId, std::string, Timestamp,
                                 std::optional<Timestamp>>
    kUpdate{"projects.update",
            "UPDATE projects AS p SET name = $3, updated_at = $4, deleted_at = $5, version = "
            "version + 1 WHERE p.tenant_id = $1 AND p.id = $2"};

}  // namespace coditect::projects
