#pragma once
#include "auth/routes.h"

namespace own_saas::invoices {

void add_routes(coditect::auth::Routes& routes);

}  // namespace own_saas::invoices
