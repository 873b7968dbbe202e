#pragma once
#include "auth/routes.h"

namespace coditect::auth {

/// From a parsed request to its answer: route, gate, permission, handler. The boundary where
/// failures become problems. One per loop; the routes are shared.
class Dispatch {
 public:
  Dispatch(const Routes& routes, Services& services)
      : routes_(routes), services_(services), gate_(services) {}

  Async<http::Response> answer(http::Request& request);

 private:
  Async<http::Response> route(http::Request& request);
  Async<http::Response> tenant_route(const Routes::Route& r, Context context);
  Async<http::Response> with_access(const Routes::Route& r, Context context,
                                    const TenantAccess& access);
  void finish(const http::Request& request, const http::Response& response, Timestamp start);

  const Routes& routes_;
  Services& services_;
  Gate gate_;
  int holding_ = 0;  ///< idempotency records of the directory that are open
};

}  // namespace coditect::auth
