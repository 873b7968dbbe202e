#pragma once
#include "auth/routes.h"

namespace own_saas::customers {

void add_routes(coditect::auth::Routes& routes);

}  // namespace own_saas::customers
