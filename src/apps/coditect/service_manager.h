#pragma once
#include <string>

/// What systemd, or any other that speaks its two small protocols, passes to a service.
namespace coditect::app {

/// The listening socket of socket activation (sd_listen_fds(3)); -1 when there is none. It stays
/// open while the service is replaced, so no connection is refused meanwhile.
int inherited_socket();

/// Tells the service manager, where one waits for it (sd_notify(3)): "READY=1", "STOPPING=1".
void notify_service_manager(const std::string& state);

}  // namespace coditect::app
