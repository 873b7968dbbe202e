#pragma once
#include "auth/routes.h"

namespace coditect::organization {

/// The tenant itself, its members and its API keys.
void add_routes(auth::Routes& routes);

}  // namespace coditect::organization
