#include "http/problem.h"

#include "base/mutant.h"
#include "obs/log.h"

namespace coditect::http {
namespace {

std::string_view title_of(int status) {
  switch (status) {
    case 400: return "The request is not valid";
    case 401: return "A valid credential is needed";
    case 403: return "The credential may not do this";
    case 404: return "There is no such thing";
    case 409: return "The request clashes with the present state";
    case 412: return "The resource has changed";
    case 422: return "The idempotency key was used with another request";
    case 429: return "Too many requests";
    case 500: return "The service failed";
    case 503: return "The service cannot answer right now";
    case 504: return "The service took too long";
    default: return reason_phrase(status);
  }
}

Response build(int status, std::string_view code, std::string_view detail,
               const std::vector<FieldError>& fields, std::string_view request_id) {
  Response response{.status = status, .content_type = "application/problem+json"};
  auto& out = response.body;
  out = R"({"type":"urn:coditect:problem:)";
  out += code;
  out += R"(","title":)";
  obs::append_json_string(out, title_of(status));
  out += R"(,"status":)" + std::to_string(status) + R"(,"code":)";
  obs::append_json_string(out, code);
  if (!detail.empty()) {
    out += R"(,"detail":)";
    obs::append_json_string(out, detail);
  }
  if (!fields.empty()) {
    out += R"(,"errors":[)";
    for (const auto& field : fields) {
      if (&field != fields.data()) out += ',';
      out += R"({"pointer":)";
      obs::append_json_string(out, field.pointer);
      out += R"(,"code":)";
      obs::append_json_string(out, field.code);
      out += R"(,"message":)";
      obs::append_json_string(out, field.message);
      out += '}';
    }
    out += ']';
  }
  out += R"(,"request_id":)";
  obs::append_json_string(out, request_id);
  out += '}';
  return response;
}

}  // namespace

Response problem(const Error& error, std::string_view request_id) {
  const int status = status_of(error.code);
  const bool ours = (status >= 500 || error.detail_is_private) && !mutant("problem.database_words");
  auto response = build(status, error.reason, ours ? "" : error.detail, error.fields, request_id);
  if (error.retry_after.count() > 0)
    response.headers.push_back({"Retry-After", std::to_string(error.retry_after.count())});
  if (status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  return response;
}

Response problem(int status, std::string_view code, std::string_view detail,
                 std::string_view request_id) {
  return build(status, code, detail, {}, request_id);
}

}  // namespace coditect::http
