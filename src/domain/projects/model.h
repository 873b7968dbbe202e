#pragma once
#include "http/json.h"

namespace coditect::projects {

struct ProjectTag {
  static constexpr std::string_view prefix = "project";
};
using ProjectId = Id<ProjectTag>;

struct Project {
  ProjectId id;
  std::string name;
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<Timestamp> deleted_at;
};
BOOST_DESCRIBE_STRUCT(Project, (), (id, name, created_at, updated_at, deleted_at))

struct CreateProject {
  http::Text<1, 200> name;
};
BOOST_DESCRIBE_STRUCT(CreateProject, (), (name))

struct PatchProject {
  http::Field<http::Text<1, 200>> name;
};
BOOST_DESCRIBE_STRUCT(PatchProject, (), (name))

}  // namespace coditect::projects
