#pragma once
#include <functional>

#include "auth/routes.h"

namespace coditect::auth {

/// Runs a tenant's write in one transaction. With an Idempotency-Key on POST the transaction also
/// holds a record of the answer, so it happens once however often it is sent: repeated it is
/// replayed exactly, in flight it is a 409, with another body a 422. Kept for 24 hours per tenant,
/// principal, method and path; sealed, for answers may hold secrets.
Async<http::Response> run_write(const Routes::Route& route, TenantContext& context,
                                const TenantDb& db);

/// The same for work outside of a tenant's transaction (sessions, invitations, an organization's
/// return): the record is the directory's and is held open while the work runs. `holding` counts
/// the records of this loop that are open, so that they cannot use up its connections.
Async<http::Response> run_once(Services& services, const http::Request& request,
                               std::string principal, int& holding,
                               const std::function<Async<http::Response>()>& work);

/// The header's value, checked; nullopt when absent or the method is not POST.
std::optional<std::string> idempotency_key(const http::Request& request);

/// An answer as text and back, for sealing.
std::string pack(const http::Response& response);
http::Response unpack(std::string_view text);

}  // namespace coditect::auth
