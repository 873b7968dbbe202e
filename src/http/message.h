#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/async.h"
#include "obs/trace.h"

namespace coditect::http {

struct Header {
  std::string name;
  std::string value;
};

struct Request {
  std::string method;
  std::string target;                                      ///< as sent: path and query
  std::vector<std::string> segments;                       ///< of the path, percent-decoded
  std::vector<std::pair<std::string, std::string>> query;  ///< in order, percent-decoded
  std::vector<Header> headers;
  std::string body;
  std::string remote;  ///< the peer's address, or the client's that a trusted proxy names
  std::string id;      ///< "req_..."; sent back as X-Request-Id
  obs::TraceContext trace;
  obs::Tracer tracer;  ///< for the parts of the work
  Deadline deadline;

  // What dispatch learned, for the access log and the metrics.
  std::string route = "none";  ///< the pattern; few values
  std::string tenant;          ///< slug; empty when there is none

  /// The value of the header, names compared without case; nullptr when absent.
  const std::string* header(std::string_view name) const;
  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<Header> headers;
};

/// "OK" for 200; "Unknown" for a status without a name here.
std::string_view reason_phrase(int status);

/// Decodes %XX; nullopt for malformed escapes and for NUL. `plus_is_space`: in queries.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);
std::string percent_encode(std::string_view text);
/// Fills segments and query from the target; false when it is malformed.
bool parse_target(Request& request);

}  // namespace coditect::http
