// Request targets, percent encoding, trace headers, routes.
#include "http/message.h"
#include "http/router.h"
#include "testing/fuzz.h"

using namespace coditect;

FUZZ_TARGET {
  if (const auto text = http::percent_decode(input, false)) {
    CHECK(!text->contains('\0'));
    CHECK(http::percent_decode(http::percent_encode(*text), false) == text);
  }
  if (const auto context = obs::TraceContext::parse(input))
    CHECK(obs::TraceContext::parse(context->header())->trace_id == context->trace_id);
  static const auto router = [] {
    auto r = std::make_unique<http::Router<int>>();
    r->add("GET", "/v1/tenants/{tenant}/tasks/{task}", 1);
    r->add("GET", "/v1/tenants/{tenant}/tasks/batch", 2);
    return r;
  }();
  http::Request request;
  request.target = input;
  if (!http::parse_target(request)) return;
  const auto match = router->find("GET", request.segments);
  if (match.route != nullptr) CHECK(!match.params.at("tenant").empty());
}
