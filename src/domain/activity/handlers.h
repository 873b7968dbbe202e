#pragma once
#include "auth/routes.h"

namespace coditect::activity {

void add_routes(auth::Routes& routes);

}  // namespace coditect::activity
