#pragma once
#include <boost/asio/ssl/stream.hpp>
#include <optional>

#include "async/async.h"

namespace coditect::http {

/// The bytes of a connection, plain or over TLS. Of the concepts of Asio it is an AsyncReadStream
/// and an AsyncWriteStream.
class Stream {
 public:
  using executor_type = asio::ip::tcp::socket::executor_type;

  explicit Stream(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

  executor_type get_executor() { return socket_.get_executor(); }
  asio::ip::tcp::socket& socket() { return socket_; }
  bool secured() const { return tls_.has_value(); }

  /// Whether bytes have left the socket that no read has returned yet: a part of a record.
  bool holds_bytes() {
    return tls_ && (SSL_has_pending(tls_->native_handle()) != 0 ||
                    BIO_ctrl_pending(SSL_get_rbio(tls_->native_handle())) > 0);
  }

  /// From here on over TLS. The error is the reason for people, "" when it went well.
  Async<std::string> secure(std::shared_ptr<asio::ssl::context> context) {
    context_ = std::move(context);
    tls_.emplace(socket_, *context_);
    boost::system::error_code ec;
    co_await tls_->async_handshake(asio::ssl::stream_base::server,
                                   asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) co_return "";
    const long verified = SSL_get_verify_result(tls_->native_handle());
    co_return verified == X509_V_OK ? ec.message() : X509_verify_cert_error_string(verified);
  }

  /// Tells a TLS client that nothing was cut off (RFC 8446 section 6.1), and waits for its answer.
  Async<> close_notify() {
    if (!tls_) co_return;
    boost::system::error_code ec;
    co_await tls_->async_shutdown(asio::redirect_error(asio::use_awaitable, ec));
  }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [this](auto handler, const Buffers& to) {
          if (tls_)
            tls_->async_read_some(to, std::move(handler));
          else
            socket_.async_read_some(to, std::move(handler));
        },
        token, buffers);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [this](auto handler, const Buffers& from) {
          if (tls_)
            tls_->async_write_some(from, std::move(handler));
          else
            socket_.async_write_some(from, std::move(handler));
        },
        token, buffers);
  }

  /// Writes what goes without waiting: of TLS nothing, whose records are whole or not at all.
  template <class Buffers>
  std::size_t write_now(const Buffers& buffers, boost::system::error_code& ec) {
    if (!tls_) return socket_.write_some(buffers, ec);
    ec = asio::error::would_block;
    return 0;
  }

 private:
  asio::ip::tcp::socket socket_;
  std::shared_ptr<asio::ssl::context> context_;
  std::optional<asio::ssl::stream<asio::ip::tcp::socket&>> tls_;
};

}  // namespace coditect::http
