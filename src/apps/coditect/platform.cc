#include "apps/coditect/application.h"
#include "domain/accounts/handlers.h"
#include "domain/activity/handlers.h"
#include "domain/comments/handlers.h"
#include "domain/operators/handlers.h"
#include "domain/organization/handlers.h"
#include "domain/projects/handlers.h"
#include "domain/tasks/handlers.h"

namespace coditect::app {
namespace {

void fill_demo(const Application::Post& post, const std::string& organization) {
  const auto project = post("/projects", {{"name", organization + " launch"}}).at("id");
  boost::json::array tasks;
  for (const char* title :
       {"Write the announcement", "Invite the first customers", "Check the invoices"})
    tasks.push_back(
        {{"project_id", project}, {"title", title}, {"labels", boost::json::array{"demo"}}});
  const auto made = post("/tasks/batch", {{"items", std::move(tasks)}});
  post("/comments",
       {{"task_id", made.at("items").at(0).at("id")}, {"body", "A first draft is ready."}});
}

}  // namespace

Application core() {
  Application out;
  out.migrations = {{std::string(schema::kPlatform), CODITECT_VERSION, schema::migration_files()}};
  out.slices = {accounts::add_routes, organization::add_routes, activity::add_routes,
                operators::add_routes};
  return out;
}

Application platform() {
  auto out = core();
  out.slices.push_back(projects::add_routes);
  out.slices.push_back(tasks::add_routes);
  out.slices.push_back(comments::add_routes);
  // new slices above this line
  out.fill_demo = fill_demo;
  out.demo_list = "tasks";
  return out;
}

}  // namespace coditect::app
