#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <future>
#include <memory>
#include <string>

#include "runtime/http/server.hpp"
#include "tests/support/http_rig.hpp"

using namespace llmos;
using test::get;
using test::http_client;
using test::http_rig;
using test::post;

namespace {

template <class T, void (*free)(T*)>
struct freed_by {
  void operator()(T* x) const { free(x); }
};
template <class T, void (*free)(T*)>
using owned = std::unique_ptr<T, freed_by<T, free>>;
using context = owned<SSL_CTX, SSL_CTX_free>;

/// A context with a key and a certificate that it signed itself.
context server_context() {
  const owned<EVP_PKEY, EVP_PKEY_free> key{EVP_EC_gen("P-256")};
  const owned<X509, X509_free> certificate{X509_new()};
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), 0);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  X509_set_pubkey(x, key.get());
  X509_NAME* name = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(x, name);
  REQUIRE(X509_sign(x, key.get(), EVP_sha256()) > 0);
  context out{SSL_CTX_new(TLS_server_method())};
  REQUIRE(SSL_CTX_use_certificate(out.get(), x) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(out.get(), key.get()) == 1);
  return out;
}

class tls_client {
public:
  explicit tls_client(uint16_t port)
      : socket_(port), context_(SSL_CTX_new(TLS_client_method())), ssl_(SSL_new(context_.get())) {
    SSL_set_fd(ssl_.get(), socket_.fd());
    REQUIRE(SSL_connect(ssl_.get()) == 1);
  }
  void send(std::string_view bytes) {
    REQUIRE(SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0);
  }
  /// What comes until `mark`, or until the server closes.
  std::string read_until(std::string_view mark) {
    std::string out;
    char bytes[4096];
    while (out.find(mark) == out.npos) {
      const int n = SSL_read(ssl_.get(), bytes, sizeof bytes);
      if (n <= 0) break;
      out.append(bytes, static_cast<size_t>(n));
    }
    return out;
  }
  bool was_closed_well() const {
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  void close() { socket_.close(); }

private:
  http_client socket_;
  context context_;
  owned<SSL, SSL_free> ssl_;
};

http_server_options options_with(const context& tls) {
  http_server_options out;
  out.tls = tls.get();
  return out;
}

}  // namespace

TEST_SUITE("runtime.http.server_tls") {
  TEST_CASE("requests and streams go through TLS, whose context the caller may drop") {
    auto tls = server_context();
    http_rig rig{options_with(tls)};
    tls.reset();
    tls_client client{rig.port()};
    client.send(post("/", std::string(100'000, 'x')));
    auto [request, exchange] = rig.take();
    CHECK(request.body.size() == 100'000);
    exchange->start(200, {});
    exchange->write("one");
    CHECK(client.read_until("one").ends_with("3\r\none\r\n"));
    exchange->write(std::string(200'000, 'y') + "two");
    exchange->end();
    CHECK(client.read_until("0\r\n\r\n").find("ytwo") != std::string::npos);
    client.send(get("/", "Connection: close\r\n"));
    rig.take().second->respond(200, {}, "bye");
    CHECK(client.read_until("forever").ends_with("bye"));
    CHECK(client.was_closed_well());
  }

  TEST_CASE("a client that goes away is noticed") {
    const auto tls = server_context();
    http_rig rig{options_with(tls)};
    tls_client client{rig.port()};
    client.send(get("/"));
    auto exchange = rig.take().second;
    exchange->start(200, {});
    std::promise<void> told;
    exchange->on_gone([&] { told.set_value(); });
    client.close();
    told.get_future().get();
  }

  TEST_CASE("plain bytes, and clients that do not shake hands, are closed") {
    const auto tls = server_context();
    auto options = options_with(tls);
    options.read_timeout = std::chrono::milliseconds{50};
    http_rig rig{options};
    http_client plain{rig.port()}, silent{rig.port()};
    plain.send(get("/"));
    CHECK(plain.read_to_end().find("HTTP/") == std::string::npos);
    CHECK(silent.read_to_end().empty());
    CHECK(rig.is_empty());
  }
}
