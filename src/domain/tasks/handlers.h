#pragma once
#include "auth/routes.h"

namespace coditect::tasks {

void add_routes(auth::Routes& routes);

}  // namespace coditect::tasks
