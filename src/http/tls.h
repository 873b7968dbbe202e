#pragma once
#include <atomic>
#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "async/async.h"
#include "obs/metrics.h"

namespace coditect::http {

/// Files are PEM. Without a certificate the server speaks plain HTTP.
struct TlsSettings {
  std::string certificate_file;  ///< the server's, followed by those between it and the authority
  std::string key_file;
  std::string client_ca_file;  ///< who signs clients' certificates; set: a client must have one
  std::string client_names;    ///< DNS names, separated by commas, of which a client must have one;
                               ///< "" is any

  /// Any of them: half of the settings must not mean no TLS.
  bool on() const {
    return !(certificate_file.empty() && key_file.empty() && client_ca_file.empty() &&
             client_names.empty());
  }
};

/// What a server needs for TLS, read again when its files change: certificates that are renewed
/// every few weeks need no restart. TLS 1.2 and 1.3; a client's certificate is checked at each
/// handshake, there is no resumption that would go by what was true before. For all loops.
class ServerTls {
 public:
  /// Throws `tls_unusable`, which names the setting.
  ServerTls(TlsSettings settings, obs::Metrics& metrics);

  /// For a new connection; one that is open keeps what it was opened with.
  std::shared_ptr<asio::ssl::context> context() const { return context_.load(); }
  /// Takes what the files hold now, when they have changed. What cannot be used, such as half of a
  /// renewal, is logged once and leaves what there was. From one thread.
  void reload();
  /// Calls reload() again and again.
  Async<> watch();

 private:
  struct Files {
    std::string certificate, key, client_ca;
    bool operator==(const Files&) const = default;
  };
  Files read() const;
  std::shared_ptr<asio::ssl::context> make(const Files& files) const;
  void check_clients(SSL_CTX* context, const std::string& authorities) const;

  const TlsSettings settings_;
  Files files_;
  std::atomic<std::shared_ptr<asio::ssl::context>> context_;
  obs::Gauge& expires_;
};

}  // namespace coditect::http
