#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "auth/gate.h"
#include "http/json.h"
#include "http/router.h"

/// Typed routes: the signature of a handler is its security policy. The table of routes is also the
/// OpenAPI document.
namespace coditect::auth {

/// A handler's answer.
template <class T>
struct Reply {
  T value;
  int status = 200;
  std::optional<std::int64_t> version{};  ///< becomes the ETag
  std::vector<http::Header> headers{};
};
/// No body in the request, or none in the answer (204).
struct Nothing {};

/// A list's page.
template <class T>
struct Page {
  std::vector<T> items;
  std::optional<std::string> next_page_token;  ///< null: this was the last
  BOOST_DESCRIBE_CLASS(Page, (), (items, next_page_token), (), ())
};

struct QueryParameter {
  std::string name;
  std::string description;
  std::vector<std::string> values{};  ///< all that are allowed; empty: any
  std::string refers{};  ///< the prefix of the TypeID it takes; empty: none, or several
};

/// What the documentation says of a route.
struct Doc {
  std::string id;  ///< operationId
  std::string tag;
  std::string summary;
  std::vector<QueryParameter> query{};
  int status = 200;
  bool while_inactive = false;   ///< works for suspended and deleted tenants
  bool own_idempotency = false;  ///< the handler reads Idempotency-Key itself
};

/// What every handler may look at.
struct Context {
  Services& services;
  Gate& gate;
  http::Request& request;
  http::PathParams params;
  std::string route;

  /// The id in the path; a malformed one gets the answer for a missing one.
  template <class Id>
  Id path_id(std::string_view name, std::string_view not_found) const {
    const auto id = Id::parse(params.at(name));
    if (!id) fail(Code::not_found, not_found);
    return *id;
  }
  /// A query parameter; nullopt when absent.
  std::optional<std::string> query(std::string_view name) const;
  /// Throws unless If-Match is absent or names this version.
  void require_match(std::int64_t version) const;
};

struct OpenContext : Context {};
struct UserContext : Context {
  UserAccess user;
};
struct OperatorContext : Context {
  OperatorAccess by;
  std::string reason;  ///< of X-Reason; required for changes
};

struct TenantContext : Context {
  const TenantAccess& access;

  const Principal& principal() const { return access.principal; }
  /// What the credential may do; may cost a look into the database.
  Async<PermissionSet> permissions() const { return gate.settle(access, request); }

  /// page_size and the opened page_token. A token is bound to tenant, route and filters.
  struct PageQuery {
    int size = 50;
    std::optional<std::string> after;  ///< what next_token() was given
  };
  PageQuery page_query() const;
  std::string next_token(std::string_view position) const;

 private:
  std::string page_scope() const;
};

/// Reads a tenant's rows.
struct TenantRead : TenantContext {
  TenantDb db;
};
/// Changes a tenant's rows: one transaction, committed when the handler returns and rolled back
/// when it throws. The handler may run again after a serialization failure.
struct TenantWrite : TenantContext {
  tenancy::TenantTx& tx;
  /// Work outside the transaction that starts once it is committed; a failure of it is only logged.
  std::vector<Async<>> after_commit{};
};
/// Acts on the tenant as a whole, in the directory.
struct TenantAct : TenantContext {};

namespace detail {

template <class T>
http::Response to_response(Reply<T>&& reply) {
  http::Response r{.status = reply.status, .headers = std::move(reply.headers)};
  if constexpr (std::is_same_v<T, Nothing>)
    r.status = 204;
  else
    http::JsonType<T>::write(r.body, reply.value);
  if (reply.version) r.headers.push_back({"ETag", '"' + std::to_string(*reply.version) + '"'});
  return r;
}

void require_json(const http::Request& request);
void require_no_body(const http::Request& request);

template <class Ctx, class Body, class Answer>
Async<http::Response> call(Async<Reply<Answer>> (*handler)(Ctx&, Body), Ctx& ctx) {
  require_json(ctx.request);
  auto body = http::read_json<Body>(ctx.request.body);
  co_return to_response(co_await handler(ctx, std::move(body)));
}
template <class Ctx, class Answer>
Async<http::Response> call_without_body(Async<Reply<Answer>> (*handler)(Ctx&), Ctx& ctx) {
  require_no_body(ctx.request);
  co_return to_response(co_await handler(ctx));
}

template <class T>
std::optional<boost::json::object> schema_of() {
  if constexpr (std::is_same_v<T, Nothing>)
    return std::nullopt;
  else
    return http::JsonType<T>::schema();
}

}  // namespace detail

class Routes {
 public:
  template <class Ctx>
  using Call = std::function<Async<http::Response>(Ctx&)>;

  struct Route {
    std::string method, path;
    Doc doc;
    std::optional<Permission> permission;  ///< of tenant routes
    std::optional<boost::json::object> body, answer;
    Call<OpenContext> open;
    Call<UserContext> user;
    Call<OperatorContext> operators;
    Call<TenantRead> read;
    Call<TenantWrite> write;
    Call<TenantAct> act;
  };

  template <class Body, class Answer>
  void open(std::string method, std::string path, Doc doc,
            Async<Reply<Answer>> (*h)(OpenContext&, Body)) {
    add<Body, Answer>(std::move(method), std::move(path), std::move(doc), {}).open = with_body(h);
  }
  template <class Body, class Answer>
  void user(std::string method, std::string path, Doc doc,
            Async<Reply<Answer>> (*h)(UserContext&, Body)) {
    add<Body, Answer>(std::move(method), std::move(path), std::move(doc), {}).user = with_body(h);
  }
  template <class Answer>
  void user(std::string method, std::string path, Doc doc,
            Async<Reply<Answer>> (*h)(UserContext&)) {
    add<Nothing, Answer>(std::move(method), std::move(path), std::move(doc), {}).user =
        without_body(h);
  }
  template <class Answer>
  void operators(std::string method, std::string path, Doc doc,
                 Async<Reply<Answer>> (*h)(OperatorContext&)) {
    add<Nothing, Answer>(std::move(method), std::move(path), std::move(doc), {}).operators =
        without_body(h);
  }
  template <class Answer>
  void read(std::string path, Permission p, Doc doc, Async<Reply<Answer>> (*h)(TenantRead&)) {
    add<Nothing, Answer>("GET", std::move(path), std::move(doc), p).read = without_body(h);
  }
  template <class Body, class Answer>
  void write(std::string method, std::string path, Permission p, Doc doc,
             Async<Reply<Answer>> (*h)(TenantWrite&, Body)) {
    add<Body, Answer>(std::move(method), std::move(path), std::move(doc), p).write = with_body(h);
  }
  template <class Answer>
  void write(std::string method, std::string path, Permission p, Doc doc,
             Async<Reply<Answer>> (*h)(TenantWrite&)) {
    add<Nothing, Answer>(std::move(method), std::move(path), std::move(doc), p).write =
        without_body(h);
  }
  template <class Body, class Answer>
  void act(std::string method, std::string path, Permission p, Doc doc,
           Async<Reply<Answer>> (*h)(TenantAct&, Body)) {
    add<Body, Answer>(std::move(method), std::move(path), std::move(doc), p).act = with_body(h);
  }
  template <class Answer>
  void act(std::string method, std::string path, Permission p, Doc doc,
           Async<Reply<Answer>> (*h)(TenantAct&)) {
    add<Nothing, Answer>(std::move(method), std::move(path), std::move(doc), p).act =
        without_body(h);
  }

  const std::vector<std::unique_ptr<Route>>& all() const { return routes_; }
  http::Router<const Route*>::Match find(const http::Request& request) const {
    return router_.find(request.method, request.segments);
  }

 private:
  template <class Ctx, class Body, class Answer>
  static Call<Ctx> with_body(Async<Reply<Answer>> (*h)(Ctx&, Body)) {
    return [h](Ctx& ctx) { return detail::call<Ctx, Body, Answer>(h, ctx); };
  }
  template <class Ctx, class Answer>
  static Call<Ctx> without_body(Async<Reply<Answer>> (*h)(Ctx&)) {
    return [h](Ctx& ctx) { return detail::call_without_body<Ctx, Answer>(h, ctx); };
  }
  template <class Body, class Answer>
  Route& add(std::string method, std::string path, Doc doc, std::optional<Permission> p) {
    auto& route = *routes_.emplace_back(std::make_unique<Route>());
    if (std::is_same_v<Answer, Nothing>) doc.status = 204;
    route = {.method = std::move(method),
             .path = std::move(path),
             .doc = std::move(doc),
             .permission = p,
             .body = detail::schema_of<Body>(),
             .answer = detail::schema_of<Answer>()};
    router_.add(route.method, route.path, &route);
    return route;
  }

  std::vector<std::unique_ptr<Route>> routes_;
  http::Router<const Route*> router_;
};

/// OpenAPI 3.1 from the table of routes.
std::string openapi_document(const Routes& routes, const std::string& version);
/// The same for people: one page without outside assets.
std::string docs_page(const Routes& routes, const std::string& version);

}  // namespace coditect::auth
