#include "domain/tasks/handlers.h"

#include <charconv>
#include <set>

#include "audit/activity.h"
#include "domain/tasks/queries.h"

namespace coditect::tasks {
namespace {

using auth::Nothing;
using auth::Page;
using auth::Permission;
using auth::Reply;
using auth::TenantRead;
using auth::TenantWrite;

TaskId id_of(const auth::Context& ctx) { return ctx.path_id<TaskId>("task", "task_not_found"); }

[[noreturn]] void bad_field(std::string pointer, std::string code, std::string message) {
  throw Failure({Code::invalid_argument,
                 "validation_failed",
                 "the request breaks the rules named in errors",
                 {{std::move(pointer), std::move(code), std::move(message)}}});
}

void trail(TenantWrite& ctx, std::string verb, TaskId id, std::optional<std::string> before,
           std::optional<std::string> after) {
  audit::record(ctx.tx, {.actor = {std::string(ctx.principal().type_name()), ctx.principal().id},
                         .verb = std::move(verb),
                         .target = {"task", id.uuid()},
                         .before = std::move(before),
                         .after = std::move(after),
                         .request_id = ctx.request.id});
}

std::vector<std::string> to_texts(const Labels& labels) {
  std::set<std::string> unique;
  for (const auto& label : labels.items) unique.insert(label.value);
  return {unique.begin(), unique.end()};
}

/// What a list walks and narrows by.
struct Query {
  std::optional<ProjectId> project;
  std::optional<Status> status;
  std::optional<auth::MemberId> assignee;
  std::optional<std::string> label, word;
  std::vector<std::string> words;
  std::string order = "created_at";
  bool nothing = false;  ///< an id that can be nobody's: the list is empty
};

Query read_query(const TenantRead& ctx) {
  Query q;
  if (const auto text = ctx.query("project_id"))
    q.project = ProjectId::parse(*text), q.nothing |= !q.project;
  if (const auto text = ctx.query("assignee_id"))
    q.assignee = auth::MemberId::parse(*text), q.nothing |= !q.assignee;
  if (const auto text = ctx.query("status")) {
    Status status{};
    if (!boost::describe::enum_from_string(text->c_str(), status))
      bad_field("status", "unknown_value", "must be one of todo, doing, done");
    q.status = status;
  }
  q.label = ctx.query("label");
  if (q.label && !is_valid_utf8(*q.label))
    bad_field("label", "invalid_text", "must be valid UTF-8");
  if (const auto text = ctx.query("q")) {
    if (!is_valid_utf8(*text)) bad_field("q", "invalid_text", "must be valid UTF-8");
    q.words = terms_of(*text);
    if (q.words.empty()) bad_field("q", "too_short", "must have a word");
    // The longest word is likely the rarest: it leads.
    std::ranges::sort(q.words, [](const auto& a, const auto& b) { return a.size() > b.size(); });
    q.word = q.words.front();
    q.words.erase(q.words.begin());
  }
  if (const auto text = ctx.query("order_by")) q.order = *text;
  if (q.order != "created_at" && q.order != "-created_at" && q.order != "position" &&
      q.order != "due_on")
    bad_field("order_by", "unknown_value", "must be created_at, -created_at, position or due_on");
  if (q.order == "position" && !q.project && !q.nothing)
    bad_field("order_by", "needs_project",
              "position orders the tasks of one project: give project_id");
  if ((q.order == "position" || q.order == "due_on") && (q.label || q.word))
    bad_field("order_by", "not_served", "label and q go with created_at only");
  return q;
}

const List& statement_of(const Query& q) {
  if (q.order == "position") return kByPosition;
  if (q.order == "due_on") return kByDueOn;
  const bool up = q.order == "created_at";
  if (q.word) return up ? kByWordUp : kByWordDown;
  if (q.label) return up ? kByLabelUp : kByLabelDown;
  if (q.project) return up ? kByProjectUp : kByProjectDown;
  if (q.assignee) return up ? kByAssigneeUp : kByAssigneeDown;
  if (q.status) return up ? kByStatusUp : kByStatusDown;
  return up ? kListUp : kListDown;
}

/// The keys of the last row seen: its id and, where the order has one, its other key.
struct Mark {
  TaskId id;
  std::int64_t key = 0;
};

constexpr std::int64_t kFirstDay = -719162;  // 0001-01-01

Mark first_mark(const Query& q) {
  Uuid highest;
  highest.bytes.fill(0xff);
  if (q.order == "-created_at") return {TaskId(highest), 0};
  return {TaskId(), q.order == "due_on" ? kFirstDay - 1 : q.order == "position" ? -1 : 0};
}

Mark parse_mark(const std::string& text) {
  const auto space = text.find(' ');
  Mark mark;
  mark.id = *TaskId::parse(text.substr(0, space));
  std::from_chars(text.data() + space + 1, text.data() + text.size(), mark.key);
  return mark;
}

std::string to_text(const Query& q, const Task& last) {
  std::int64_t key = 0;
  if (q.order == "position") key = last.position;
  if (q.order == "due_on") key = last.due_on->time_since_epoch().count();
  return last.id.str() + " " + std::to_string(key);
}

Async<Reply<Page<Task>>> list(TenantRead& ctx) {
  const auto page_query = ctx.page_query();
  const auto q = read_query(ctx);
  Page<Task> page;
  if (q.nothing) co_return Reply<Page<Task>>{std::move(page)};
  const auto mark = page_query.after ? parse_mark(*page_query.after) : first_mark(q);
  auto rows = co_await ctx.db.all(statement_of(q), q.project, q.status, q.assignee, q.label, q.word,
                                  q.words, mark.id, mark.key, page_query.size + 1);
  if (rows.size() > static_cast<std::size_t>(page_query.size)) {
    rows.pop_back();
    page.next_page_token = ctx.next_token(to_text(q, rows.back()));
  }
  page.items.assign(rows.begin(), rows.end());
  co_return Reply<Page<Task>>{std::move(page)};
}

Async<Reply<Task>> get(TenantRead& ctx) {
  auto row = co_await ctx.db.maybe_one(kGet, id_of(ctx));
  if (!row) fail(Code::not_found, "task_not_found");
  co_return Reply<Task>{*row, 200, row->version};
}

/// Says which reference is wrong; another tenant's and a missing one read alike.
Async<> explain_reference(TenantWrite& ctx, ProjectId project,
                          std::optional<auth::MemberId> assignee, const std::string& at) {
  if (!co_await ctx.tx.maybe_one(kLiveProject, project))
    bad_field(at + "/project_id", "not_found", "there is no such project");
  if (assignee && !co_await ctx.tx.maybe_one(kPresentMember, *assignee))
    bad_field(at + "/assignee_id", "not_found", "there is no such member");
}

Async<Task> insert(TenantWrite& ctx, const CreateTask& body, std::string at) {
  const auto created = now();
  Task task{TaskId::make(created),
            body.project_id,
            body.title.value,
            body.status.value_or(Status::todo),
            body.assignee_id,
            body.due_on,
            body.labels ? to_texts(*body.labels) : std::vector<std::string>(),
            body.position
                ? body.position->value
                : std::chrono::floor<std::chrono::milliseconds>(created).time_since_epoch().count(),
            created,
            created,
            {}};
  const auto rows =
      co_await ctx.tx.execute(kInsert, task.id, task.project_id, task.title, task.status,
                              task.assignee_id, task.due_on, task.labels, task.position, created);
  if (rows == 0) {
    co_await explain_reference(ctx, task.project_id, task.assignee_id, at);
    fail(Code::conflict, "reference_changed", "a referenced thing changed meanwhile; try again");
  }
  if (!task.labels.empty()) ctx.tx.defer(kAddLabels, task.id, task.labels);
  if (const auto terms = terms_of(task.title); !terms.empty())
    ctx.tx.defer(kAddTerms, task.id, terms);
  trail(ctx, "task.created", task.id, {}, http::to_json(task));
  co_return task;
}

Async<Reply<Task>> create(TenantWrite& ctx, CreateTask body) {
  auto task = co_await insert(ctx, body, "");
  Reply<Task> reply{task, 201, 1};
  reply.headers.push_back({"Location", std::string(ctx.request.path()) + "/" + task.id.str()});
  co_return reply;
}

Async<Reply<TaskList>> create_batch(TenantWrite& ctx, CreateTasks body) {
  if (body.items.items.empty()) bad_field("/items", "too_short", "must have at least one item");
  TaskList out;
  for (std::size_t i = 0; i < body.items.items.size(); ++i)
    out.items.push_back(co_await insert(ctx, body.items.items[i], "/items/" + std::to_string(i)));
  co_return Reply<TaskList>{std::move(out), 201};
}

void save(TenantWrite& ctx, const TaskRow& before, TaskRow& after, std::string verb) {
  after.updated_at = now();
  ++after.version;
  ctx.tx.defer(kUpdate, after.id, after.project_id, after.title, after.status, after.assignee_id,
               after.due_on, after.labels, after.position, after.updated_at, after.deleted_at);
  if (after.labels != before.labels) {
    ctx.tx.defer(kDropLabels, after.id);
    if (!after.labels.empty()) ctx.tx.defer(kAddLabels, after.id, after.labels);
  }
  if (after.title != before.title) {
    ctx.tx.defer(kDropTerms, after.id);
    if (const auto terms = terms_of(after.title); !terms.empty())
      ctx.tx.defer(kAddTerms, after.id, terms);
  }
  trail(ctx, std::move(verb), after.id, http::to_json<Task>(before), http::to_json<Task>(after));
}

Async<TaskRow> lock(TenantWrite& ctx, bool deleted) {
  auto row = co_await ctx.tx.maybe_one(kLock, id_of(ctx));
  if (!row || row->deleted_at.has_value() != deleted) fail(Code::not_found, "task_not_found");
  ctx.require_match(row->version);
  co_return *row;
}

Async<Reply<Task>> patch(TenantWrite& ctx, PatchTask body) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  if (body.project_id.present()) after.project_id = *body.project_id;
  if (body.title.present()) after.title = (*body.title).value;
  if (body.status.present()) after.status = *body.status;
  if (body.assignee_id.present()) after.assignee_id = *body.assignee_id;
  if (body.due_on.present()) after.due_on = *body.due_on;
  if (body.labels.present()) after.labels = to_texts(*body.labels);
  if (body.position.present()) after.position = (*body.position).value;
  if (http::to_json<Task>(after) == http::to_json<Task>(before))
    co_return Reply<Task>{after, 200, after.version};
  const auto assignee = after.assignee_id != before.assignee_id ? after.assignee_id : std::nullopt;
  if (assignee || after.project_id != before.project_id)
    co_await explain_reference(ctx, after.project_id, assignee, "");
  save(ctx, before, after, "task.updated");
  co_return Reply<Task>{after, 200, after.version};
}

Async<Reply<Nothing>> remove(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, false);
  auto after = before;
  after.deleted_at = now();
  save(ctx, before, after, "task.deleted");
  co_return Reply<Nothing>{};
}

Async<Reply<Task>> undelete(TenantWrite& ctx) {
  const auto before = co_await lock(ctx, true);
  auto after = before;
  after.deleted_at = {};
  save(ctx, before, after, "task.undeleted");
  co_return Reply<Task>{after, 200, after.version};
}

}  // namespace

void add_routes(auth::Routes& r) {
  const std::string path = "/v1/tenants/{tenant}/tasks";
  r.read(path, Permission::data_read,
         {"listTasks",
          "Tasks",
          "Tasks by filter and order",
          {{"project_id", "of this project", {}, "project"},
           {"status", "todo, doing or done", {"todo", "doing", "done"}},
           {"assignee_id", "of this member", {}, "member"},
           {"label", "with this label"},
           {"q", "whose title has all these words"},
           {"order_by",
            "created_at (default), -created_at, position (with project_id), or due_on (tasks that "
            "have one)",
            {"created_at", "-created_at", "position", "due_on"}},
           {"page_size", "1 to 200, 50 by default"},
           {"page_token", "next_page_token of the page before"}}},
         list);
  r.write("POST", path, Permission::data_write, {"createTask", "Tasks", "Create a task", {}, 201},
          create);
  r.write("POST", path + "/batch", Permission::data_write,
          {"createTasks", "Tasks", "Create up to 100 tasks, all or none", {}, 201}, create_batch);
  r.read(path + "/{task}", Permission::data_read, {"getTask", "Tasks", "One task"}, get);
  r.write("PATCH", path + "/{task}", Permission::data_write,
          {"updateTask", "Tasks", "Change a task"}, patch);
  r.write("DELETE", path + "/{task}", Permission::data_write,
          {"deleteTask", "Tasks", "Delete a task"}, remove);
  r.write("POST", path + "/{task}/undelete", Permission::data_write,
          {"undeleteTask", "Tasks", "Bring a task back"}, undelete);
}

}  // namespace coditect::tasks
