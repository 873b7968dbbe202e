#pragma once
#include "auth/routes.h"

namespace coditect::accounts {

/// Signup, sessions, the signed-in user, further organizations, invitations.
void add_routes(auth::Routes& routes);

}  // namespace coditect::accounts
