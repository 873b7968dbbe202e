#include "apps/coditect/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace coditect::app {

int inherited_socket() {
  constexpr int kFirst = 3;
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  if (pid == nullptr || count == nullptr || std::atol(pid) != getpid() || std::atoi(count) == 0)
    return -1;
  if (std::atoi(count) != 1)
    fail(Code::invalid_argument, "too_many_sockets",
         "LISTEN_FDS is " + std::string(count) + ": the API takes one listening socket");
  int listening = 0;
  socklen_t size = sizeof listening;
  if (getsockopt(kFirst, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0)
    fail(Code::invalid_argument, "not_a_listening_socket",
         "LISTEN_FDS: descriptor 3 is no listening socket (ListenStream= of the socket unit)");
  fcntl(kFirst, F_SETFD, FD_CLOEXEC);
  return kFirst;
}

void notify_service_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || std::strlen(path) < 2 || std::strlen(path) >= sizeof address.sun_path)
    return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  // It is a courtesy: a service manager that does not listen changes nothing.
  (void)sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), length);
  close(fd);
}

}  // namespace coditect::app
