#include "runtime/security/tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "runtime/base/check.hpp"
#include "runtime/security/openssl_error.hpp"

namespace llmos {

namespace {

constexpr const char* mend_files = "llmos init makes certificate, key and CA";

result<void> check_readable(const std::string& path, bool is_secret) {
  struct stat info {};
  if (path.empty()) {
    return failure{ec::invalid_argument, "a certificate, a key and a CA are needed", mend_files};
  }
  if (::stat(path.c_str(), &info) != 0) {
    return failure{ec::io_error, path + ": " + std::strerror(errno), mend_files};
  }
  if (is_secret && (info.st_mode & 077) != 0) {
    return failure{ec::bad_file, path + ": others than its owner may use this key",
                   "chmod 600 " + path};
  }
  return {};
}

/// The file was read, but not as what it should be.
failure bad_pem(const std::string& path, const std::string& what) {
  return {ec::bad_file, path + ": " + what + ": " + take_openssl_errors(), mend_files};
}

result<void> check_dates(SSL_CTX* context, const std::string& path) {
  const X509* own = SSL_CTX_get0_certificate(context);
  if (X509_cmp_current_time(X509_get0_notBefore(own)) > 0) {
    return failure{ec::bad_file, path + ": this certificate is not valid yet", "check the clock"};
  }
  if (X509_cmp_current_time(X509_get0_notAfter(own)) < 0) {
    return failure{ec::bad_file, path + ": this certificate has expired", "make a new one"};
  }
  return {};
}

// OpenSSL's own socket BIO raises SIGPIPE when the other side is gone; a program that links this
// may not expect that.
int write_quietly(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const auto sent = ::send(static_cast<int>(BIO_get_fd(bio, nullptr)), data,
                           static_cast<size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && BIO_sock_should_retry(-1) != 0) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

/// A socket BIO that writes quietly; made once, kept for good.
const BIO_METHOD* quiet_socket() {
  static const BIO_METHOD* const made = [] {
    const BIO_METHOD* socket = BIO_s_socket();
    BIO_METHOD* out = BIO_meth_new(BIO_TYPE_SOCKET, "quiet socket");
    if (out == nullptr) throw std::bad_alloc();
    BIO_meth_set_write(out, write_quietly);
    BIO_meth_set_read(out, BIO_meth_get_read(socket));
    BIO_meth_set_ctrl(out, BIO_meth_get_ctrl(socket));
    BIO_meth_set_create(out, BIO_meth_get_create(socket));
    BIO_meth_set_destroy(out, BIO_meth_get_destroy(socket));
    return out;
  }();
  return made;
}

bool is_address(const std::string& name) {
  ASN1_OCTET_STRING* parsed = a2i_IPADDRESS(name.c_str());
  ASN1_OCTET_STRING_free(parsed);
  return parsed != nullptr;
}

std::string to_hex(const unsigned char* bytes, size_t n) {
  constexpr const char* digits = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < n; ++i) {
    out += digits[bytes[i] >> 4];
    out += digits[bytes[i] & 15];
  }
  return out;
}

}  // namespace

result<tls_context> tls_context::make(const tls_files& files, bool is_server, bool is_mutual) {
  LLMOS_TRY_VOID(check_readable(files.certificate, false));
  LLMOS_TRY_VOID(check_readable(files.key, true));
  if (is_mutual) LLMOS_TRY_VOID(check_readable(files.ca, false));
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(
      SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method()), SSL_CTX_free);
  if (context == nullptr) throw std::bad_alloc();
  SSL_CTX* c = context.get();
  SSL_CTX_set_min_proto_version(c, is_mutual ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_verify(
      c, is_mutual ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 0);
  // A key with a passphrase is refused: OpenSSL would ask for it at the terminal.
  SSL_CTX_set_default_passwd_cb(c, [](char*, int, int, void*) { return 0; });
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(c, files.certificate.c_str()) != 1) {
    return bad_pem(files.certificate, "no certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(c, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(c) != 1) {
    return bad_pem(files.key, "no key, or not that of " + files.certificate);
  }
  if (is_mutual && SSL_CTX_load_verify_locations(c, files.ca.c_str(), nullptr) != 1) {
    return bad_pem(files.ca, "no CA");
  }
  LLMOS_TRY_VOID(check_dates(c, files.certificate));
  return tls_context(std::move(context));
}

result<tls_context> tls_context::for_server(const tls_files& files) {
  return make(files, true, true);
}

result<tls_context> tls_context::for_client(const tls_files& files) {
  return make(files, false, true);
}

result<tls_context> tls_context::for_https(const tls_files& files) {
  return make(files, true, false);
}

tls_stream::tls_stream(const tls_context& context, int socket)
    : ssl_(SSL_new(context.get()), SSL_free) {
  BIO* bio = BIO_new(quiet_socket());
  if (ssl_ == nullptr || bio == nullptr) throw std::bad_alloc();
  BIO_set_fd(bio, socket, BIO_NOCLOSE);
  SSL_set_bio(ssl_.get(), bio, bio);
}

tls_stream tls_stream::accept(const tls_context& context, int socket) {
  tls_stream out(context, socket);
  SSL_set_accept_state(out.ssl_.get());
  return out;
}

tls_stream tls_stream::connect(const tls_context& context, int socket,
                               const std::string& server_name) {
  tls_stream out(context, socket);
  SSL* ssl = out.ssl_.get();
  SSL_set_connect_state(ssl);
  if (is_address(server_name)) {
    LLMOS_CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name.c_str()) == 1);
  } else {
    LLMOS_CHECK(SSL_set1_host(ssl, server_name.c_str()) == 1);
    LLMOS_CHECK(SSL_set_tlsext_host_name(ssl, server_name.c_str()) == 1);
  }
  return out;
}

tls_stream::progress tls_stream::after(int returned) {
  if (returned > 0) return progress::done;
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ: return progress::wants_read;
    case SSL_ERROR_WANT_WRITE: return progress::wants_write;
    case SSL_ERROR_ZERO_RETURN: return progress::closed;
    default: break;
  }
  const int system = errno;
  if (const long verdict = SSL_get_verify_result(ssl_.get()); verdict != X509_V_OK) {
    error_ = std::string("the certificate was refused: ") + X509_verify_cert_error_string(verdict);
  } else if (ERR_peek_error() != 0) {
    error_ = take_openssl_errors();
  } else {
    error_ = system != 0 ? std::strerror(system) : "the connection was cut";
  }
  ERR_clear_error();
  return progress::failed;
}

tls_stream::progress tls_stream::handshake() {
  ERR_clear_error();
  errno = 0;
  return after(SSL_do_handshake(ssl_.get()));
}

tls_stream::progress tls_stream::read(void* to, size_t max_bytes, size_t& n_bytes) {
  ERR_clear_error();
  errno = 0;
  return after(SSL_read_ex(ssl_.get(), to, max_bytes, &n_bytes));
}

tls_stream::progress tls_stream::write(const void* from, size_t max_bytes, size_t& n_bytes) {
  ERR_clear_error();
  errno = 0;
  return after(SSL_write_ex(ssl_.get(), from, max_bytes, &n_bytes));
}

size_t tls_stream::pending() const {
  return static_cast<size_t>(SSL_pending(ssl_.get()));
}

tls_peer tls_stream::peer() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  LLMOS_CHECK(certificate != nullptr);
  tls_peer out;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) {
    unsigned char* utf8 = nullptr;
    const int n =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n > 0) out.name.assign(reinterpret_cast<const char*>(utf8), static_cast<size_t>(n));
    OPENSSL_free(utf8);
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  LLMOS_CHECK(X509_digest(certificate, EVP_sha256(), digest, &n) == 1);
  out.fingerprint = "sha256:" + to_hex(digest, n);
  return out;
}

}  // namespace llmos
