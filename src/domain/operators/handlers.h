#pragma once
#include "auth/routes.h"

namespace coditect::operators {

void add_routes(auth::Routes& routes);

}  // namespace coditect::operators
