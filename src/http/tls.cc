#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <ranges>
#include <sstream>

#include "base/bytes.h"
#include "base/error.h"
#include "obs/log.h"

namespace coditect::http {
namespace {

[[noreturn]] void unusable(const std::string& what) {
  ERR_clear_error();
  fail(Code::invalid_argument, "tls_unusable", what);
}

std::string content(const std::string& setting, const std::string& path) {
  std::ifstream file(path);
  std::ostringstream all;
  if (!file || !(all << file.rdbuf())) unusable(setting + " '" + path + "' cannot be read");
  return all.str();
}

/// Kong and other proxies speak HTTP/1.1 to what they stand in front of. A client that offers only
/// other protocols is refused (RFC 7301 section 3.2).
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kOurs, sizeof kOurs - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/// Seconds since 1970.
double expiry(SSL_CTX* context) {
  tm time{};
  const X509* certificate = SSL_CTX_get0_certificate(context);
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1)
    return 0;
  return static_cast<double>(timegm(&time));
}

}  // namespace

ServerTls::ServerTls(TlsSettings settings, obs::Metrics& metrics)
    : settings_(std::move(settings)),
      expires_(metrics.gauge("coditect_http_tls_certificate_expiry_timestamp_seconds",
                             "When the server's certificate in use is no longer valid")) {
  if (settings_.certificate_file.empty() || settings_.key_file.empty())
    unusable("TLS needs both http.tls_certificate_file and http.tls_key_file");
  if (settings_.client_ca_file.empty() && !settings_.client_names.empty())
    unusable("http.tls_client_names needs http.tls_client_ca_file");
  files_ = read();
  context_ = make(files_);
  expires_.Set(expiry(context()->native_handle()));
}

ServerTls::Files ServerTls::read() const {
  return {content("http.tls_certificate_file", settings_.certificate_file),
          content("http.tls_key_file", settings_.key_file),
          settings_.client_ca_file.empty()
              ? ""
              : content("http.tls_client_ca_file", settings_.client_ca_file)};
}

std::shared_ptr<asio::ssl::context> ServerTls::make(const Files& files) const {
  auto out = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* raw = out->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20");  // of TLS 1.2 (RFC 9325)
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(raw, choose_protocol, nullptr);
  boost::system::error_code ec;
  out->use_certificate_chain(asio::buffer(files.certificate), ec);
  if (ec)
    unusable("http.tls_certificate_file '" + settings_.certificate_file + "' holds no certificate");
  out->set_password_callback([](auto...) { return std::string(); });  // the default asks a terminal
  out->use_private_key(asio::buffer(files.key), asio::ssl::context::pem, ec);
  if (ec)
    unusable("http.tls_key_file '" + settings_.key_file +
             "' holds no key without a passphrase, or not the certificate's");
  if (!settings_.client_ca_file.empty()) check_clients(raw, files.client_ca);
  return out;
}

void ServerTls::check_clients(SSL_CTX* context, const std::string& authorities) const {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  const std::unique_ptr<BIO, int (*)(BIO*)> text(
      BIO_new_mem_buf(authorities.data(), static_cast<int>(authorities.size())), BIO_free);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  int found = 0;
  for (;; ++found) {
    const std::unique_ptr<X509, void (*)(X509*)> one(
        PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr), X509_free);
    if (!one) break;
    X509_STORE_add_cert(store, one.get());
    SSL_CTX_add_client_CA(context, one.get());
  }
  ERR_clear_error();
  if (found == 0)
    unusable("http.tls_client_ca_file '" + settings_.client_ca_file + "' holds no certificate");
  // Given names, the verification of the chain compares them as it does a server's (RFC 9525).
  X509_VERIFY_PARAM* rules = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(
      rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS);
  if (settings_.client_names.empty()) return;
  for (const auto part : std::views::split(settings_.client_names, ',')) {
    const std::string name(trim(std::string_view(part.begin(), part.end())));
    if (name.empty() || X509_VERIFY_PARAM_add1_host(rules, name.data(), name.size()) != 1)
      unusable("http.tls_client_names: '" + settings_.client_names + "' has an empty name");
  }
}

void ServerTls::reload() {
  Files now;
  try {
    now = read();
    if (now == files_) return;
    const auto made = make(now);
    context_ = made;
    expires_.Set(expiry(made->native_handle()));
    obs::log(obs::Level::info, "took the renewed certificate",
             {{"file", settings_.certificate_file}});
  } catch (const Failure& f) {  // what there was goes on
    if (now == files_) return;
    obs::log(obs::Level::warn, "cannot use the changed certificate", {{"error", f.what()}});
  }
  files_ = std::move(now);
}

Async<> ServerTls::watch() {
  for (;;) {
    co_await async::sleep_for(std::chrono::seconds(5));
    reload();
  }
}

}  // namespace coditect::http
