#include "attack/wire.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "base/bytes.h"

namespace coditect::attack {
namespace {

constexpr std::size_t kLargestAnswer = 64 << 20;

[[noreturn]] void unreachable_(const Target& t, const std::string& why) {
  fail(Code::unavailable, "http_unreachable", t.host + ":" + t.port + ": " + why);
}

}  // namespace

Target Target::parse(const std::string& url) {
  Target out;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    out.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    fail(Code::invalid_argument, "invalid_url",
         "--url '" + url + "' must start with http:// or https://");
  }
  const auto slash = std::min(rest.find('/'), rest.size());
  auto authority = rest.substr(0, slash);
  out.base = rest.substr(slash);
  while (out.base.ends_with('/')) out.base.pop_back();
  const auto bracket = authority.find(']');
  const auto colon = authority.find(':', bracket == authority.npos ? 0 : bracket);
  out.port =
      colon == authority.npos ? (out.tls ? "443" : "80") : std::string(authority.substr(colon + 1));
  out.host = authority.substr(0, colon);
  if (out.host.starts_with('[') && out.host.ends_with(']'))
    out.host = out.host.substr(1, out.host.size() - 2);
  if (out.host.empty()) fail(Code::invalid_argument, "invalid_url", "--url names no host");
  return out;
}

std::string Answer::header(std::string_view name) const {
  for (const auto& h : headers)
    if (to_lower_ascii(h.name) == to_lower_ascii(name)) return h.value;
  return {};
}

Wire::Wire(Target target, int timeout_seconds)
    : target_(std::move(target)), timeout_seconds_(timeout_seconds) {
  if (!target_.tls) return;
  context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_default_verify_paths(context_.get());
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
}

Wire::~Wire() { close(); }

void Wire::open() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int e = getaddrinfo(target_.host.c_str(), target_.port.c_str(), &hints, &found); e != 0)
    unreachable_(target_, gai_strerror(e));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, freeaddrinfo);
  std::string why = "no address";
  for (const auto* a = all.get(); a != nullptr && fd_ < 0; a = a->ai_next) {
    const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
      fd_ = fd;
    } else {
      why = std::strerror(errno);
      if (fd >= 0) ::close(fd);
    }
  }
  if (fd_ < 0) unreachable_(target_, why);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const timeval limit{timeout_seconds_, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (!context_) return;
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_tlsext_host_name(ssl_.get(), target_.host.c_str());
  SSL_set1_host(ssl_.get(), target_.host.c_str());
  SSL_set_fd(ssl_.get(), fd_);
  if (SSL_connect(ssl_.get()) != 1) {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    close();
    unreachable_(target_, text);
  }
}

void Wire::close() {
  ssl_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool Wire::write_all(const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto left = bytes.size() - at;
    const auto n = ssl_ ? SSL_write(ssl_.get(), bytes.data() + at, static_cast<int>(left))
                        : ::send(fd_, bytes.data() + at, left, MSG_NOSIGNAL);
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

bool Wire::read_some(std::string& in) {
  char buffer[65536];
  const auto n =
      ssl_ ? SSL_read(ssl_.get(), buffer, sizeof buffer) : ::recv(fd_, buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) timed_out_ = true;
  if (n <= 0) return false;
  in.append(buffer, static_cast<std::size_t>(n));
  return in.size() <= kLargestAnswer;
}

std::optional<Answer> Wire::read_answer(bool head) {
  std::string in;
  Answer answer;
  for (;;) {
    std::size_t end = 0;
    while ((end = in.find("\r\n\r\n")) == std::string::npos)
      if (!read_some(in)) return std::nullopt;
    answer.status = in.size() > 12 ? std::atoi(in.c_str() + 9) : 0;
    for (auto at = in.find("\r\n") + 2; at < end + 2;) {
      const auto line_end = in.find("\r\n", at);
      const auto line = std::string_view(in).substr(at, line_end - at);
      const auto colon = std::min(line.find(':'), line.size());
      answer.headers.push_back({std::string(line.substr(0, colon)),
                                std::string(trim(line.substr(std::min(colon + 1, line.size()))))});
      at = line_end + 2;
    }
    in.erase(0, end + 4);
    if (answer.status / 100 != 1) break;
    answer.headers.clear();
  }
  const bool none = head || answer.status == 204 || answer.status == 304;
  if (none) return answer;
  if (to_lower_ascii(answer.header("transfer-encoding")) == "chunked") {
    for (;;) {
      std::size_t line = 0;
      while ((line = in.find("\r\n")) == std::string::npos)
        if (!read_some(in)) return answer;
      const auto size = std::strtoul(in.c_str(), nullptr, 16);
      while (in.size() < line + 2 + size + 2)
        if (!read_some(in)) return answer;
      answer.body.append(in, line + 2, size);
      in.erase(0, line + 2 + size + 2);
      if (size == 0) return answer;
    }
  }
  const auto length = answer.header("content-length");
  const auto size = length.empty() ? kLargestAnswer : std::strtoul(length.c_str(), nullptr, 10);
  while (in.size() < size && read_some(in)) {
  }
  answer.body = in.substr(0, size);
  return answer;
}

std::optional<Answer> Wire::send(const std::string& method, const std::string& target,
                                 const std::vector<http::Header>& headers,
                                 const std::string& body) {
  std::string bytes = method + " " + target + " HTTP/1.1\r\n";
  bool has_host = false, has_length = false;
  for (const auto& h : headers) {
    const auto name = to_lower_ascii(h.name);
    has_host = has_host || name == "host";
    has_length = has_length || name == "content-length" || name == "transfer-encoding";
    bytes += h.name + ": " + h.value + "\r\n";
  }
  if (!has_host) bytes += "Host: " + target_.host + ":" + target_.port + "\r\n";
  if (!has_length && (!body.empty() || (method != "GET" && method != "HEAD")))
    bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  bytes += "\r\n" + body;
  // A kept connection may have been closed meanwhile: once more on a new one.
  for (const bool fresh : {false, true}) {
    const bool reused = fd_ >= 0;
    if (!reused) open();
    timed_out_ = false;
    const auto start = std::chrono::steady_clock::now();
    write_all(bytes);  // a server may answer before it has read all
    auto answer = read_answer(method == "HEAD");
    if (timed_out_) {
      close();
      fail(Code::deadline_exceeded, "http_timeout", method + " " + target + " got no answer");
    }
    if (answer) {
      answer->ms =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count();
      if (to_lower_ascii(answer->header("connection")) == "close" || answer->status >= 400) close();
      return answer;
    }
    close();
    if (!reused || fresh) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace coditect::attack
