#include "http/client.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

namespace coditect::http {
namespace {

namespace beast = boost::beast;

struct Address {
  std::string host, port, target;
};

Address split(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme))
    fail(Code::invalid_argument, "invalid_url", "'" + url + "' must start with http://");
  std::string_view rest = std::string_view(url).substr(kScheme.size());
  const auto slash = rest.find('/');
  const auto authority = rest.substr(0, slash);
  const auto colon = authority.rfind(':');
  Address out{std::string(authority.substr(0, colon)),
              colon == authority.npos ? "80" : std::string(authority.substr(colon + 1)),
              slash == rest.npos ? "/" : std::string(rest.substr(slash))};
  if (out.host.empty()) fail(Code::invalid_argument, "invalid_url", "'" + url + "' names no host");
  return out;
}

}  // namespace

Async<Response> fetch(std::string method, std::string url, std::vector<Header> headers,
                      std::string body, Deadline deadline) {
  const auto to = split(url);
  const auto executor = co_await asio::this_coro::executor;
  Response response;
  try {
    asio::ip::tcp::resolver resolver(executor);
    const auto endpoints = co_await resolver.async_resolve(to.host, to.port, asio::use_awaitable);
    beast::tcp_stream stream(executor);
    stream.expires_at(deadline);
    co_await stream.async_connect(endpoints, asio::use_awaitable);
    beast::http::request<beast::http::string_body> request;
    request.version(11);
    request.method_string(method);
    request.target(to.target);
    request.set(beast::http::field::host, to.host + ":" + to.port);
    for (const auto& h : headers) request.set(h.name, h.value);
    request.body() = std::move(body);
    request.keep_alive(false);
    request.prepare_payload();
    co_await beast::http::async_write(stream, request, asio::use_awaitable);
    beast::flat_buffer buffer;
    beast::http::response_parser<beast::http::string_body> parser;
    parser.body_limit(64 * 1024 * 1024);
    co_await beast::http::async_read(stream, buffer, parser, asio::use_awaitable);
    response.status = static_cast<int>(parser.get().result_int());
    for (const auto& field : parser.get())
      response.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    response.body = std::move(parser.get().body());
  } catch (const boost::system::system_error& e) {  // Asio's error becomes ours
    if (e.code() == beast::error::timeout) fail(Code::deadline_exceeded, "http_timeout", url);
    fail(Code::unavailable, "http_unreachable", url + ": " + e.code().message());
  }
  co_return response;
}

Response fetch_now(std::string method, std::string url, std::vector<Header> headers,
                   std::string body, std::chrono::milliseconds patience) {
  asio::io_context io;
  auto done = asio::co_spawn(io,
                             fetch(std::move(method), std::move(url), std::move(headers),
                                   std::move(body), after(patience)),
                             asio::use_future);
  io.run();
  return done.get();
}

}  // namespace coditect::http
