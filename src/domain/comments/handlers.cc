#include "domain/comments/handlers.h"

#include "audit/activity.h"
#include "domain/comments/queries.h"

namespace coditect::comments {
namespace {

using auth::Nothing;
using auth::Page;
using auth::Permission;
using auth::Reply;
using auth::TenantRead;
using auth::TenantWrite;

CommentId id_of(const auth::Context& ctx) {
  return ctx.path_id<CommentId>("comment", "comment_not_found");
}

Comment to_view(const CommentRow& r) {
  const auto author =
      r.author_id ? std::optional(r.author_type == "api_key" ? auth::ApiKeyId(*r.author_id).str()
                                                             : auth::MemberId(*r.author_id).str())
                  : std::nullopt;
  return {r.id, r.task_id, r.body, r.author_type, author, r.created_at, r.updated_at, r.deleted_at};
}

void trail(TenantWrite& ctx, std::string verb, CommentId id, std::optional<std::string> before,
           std::optional<std::string> after) {
  audit::record(ctx.tx, {.actor = {std::string(ctx.principal().type_name()), ctx.principal().id},
                         .verb = std::move(verb),
                         .target = {"comment", id.uuid()},
                         .before = std::move(before),
                         .after = std::move(after),
                         .request_id = ctx.request.id});
}

Async<Reply<Page<Comment>>> list(TenantRead& ctx) {
  const auto query = ctx.page_query();
  const auto text = ctx.query("task_id");
  if (!text)
    throw Failure({Code::invalid_argument,
                   "invalid_parameter",
                   "task_id is needed",
                   {{"task_id", "missing", "name the task whose comments to list"}}});
  Page<Comment> page;
  const auto task = TaskId::parse(*text);
  if (!task) co_return Reply<Page<Comment>>{std::move(page)};
  const auto after = query.after ? *CommentId::parse(*query.after) : CommentId();
  auto rows = co_await ctx.db.all(kList, *task, after, query.size + 1);
  if (rows.size() > static_cast<std::size_t>(query.size)) {
    rows.pop_back();
    page.next_page_token = ctx.next_token(rows.back().id.str());
  }
  for (const auto& row : rows) page.items.push_back(to_view(row));
  co_return Reply<Page<Comment>>{std::move(page)};
}

Async<Reply<Comment>> get(TenantRead& ctx) {
  const auto row = co_await ctx.db.maybe_one(kGet, id_of(ctx));
  if (!row) fail(Code::not_found, "comment_not_found");
  co_return Reply<Comment>{to_view(*row), 200, row->version};
}

Async<Reply<Comment>> create(TenantWrite& ctx, CreateComment body) {
  const auto at = now();
  const CommentRow row{CommentId::make(at),
                       body.task_id,
                       body.body.value,
                       std::string(ctx.principal().type_name()),
                       ctx.principal().id,
                       at,
                       at,
                       {},
                       1};
  if (co_await ctx.tx.execute(kInsert, row.id, row.task_id, row.body, row.author_type,
                              *row.author_id, at) == 0)
    throw Failure({Code::invalid_argument,
                   "validation_failed",
                   "the body breaks the rules named in errors",
                   {{"/task_id", "not_found", "there is no such task"}}});
  const auto view = to_view(row);
  trail(ctx, "comment.created", row.id, {}, http::to_json(view));
  Reply<Comment> reply{view, 201, 1};
  reply.headers.push_back({"Location", std::string(ctx.request.path()) + "/" + row.id.str()});
  co_return reply;
}

CommentRow save(TenantWrite& ctx, const CommentRow& before, CommentRow after, std::string verb) {
  if (after.body == before.body && after.deleted_at == before.deleted_at) return after;
  after.updated_at = now();
  ++after.version;
  ctx.tx.defer(kUpdate, after.id, after.body, after.updated_at, after.deleted_at);
  trail(ctx, std::move(verb), after.id, http::to_json(to_view(before)),
        http::to_json(to_view(after)));
  return after;
}

Async<CommentRow> lock(TenantWrite& ctx, bool deleted) {
  auto row = co_await ctx.tx.maybe_one(kLock, id_of(ctx));
  if (!row || row->deleted_at.has_value() != deleted) fail(Code::not_found, "comment_not_found");
  ctx.require_match(row->version);
  co_return *row;
}

Async<Reply<Comment>> patch(TenantWrite& ctx, PatchComment body) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  if (body.body.present()) after.body = (*body.body).value;
  after = save(ctx, before, after, "comment.updated");
  co_return Reply<Comment>{to_view(after), 200, after.version};
}

Async<Reply<Nothing>> remove(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  after.deleted_at = now();
  save(ctx, before, after, "comment.deleted");
  co_return Reply<Nothing>{};
}

Async<Reply<Comment>> undelete(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, true);
  auto after = before;
  after.deleted_at = {};
  after = save(ctx, before, after, "comment.undeleted");
  co_return Reply<Comment>{to_view(after), 200, after.version};
}

}  // namespace

void add_routes(auth::Routes& r) {
  const std::string path = "/v1/tenants/{tenant}/comments";
  r.read(path, Permission::data_read,
         {"listComments",
          "Comments",
          "Comments of a task, oldest first",
          {{"task_id", "the task (needed)", {}, "task"},
           {"page_size", "1 to 200, 50 by default"},
           {"page_token", "next_page_token of the page before"}}},
         list);
  r.write("POST", path, Permission::data_write,
          {"createComment", "Comments", "Comment on a task", {}, 201}, create);
  r.read(path + "/{comment}", Permission::data_read, {"getComment", "Comments", "One comment"},
         get);
  r.write("PATCH", path + "/{comment}", Permission::data_write,
          {"updateComment", "Comments", "Change a comment"}, patch);
  r.write("DELETE", path + "/{comment}", Permission::data_write,
          {"deleteComment", "Comments", "Delete a comment"}, remove);
  r.write("POST", path + "/{comment}/undelete", Permission::data_write,
          {"undeleteComment", "Comments", "Bring a comment back"}, undelete);
}

}  // namespace coditect::comments
