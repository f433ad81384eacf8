#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "runtime/base/result.hpp"
#include "runtime/http/exchange.hpp"

/// OpenSSL's SSL_CTX.
struct ssl_ctx_st;

namespace llmos {

/// A server answers what it cannot hand on (too large, too slow, no HTTP) by itself: this is what
/// such an answer says.
struct http_error_body {
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  http_headers more;  ///< Headers beside the content's.
};

struct http_server_options {
  std::string address = "127.0.0.1";  ///< Where it listens: an IPv4 or IPv6 address, no name.
  uint16_t port = 0;                  ///< 0 = any that is free.
  size_t max_header_bytes = 16u << 10;
  size_t max_target_bytes = 8u << 10;
  size_t max_body_bytes = 8u << 20;
  size_t max_incoming_bytes = 256u << 20;  ///< Of all bodies that are being read.
  size_t max_connections = 1024;           ///< One more is answered 503 and closed.
  /// Per answer that is streamed; one that is given whole may be larger.
  size_t max_buffered_bytes = 4u << 20;
  std::chrono::milliseconds read_timeout{30'000};   ///< For a whole request, or a TLS handshake.
  std::chrono::milliseconds idle_timeout{60'000};   ///< Between two requests.
  std::chrono::milliseconds write_timeout{30'000};  ///< Without any progress.
  /// TLS with certificate and key of this context, which is not owned: the server takes a reference
  /// of its own. nullptr: no TLS.
  ssl_ctx_st* tls = nullptr;
  /// nullptr: the message as plain text.
  std::function<http_error_body(int status, const std::string& message)> error_body;
};

/// Called on the server's thread for each request; returns at once and answers then or later.
using http_handler = std::function<void(http_request, std::shared_ptr<http_exchange>)>;

/// An HTTP/1.1 server on one thread of its own. Requests of a connection are handled one after the
/// other; what a client sends meanwhile waits, up to max_header_bytes. A client that ends its side
/// of the connection before its answer has ended counts as gone.
class http_server {
public:
  /// Listens, then returns. Errors: invalid_argument (the address), io_error (it is in use, …).
  static result<std::unique_ptr<http_server>> start(http_server_options options,
                                                    http_handler handler);
  ~http_server();  ///< stop(0).

  uint16_t port() const;
  size_t num_connections() const;

  /// Accepts nothing more, closes idle connections, and each other one when its answer is out.
  /// `ended` is called on the server's thread when none is left; stop() is still to be called.
  void drain(std::function<void()> ended);

  /// Accepts nothing more, closes idle connections, lets answers end for that long, then closes all
  /// others. Returns when the thread has ended. REQUIRES: not called on the server's thread.
  void stop(std::chrono::milliseconds grace);

  class engine;  ///< Internal.
  explicit http_server(std::shared_ptr<engine> e);

private:
  std::shared_ptr<engine> engine_;
};

}  // namespace llmos
