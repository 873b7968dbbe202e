#pragma once
#include <string>
#include <vector>

#include "http/message.h"

namespace coditect::http {

/// One HTTP/1.1 request on a connection of its own, to http://host[:port]/path. For the telemetry
/// exporter and the command line. Throws `http_unreachable`, `http_timeout`, `invalid_url`.
Async<Response> fetch(std::string method, std::string url, std::vector<Header> headers,
                      std::string body, Deadline deadline);
/// The same for who has no event loop: blocks.
Response fetch_now(std::string method, std::string url, std::vector<Header> headers,
                   std::string body, std::chrono::milliseconds patience);

}  // namespace coditect::http
