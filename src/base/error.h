#pragma once
#include <chrono>
#include <expected>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coditect {

/// What went wrong, seen from the caller. Closed set: HTTP status, CLI exit
/// code and retry decision are each one table over these values.
enum class Code {
  invalid_argument,     ///< the request is malformed or breaks a rule; repeating it will not help
  unauthenticated,      ///< no valid credential
  permission_denied,    ///< a valid credential that may not do this
  not_found,            ///< absent, or another tenant's: the answers are alike
  conflict,             ///< clashes with the present state, e.g. a name that is taken
  failed_precondition,  ///< If-Match does not match
  unprocessable,        ///< an idempotency key was used with another body
  rate_limited,         ///< too many requests; see retry_after
  unavailable,          ///< a dependency is away or overloaded; see retry_after
  deadline_exceeded,    ///< the time given to the work is over
  internal,             ///< our bug or a broken installation
};

/// One broken rule in a request body or query.
struct FieldError {
  std::string pointer;  ///< JSON pointer (RFC 6901) into the body, or the name of a query parameter
  std::string code;     ///< stable machine word, e.g. "too_long"
  std::string message;  ///< for people: what would be right
};

struct Error {
  Code code = Code::internal;
  std::string_view reason;  ///< stable machine word with static storage, e.g. "project_not_found"
  std::string detail = {};  ///< for people and logs; never for branching
  std::vector<FieldError> fields = {};
  std::chrono::seconds retry_after{0};  ///< 0: not given
  bool detail_is_private = false;       ///< detail is for logs only, e.g. a database's own words
};

/// Ends the current unit of work (request, job, command). Thrown anywhere, caught only at the
/// boundaries: HTTP dispatch, job runner, CLI main.
class Failure : public std::runtime_error {
 public:
  explicit Failure(Error e) : std::runtime_error(text(e)), error_(std::move(e)) {}
  const Error& error() const noexcept { return error_; }

 private:
  static std::string text(const Error& e) {
    return e.detail.empty() ? std::string(e.reason) : std::string(e.reason) + ": " + e.detail;
  }
  Error error_;
};

[[noreturn]] inline void fail(Code code, std::string_view reason, std::string detail = {}) {
  throw Failure({code, reason, std::move(detail)});
}

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> error(Code code, std::string_view reason, std::string detail = {}) {
  return std::unexpected(Error{code, reason, std::move(detail)});
}

}  // namespace coditect
