#include "auth/dispatch.h"

#include <random>

#include "auth/idempotency.h"
#include "base/bytes.h"
#include "http/problem.h"
#include "obs/log.h"

namespace coditect::auth {
namespace {

/// Unknown and repeated parameters are refused by name: a misspelt filter must not widen a list.
void check_query(const Routes::Route& r, const http::Request& request) {
  http::FieldErrors errors;
  for (std::size_t i = 0; i < request.query.size(); ++i) {
    const auto& name = request.query[i].first;
    std::string known;
    bool found = false;
    for (const auto& q : r.doc.query) {
      known += (known.empty() ? "" : ", ") + q.name;
      found = found || q.name == name;
    }
    if (!found)
      errors.push_back(
          {name, "unknown_parameter",
           known.empty() ? "this operation takes no parameters" : "known are " + known});
    for (std::size_t k = 0; k < i; ++k) {
      if (request.query[k].first != name) continue;
      errors.push_back({name, "duplicate", "is given twice"});
      break;
    }
    if (errors.size() >= http::kMaxFieldErrors) break;
  }
  if (!errors.empty())
    throw Failure({Code::invalid_argument, "invalid_parameter", "a query parameter is wrong",
                   std::move(errors)});
}

bool etag_matches(const http::Request& request, const http::Response& response) {
  const auto* wanted = request.header("if-none-match");
  if (wanted == nullptr) return false;
  for (const auto& h : response.headers)
    if (h.name == "ETag" && h.value == *wanted) return true;
  return false;
}

bool sampled_by_chance(int per_mille) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return per_mille > 0 && random() % 1000 < static_cast<unsigned>(per_mille);
}

}  // namespace

Async<http::Response> Dispatch::answer(http::Request& request) {
  const auto start = now();
  thread_local obs::AskedSamples asked;
  if (request.trace.sampled ? !asked.take(start) : request.header("traceparent") == nullptr)
    request.trace.sampled = sampled_by_chance(services_.sample_per_mille);
  request.tracer = obs::Tracer(services_.spans, request.trace);
  http::Response response;
  try {
    response = co_await route(request);
  } catch (const Failure& f) {
    const int status = http::status_of(f.error().code);
    if (status >= 500)
      obs::log(status == 500 ? obs::Level::error : obs::Level::warn, "request failed",
               {{"request_id", request.id},
                {"trace_id", request.trace.trace_id_hex()},
                {"route", request.route},
                {"reason", f.error().reason},
                {"error", f.what()}});
    response = http::problem(f.error(), request.id);
  } catch (const std::exception& e) {  // a bug: answer, log, go on
    obs::log(obs::Level::error, "request failed unexpectedly",
             {{"request_id", request.id}, {"route", request.route}, {"error", e.what()}});
    response = http::problem(Error{Code::internal, "internal"}, request.id);
  }
  finish(request, response, start);
  co_return response;
}

void Dispatch::finish(const http::Request& request, const http::Response& response,
                      Timestamp start) {
  if (!request.trace.sampled) return;
  obs::Span span{.name = request.method + " " + request.route,
                 .context = request.trace,
                 .start = start,
                 .end = now(),
                 .failed = response.status >= 500};
  if (const auto* parent = request.header("traceparent"))
    if (const auto context = obs::TraceContext::parse(*parent)) span.parent = context->span_id;
  span.attributes = {{"http.request.method", request.method},
                     {"http.route", request.route},
                     {"http.response.status_code", std::to_string(response.status)},
                     {"coditect.tenant", request.tenant},
                     {"coditect.request_id", request.id}};
  services_.spans.push(std::move(span));
}

Async<http::Response> Dispatch::route(http::Request& request) {
  auto match = routes_.find(request);
  if (match.route == nullptr) {
    if (match.allowed.empty()) fail(Code::not_found, "route_not_found", "there is no such path");
    if (request.method == "OPTIONS")
      co_return http::Response{.status = 204, .headers = {{"Allow", match.allowed}}};
    auto response =
        http::problem(405, "method_not_allowed", "allowed are " + match.allowed, request.id);
    response.headers.push_back({"Allow", match.allowed});
    co_return response;
  }
  const auto& r = **match.route;
  request.route = r.path;
  Context context{services_, gate_, request, std::move(match.params), r.path};
  if (r.permission) co_return co_await tenant_route(r, std::move(context));
  if (r.user) {
    UserContext ctx{std::move(context), co_await gate_.user(request)};
    check_query(r, request);
    if (r.doc.own_idempotency) co_return co_await r.user(ctx);
    const std::function<Async<http::Response>()> work = [&r, &ctx] { return r.user(ctx); };
    co_return co_await run_once(services_, request, "user " + ctx.user.user.str(), holding_, work);
  }
  if (r.operators) {
    const auto by = co_await gate_.operators(request);
    check_query(r, request);
    const auto* reason = request.header("x-reason");
    if (reason != nullptr && !is_valid_utf8(*reason))
      fail(Code::invalid_argument, "reason_malformed", "X-Reason must be UTF-8");
    OperatorContext ctx{std::move(context), by, reason != nullptr ? *reason : ""};
    if (request.method != "GET" && request.method != "HEAD" && ctx.reason.size() < 3)
      fail(Code::invalid_argument, "reason_missing",
           "say why in the header X-Reason (at least 3 characters)");
    co_return co_await r.operators(ctx);
  }
  check_query(r, request);
  OpenContext ctx{std::move(context)};
  if (r.doc.own_idempotency) co_return co_await r.open(ctx);
  const std::function<Async<http::Response>()> work = [&r, &ctx] { return r.open(ctx); };
  co_return co_await run_once(services_, request, "address " + request.remote, holding_, work);
}

Async<http::Response> Dispatch::tenant_route(const Routes::Route& r, Context context) {
  auto& request = context.request;
  const auto& slug = context.params.at("tenant");
  const auto access = co_await gate_.tenant(
      request, slug, {*r.permission, r.doc.while_inactive, static_cast<bool>(r.act)});
  std::optional<Failure> refused;
  try {
    auto response = co_await with_access(r, std::move(context), access);
    co_await gate_.settle(access, request);
    request.tenant = access.slug;
    co_return response;
  } catch (const Failure& f) {  // one who may not ask is not told why the request was wrong
    refused = f;
  }
  co_await gate_.settle(access, request);
  request.tenant = access.slug;
  throw Failure(std::move(*refused));
}

Async<http::Response> Dispatch::with_access(const Routes::Route& r, Context context,
                                            const TenantAccess& access) {
  auto& request = context.request;
  check_query(r, request);
  TenantContext ctx{std::move(context), access};
  const TenantDb db(services_.cell, access.tenant, request.deadline, request.tracer,
                    companion_of(access));
  if (r.read) {
    TenantRead read{ctx, db};
    auto response = co_await r.read(read);
    if (etag_matches(request, response)) {
      response.status = 304;
      response.body.clear();
    }
    co_return response;
  }
  if (r.act) {
    TenantAct act{ctx};
    const std::function<Async<http::Response>()> work = [&r, &act] { return r.act(act); };
    const auto principal =
        std::string(access.principal.type_name()) + " " + to_string(access.principal.id);
    co_return co_await run_once(services_, request, principal, holding_, work);
  }
  co_return co_await run_write(r, ctx, db);
}

}  // namespace coditect::auth
