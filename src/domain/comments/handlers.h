#pragma once
#include "auth/routes.h"

namespace coditect::comments {

void add_routes(auth::Routes& routes);

}  // namespace coditect::comments
