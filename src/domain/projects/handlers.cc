#include "domain/projects/handlers.h"

#include "audit/activity.h"
#include "domain/projects/queries.h"

namespace coditect::projects {
namespace {

using auth::Nothing;
using auth::Page;
using auth::Permission;
using auth::Reply;
using auth::TenantRead;
using auth::TenantWrite;

audit::Entry entry(const auth::TenantContext& ctx, std::string verb, ProjectId id) {
  return {.actor = {std::string(ctx.principal().type_name()), ctx.principal().id},
          .verb = std::move(verb),
          .target = {"project", id.uuid()},
          .request_id = ctx.request.id};
}

ProjectId id_of(const auth::Context& ctx) {
  return ctx.path_id<ProjectId>("project", "project_not_found");
}

Async<Reply<Page<Project>>> list(TenantRead& ctx) {
  const auto query = ctx.page_query();
  const auto after = query.after ? *ProjectId::parse(*query.after) : ProjectId();
  auto rows = co_await ctx.db.all(kList, after, query.size + 1);
  Page<Project> page;
  if (rows.size() > static_cast<std::size_t>(query.size)) {
    rows.pop_back();
    page.next_page_token = ctx.next_token(rows.back().id.str());
  }
  page.items.assign(rows.begin(), rows.end());
  co_return Reply<Page<Project>>{std::move(page)};
}

Async<Reply<Project>> get(TenantRead& ctx) {
  auto row = co_await ctx.db.maybe_one(kGet, id_of(ctx));
  if (!row) fail(Code::not_found, "project_not_found");
  co_return Reply<Project>{*row, 200, row->version};
}

Async<Reply<Project>> create(TenantWrite& ctx, CreateProject body) {
  const auto at = now();
  const Project project{ProjectId::make(at), body.name.value, at, at, {}};
  ctx.tx.defer(kInsert, project.id, project.name, at);
  auto e = entry(ctx, "project.created", project.id);
  e.after = http::to_json(project);
  audit::record(ctx.tx, e);
  Reply<Project> reply{project, 201, 1};
  reply.headers.push_back({"Location", std::string(ctx.request.path()) + "/" + project.id.str()});
  co_return reply;
}

/// Writes the row as it shall be, with the trail; nothing when it is so already.
Reply<Project> save(TenantWrite& ctx, const ProjectRow& before, ProjectRow after,
                    std::string verb) {
  if (after.name == before.name && after.deleted_at == before.deleted_at)
    return {after, 200, after.version};
  after.updated_at = now();
  ctx.tx.defer(kUpdate, after.id, after.name, after.updated_at, after.deleted_at);
  auto e = entry(ctx, std::move(verb), after.id);
  e.before = http::to_json<Project>(before);
  e.after = http::to_json<Project>(after);
  audit::record(ctx.tx, e);
  return {after, 200, after.version + 1};
}

Async<ProjectRow> lock(TenantWrite& ctx, bool deleted) {
  auto row = co_await ctx.tx.maybe_one(kLock, id_of(ctx));
  if (!row || row->deleted_at.has_value() != deleted) fail(Code::not_found, "project_not_found");
  ctx.require_match(row->version);
  co_return *row;
}

Async<Reply<Project>> patch(TenantWrite& ctx, PatchProject body) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  if (body.name.present()) after.name = (*body.name).value;
  co_return save(ctx, before, after, "project.updated");
}

Async<Reply<Nothing>> remove(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  after.deleted_at = now();
  save(ctx, before, after, "project.deleted");
  co_return Reply<Nothing>{};
}

Async<Reply<Project>> undelete(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, true);
  auto after = before;
  after.deleted_at = {};
  co_return save(ctx, before, after, "project.undeleted");
}

}  // namespace

void add_routes(auth::Routes& r) {
  const std::string path = "/v1/tenants/{tenant}/projects";
  r.read(path, Permission::data_read,
         {"listProjects",
          "Projects",
          "Projects, oldest first",
          {{"page_size", "1 to 200, 50 by default"},
           {"page_token", "next_page_token of the page before"}}},
         list);
  r.write("POST", path, Permission::data_write,
          {"createProject", "Projects", "Create a project", {}, 201}, create);
  r.read(path + "/{project}", Permission::data_read, {"getProject", "Projects", "One project"},
         get);
  r.write("PATCH", path + "/{project}", Permission::data_write,
          {"updateProject", "Projects", "Change a project"}, patch);
  r.write("DELETE", path + "/{project}", Permission::data_write,
          {"deleteProject", "Projects", "Delete a project; its tasks hide with it"}, remove);
  r.write("POST", path + "/{project}/undelete", Permission::data_write,
          {"undeleteProject", "Projects", "Bring a project and its tasks back"}, undelete);
}

}  // namespace coditect::projects
