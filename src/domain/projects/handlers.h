#pragma once
#include "auth/routes.h"

namespace coditect::projects {

void add_routes(auth::Routes& routes);

}  // namespace coditect::projects
