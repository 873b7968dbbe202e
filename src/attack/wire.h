#pragma once
#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"

namespace coditect::attack {

/// http(s)://host[:port][/base]
struct Target {
  bool tls = false;
  std::string host, port, base;

  /// Throws `invalid_url`.
  static Target parse(const std::string& url);
};

struct Answer {
  int status = 0;
  std::vector<http::Header> headers;
  std::string body;
  double ms = 0;

  /// The value of a header, names compared without case; empty when absent.
  std::string header(std::string_view name) const;
};

/// A blocking connection that is kept from one request to the next. Sends what it is given, however
/// malformed; a certificate is checked against the system's authorities.
class Wire {
 public:
  explicit Wire(Target target, int timeout_seconds = 30);
  ~Wire();

  /// `target` is sent as it is. nullopt when the server closed the connection without an answer.
  /// Throws `http_unreachable` when nobody listens, `http_timeout` when no answer comes.
  std::optional<Answer> send(const std::string& method, const std::string& target,
                             const std::vector<http::Header>& headers, const std::string& body);
  const Target& target() const { return target_; }

 private:
  void open();
  void close();
  bool write_all(const std::string& bytes);
  /// Appends what comes; false at the end of the connection.
  bool read_some(std::string& in);
  std::optional<Answer> read_answer(bool head);

  Target target_;
  int timeout_seconds_;
  int fd_ = -1;
  bool timed_out_ = false;
  struct FreeContext {
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
  };
  struct FreeSession {
    void operator()(SSL* s) const { SSL_free(s); }
  };
  std::unique_ptr<SSL_CTX, FreeContext> context_;
  std::unique_ptr<SSL, FreeSession> ssl_;
};

}  // namespace coditect::attack
