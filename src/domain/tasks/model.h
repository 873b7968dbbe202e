#pragma once
#include "auth/credential.h"
#include "http/json.h"

namespace coditect::tasks {

struct TaskTag {
  static constexpr std::string_view prefix = "task";
};
using TaskId = Id<TaskTag>;
struct ProjectTag {
  static constexpr std::string_view prefix = "project";
};
using ProjectId = Id<ProjectTag>;

enum class Status { todo, doing, done };
BOOST_DESCRIBE_ENUM(Status, todo, doing, done)

using Label = http::Text<1, 40>;
using Labels = http::List<Label, 20>;
using Title = http::Text<1, 500>;
/// Where a task stands in its project: any number; tasks are listed from low to high.
using Position = http::Int<0, 9007199254740991>;

struct Task {
  TaskId id;
  ProjectId project_id;
  std::string title;
  Status status;
  std::optional<auth::MemberId> assignee_id;
  std::optional<Date> due_on;
  std::vector<std::string> labels;
  std::int64_t position = 0;
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<Timestamp> deleted_at;
};
BOOST_DESCRIBE_STRUCT(Task, (),
                      (id, project_id, title, status, assignee_id, due_on, labels, position,
                       created_at, updated_at, deleted_at))

struct CreateTask {
  ProjectId project_id;
  Title title;
  std::optional<Status> status;
  std::optional<auth::MemberId> assignee_id;
  std::optional<Date> due_on;
  std::optional<Labels> labels;
  std::optional<Position> position;
};
BOOST_DESCRIBE_STRUCT(CreateTask, (),
                      (project_id, title, status, assignee_id, due_on, labels, position))

struct CreateTasks {
  http::List<CreateTask, 100> items;
};
BOOST_DESCRIBE_STRUCT(CreateTasks, (), (items))

struct TaskList {
  std::vector<Task> items;
};
BOOST_DESCRIBE_STRUCT(TaskList, (), (items))

struct PatchTask {
  http::Field<ProjectId> project_id;
  http::Field<Title> title;
  http::Field<Status> status;
  http::Field<std::optional<auth::MemberId>> assignee_id;
  http::Field<std::optional<Date>> due_on;
  http::Field<Labels> labels;
  http::Field<Position> position;
};
BOOST_DESCRIBE_STRUCT(PatchTask, (),
                      (project_id, title, status, assignee_id, due_on, labels, position))

/// The words by which a title is found: letters and digits (and all beyond ASCII), ASCII in lower
/// case, without repetition, 64 at most.
std::vector<std::string> terms_of(std::string_view text);

}  // namespace coditect::tasks
