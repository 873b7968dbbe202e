#pragma once
#include "http/json.h"

namespace coditect::comments {

struct CommentTag {
  static constexpr std::string_view prefix = "comment";
};
using CommentId = Id<CommentTag>;
struct TaskTag {
  static constexpr std::string_view prefix = "task";
};
using TaskId = Id<TaskTag>;

using Body = http::Text<1, 10000>;

struct Comment {
  CommentId id;
  TaskId task_id;
  std::string body;
  std::string author_type;
  std::optional<std::string> author_id;
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<Timestamp> deleted_at;
};
BOOST_DESCRIBE_STRUCT(Comment, (),
                      (id, task_id, body, author_type, author_id, created_at, updated_at,
                       deleted_at))

struct CreateComment {
  TaskId task_id;
  Body body;
};
BOOST_DESCRIBE_STRUCT(CreateComment, (), (task_id, body))

struct PatchComment {
  http::Field<Body> body;
};
BOOST_DESCRIBE_STRUCT(PatchComment, (), (body))

}  // namespace coditect::comments
