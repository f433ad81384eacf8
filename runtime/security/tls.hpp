#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "runtime/base/result.hpp"

using SSL_CTX = struct ssl_ctx_st;
using SSL = struct ssl_st;

namespace llmos {

/// PEM files that one side of a connection shows and trusts.
struct tls_files {
  std::string certificate;  ///< Its own, with the chain behind it.
  std::string key;          ///< Readable by its owner alone.
  std::string ca;           ///< Who signs those that it talks to.
};

/// What is known of the other side, once its certificate was verified.
struct tls_peer {
  std::string name;         ///< The certificate's common name.
  std::string fingerprint;  ///< SHA-256 of the certificate: "sha256:" and 64 hex digits.
};

/// The settings of all connections of one kind: TLS 1.3 and nothing before, both sides verified, no
/// resumption (a revoked name must not come back with an old ticket).
class tls_context {
public:
  /// Errors: io_error and bad_file naming the file: missing, unreadable, a key that others may read
  /// or that is not the certificate's, a certificate that is not valid now.
  static result<tls_context> for_server(const tls_files& files);
  static result<tls_context> for_client(const tls_files& files);
  /// For clients that bring no certificate, and HTTP's versions: TLS 1.2 or newer. `ca` is not
  /// used.
  static result<tls_context> for_https(const tls_files& files);

  SSL_CTX* get() const { return context_.get(); }

private:
  explicit tls_context(std::shared_ptr<SSL_CTX> context) : context_(std::move(context)) {}
  static result<tls_context> make(const tls_files& files, bool is_server, bool is_mutual);

  std::shared_ptr<SSL_CTX> context_;
};

/// One connection over a non-blocking socket, which it does not own. Used by one thread.
class tls_stream {
public:
  enum class progress {
    done,
    wants_read,   ///< Again when the socket can be read.
    wants_write,  ///< Again when the socket can be written.
    closed,       ///< By the other side, in good order.
    failed,       ///< error() says why.
  };

  /// The side that was connected to.
  static tls_stream accept(const tls_context& context, int socket);
  /// The side that connects. `server_name`: what the server's certificate must be for, a DNS name
  /// or an address.
  static tls_stream connect(const tls_context& context, int socket, const std::string& server_name);

  /// REQUIRES of the three below: it did not fail or close.
  progress handshake();
  /// REQUIRES: the handshake is done. `n_bytes` is how many, when done.
  progress read(void* to, size_t max_bytes, size_t& n_bytes);
  progress write(const void* from, size_t max_bytes, size_t& n_bytes);

  /// Bytes that can be read without the socket.
  size_t pending() const;
  /// REQUIRES: the handshake is done.
  tls_peer peer() const;
  const std::string& error() const { return error_; }

private:
  explicit tls_stream(const tls_context& context, int socket);
  progress after(int returned);

  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
  std::string error_;
};

}  // namespace llmos
