// Everything a client can send on one connection, through the real server: each answer is whole,
// and there are no more answers than requests.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "http/server.h"
#include "obs/log.h"
#include "testing/fuzz.h"

using namespace coditect;

namespace {

struct Fixture {
  obs::Metrics metrics;
  async::Loop loop{0};
  int handled = 0;
  http::Server server;

  static http::ServerSettings settings() {
    http::ServerSettings s;
    s.port = 0;
    s.max_header_bytes = 1024;
    s.max_url_bytes = 512;
    s.max_body_bytes = 2048;
    s.access_log = false;
    return s;
  }
  Async<http::Response> answer(http::Request& r) {
    ++handled;
    CHECK(!r.method.empty() && r.body.size() <= 2048 && r.target.size() <= 512);
    for (const auto& h : r.headers)
      for (const char c : h.value) CHECK(c != '\r' && c != '\n' && c != '\0');
    co_return http::Response{.body = "{}"};
  }
  Fixture() : server(loop, settings(), [this](http::Request& r) { return answer(r); }, metrics) {
    obs::set_log_level("off");
    server.listen();
  }
};

/// The number of answers; each must be whole.
int count_answers(std::string_view bytes) {
  int answers = 0;
  while (!bytes.empty()) {
    CHECK(bytes.starts_with("HTTP/1.1 "));
    const auto end = bytes.find("\r\n\r\n");
    CHECK(end != bytes.npos);
    const auto head = bytes.substr(0, end + 2);
    bytes.remove_prefix(end + 4);
    if (head.starts_with("HTTP/1.1 100 ")) continue;
    ++answers;
    const auto at = head.find("\r\nContent-Length: ");
    std::size_t length = 0;
    if (at != head.npos) std::from_chars(head.data() + at + 18, head.data() + head.size(), length);
    if (bytes.size() < length) return answers;  // an answer to HEAD has a length and no body
    if (bytes.substr(0, 9) != "HTTP/1.1 ") bytes.remove_prefix(length);
  }
  return answers;
}

}  // namespace

FUZZ_TARGET {
  static auto& f = *new Fixture;
  if (input.size() > 8192) return;
  f.handled = 0;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(f.server.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror("connect");
    CHECK(false);
  }
  // Two pieces, so that what is read in one and in several pieces is both seen.
  const auto half = input.empty() ? 0 : static_cast<unsigned char>(input[0]) % (input.size() + 1);
  (void)!send(fd, input.data(), half, MSG_NOSIGNAL);
  f.loop.io().poll();
  (void)!send(fd, input.data() + half, input.size() - half, MSG_NOSIGNAL);
  std::string answers;
  char buffer[16384];
  for (int quiet = 0; quiet < 30;) {
    f.loop.io().poll();
    const auto n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) break;
    quiet = n > 0 ? 0 : quiet + 1;
    if (n > 0) answers.append(buffer, static_cast<std::size_t>(n));
  }
  // Reset, not closed in good order: nothing of the connection stays behind.
  const linger at_once{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
  f.loop.io().poll();
  const int count = count_answers(answers);
  CHECK(count <= f.handled + 1);  // one more when the last was refused
}
