#pragma once
#include "base/error.h"
#include "http/message.h"

namespace coditect::http {

/// The one place where a Code becomes an HTTP status.
constexpr int status_of(Code c) {
  switch (c) {
    case Code::invalid_argument: return 400;
    case Code::unauthenticated: return 401;
    case Code::permission_denied: return 403;
    case Code::not_found: return 404;
    case Code::conflict: return 409;
    case Code::failed_precondition: return 412;
    case Code::unprocessable: return 422;
    case Code::rate_limited: return 429;
    case Code::unavailable: return 503;
    case Code::deadline_exceeded: return 504;
    case Code::internal: return 500;
  }
  return 500;
}

/// An answer by RFC 9457 with `code`, `request_id` and `errors`. The detail of a failure of ours
/// stays out: it is for the log.
Response problem(const Error& error, std::string_view request_id);
/// The same for protocol errors, whose status no Code has (405, 408, 413, 414, 415, 431, 501, 505).
Response problem(int status, std::string_view code, std::string_view detail,
                 std::string_view request_id);

}  // namespace coditect::http
