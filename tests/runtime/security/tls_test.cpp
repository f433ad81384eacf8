#include "runtime/security/tls.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <random>

#include "runtime/security/identity.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;
using namespace std::chrono_literals;

namespace {

using progress = tls_stream::progress;
using ssl_ptr = std::unique_ptr<SSL, decltype(&SSL_free)>;
using context_ptr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

std::string render(progress p) {
  constexpr std::array names{"done", "wants_read", "wants_write", "closed", "failed"};
  return names.at(static_cast<size_t>(p));
}

// ---- certificates ----------------------------------------------------------------------------

struct validity {
  std::chrono::hours from{-1}, to{1};  ///< From now.
};
constexpr validity past{-2h, -1h}, future{1h, 2h};

std::chrono::sys_seconds from_now(std::chrono::hours x) {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + x;
}

key_pair test_ca(const std::string& name = "test-ca") {
  return make_ca(name, from_now(-1h), from_now(1h)).value();
}

key_pair node_pair(const key_pair& ca, validity v = {}) {
  return make_certificate(ca, {"node",
                               certificate_use::node,
                               {"localhost", "127.0.0.1", "::1"},
                               from_now(v.from),
                               from_now(v.to)})
      .value();
}

key_pair client_pair(const key_pair& ca, validity v = {}, const std::string& name = "alice") {
  return make_certificate(ca, {name, certificate_use::client, {}, from_now(v.from), from_now(v.to)})
      .value();
}

X509* parse_certificate(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* out = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  REQUIRE(out != nullptr);
  return out;
}

EVP_PKEY* parse_key(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* out = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  REQUIRE(out != nullptr);
  return out;
}

/// The certificate signed anew, as if `signer` were an authority, who comes along behind it.
key_pair resigned(const key_pair& pair, const key_pair& signer) {
  X509 *x = parse_certificate(pair.certificate), *by = parse_certificate(signer.certificate);
  EVP_PKEY* key = parse_key(signer.key);
  X509_set_issuer_name(x, X509_get_subject_name(by));
  const int at = X509_get_ext_by_NID(x, NID_authority_key_identifier, -1);
  X509_EXTENSION_free(X509_delete_ext(x, at));
  REQUIRE(X509_sign(x, key, EVP_sha256()) > 0);
  BIO* bio = BIO_new(BIO_s_mem());
  REQUIRE(PEM_write_bio_X509(bio, x) == 1);
  char* data = nullptr;
  const long n = BIO_get_mem_data(bio, &data);
  const std::string pem(data, static_cast<size_t>(n));
  BIO_free(bio);
  EVP_PKEY_free(key);
  X509_free(x);
  X509_free(by);
  return {pem + signer.certificate, pair.key};
}

// ---- two ends in one thread ------------------------------------------------------------------

/// A connection; end 0 is the server's.
class wire {
public:
  wire() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()) == 0); }
  ~wire() {
    for (size_t i = 0; i < 2; ++i) hang_up(i);
  }
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;

  int operator[](size_t i) const { return ends_[i]; }
  void hang_up(size_t i) {
    if (ends_[i] >= 0) ::close(ends_[i]);
    ends_[i] = -1;
  }
  void make_narrow() {
    const int bytes = 4096;
    for (const int end : ends_) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }

private:
  std::array<int, 2> ends_{};
};

/// An end that keeps no rules: it shows what it was given, and trusts everybody.
struct lawless_end {
  std::optional<key_pair> shown;
  int max_version = TLS1_3_VERSION;

  ssl_ptr open(bool is_server, int socket) const {
    const context_ptr c(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method()),
                        SSL_CTX_free);
    SSL_CTX_set_max_proto_version(c.get(), max_version);
    if (shown) show(c.get());
    ssl_ptr out(SSL_new(c.get()), SSL_free);
    SSL_set_fd(out.get(), socket);
    is_server ? SSL_set_accept_state(out.get()) : SSL_set_connect_state(out.get());
    return out;
  }

private:
  void show(SSL_CTX* c) const {
    BIO* bio =
        BIO_new_mem_buf(shown->certificate.data(), static_cast<int>(shown->certificate.size()));
    X509* x = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    REQUIRE(SSL_CTX_use_certificate(c, x) == 1);
    X509_free(x);
    while (X509* more = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) {
      SSL_CTX_add_extra_chain_cert(c, more);
    }
    BIO_free(bio);
    EVP_PKEY* key = parse_key(shown->key);
    REQUIRE(SSL_CTX_use_PrivateKey(c, key) == 1);
    EVP_PKEY_free(key);
    ERR_clear_error();
  }
};

bool is_over(progress p) {
  return p != progress::wants_read && p != progress::wants_write;
}

/// Shakes hands until `mine` is over; `other` moves the other end.
progress meet(tls_stream& mine, const std::function<void()>& other) {
  for (int i = 0; i < 100; ++i) {
    if (const auto p = mine.handshake(); is_over(p)) return p;
    other();
  }
  FAIL("the handshake does not come to an end");
  return progress::failed;
}

/// Files of one side of a connection.
struct files {
  test::temp_dir folder;
  tls_files paths;

  files(const key_pair& own, const std::string& ca) {
    paths = {folder.write("own.crt", own.certificate), folder.write("own.key", own.key),
             folder.write("ca.crt", ca)};
    ::chmod(paths.key.c_str(), 0600);
  }
};

tls_context server_context(const key_pair& own, const key_pair& ca) {
  return tls_context::for_server(files(own, ca.certificate).paths).value();
}

tls_context client_context(const key_pair& own, const key_pair& ca) {
  return tls_context::for_client(files(own, ca.certificate).paths).value();
}

/// A node and a client that trust one CA, connected.
struct connection {
  key_pair ca = test_ca(), node = node_pair(ca), alice = client_pair(ca);
  wire w;
  tls_stream server = tls_stream::accept(server_context(node, ca), w[0]);
  tls_stream client = tls_stream::connect(client_context(alice, ca), w[1], "localhost");

  connection() {
    auto last = progress::wants_read;
    const auto step = [&] {
      if (!is_over(last)) last = client.handshake();
    };
    const auto first = meet(server, step);
    REQUIRE(first == progress::done);
    step();
    REQUIRE(last == progress::done);
  }
};

std::string random_bytes(std::mt19937& rng, size_t n) {
  std::string out(n, ' ');
  for (char& c : out) c = static_cast<char>(rng());
  return out;
}

std::atomic<int> num_sigpipe = 0;

/// Counts SIGPIPE while it lives, which would end the program otherwise.
class sigpipe_counter {
public:
  sigpipe_counter() {
    num_sigpipe = 0;
    struct sigaction mine {};
    mine.sa_handler = [](int) { ++num_sigpipe; };
    ::sigaction(SIGPIPE, &mine, &old_);
  }
  ~sigpipe_counter() { ::sigaction(SIGPIPE, &old_, nullptr); }
  sigpipe_counter(const sigpipe_counter&) = delete;
  sigpipe_counter& operator=(const sigpipe_counter&) = delete;

private:
  struct sigaction old_ {};
};

/// Error text holds one of these, which OpenSSL words in its own way.
bool says(const std::string& text, const std::string& want) {
  if (text.find(want) != std::string::npos) return true;
  MESSAGE("it says: " << text);
  return false;
}

/// Behind a passphrase.
std::string encrypted(const std::string& key) {
  std::unique_ptr<BIO, decltype(&BIO_free)> in(
      BIO_new_mem_buf(key.data(), static_cast<int>(key.size())), BIO_free);
  std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> parsed(
      PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  char passphrase[] = "secret";
  LLMOS_CHECK(PEM_write_bio_PKCS8PrivateKey(out.get(), parsed.get(), EVP_aes_256_cbc(), passphrase,
                                            6, nullptr, nullptr) == 1);
  char* text = nullptr;
  const long n = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(n)};
}

}  // namespace

TEST_SUITE("runtime.security.tls") {
  TEST_CASE("two that one CA vouches for know each other's names after the handshake") {
    connection c;
    CHECK(c.server.peer().name == "alice");
    CHECK(c.client.peer().name == "node");
    CHECK(c.server.error().empty());
  }

  TEST_CASE("a fingerprint is the SHA-256 of the certificate's bytes") {
    connection c;
    X509* x = parse_certificate(c.alice.certificate);
    unsigned char* der = nullptr;
    const int n = i2d_X509(x, &der);
    REQUIRE(n > 0);
    unsigned char digest[32];
    REQUIRE(EVP_Digest(der, static_cast<size_t>(n), digest, nullptr, EVP_sha256(), nullptr) == 1);
    char hex[65];
    for (int i = 0; i < 32; ++i) std::snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    CHECK(c.server.peer().fingerprint == "sha256:" + std::string(hex));
    CHECK(c.client.peer().fingerprint != c.server.peer().fingerprint);
    OPENSSL_free(der);
    X509_free(x);
  }

  TEST_CASE("a node is known by any of its names and addresses") {
    const key_pair ca = test_ca(), node = node_pair(ca), alice = client_pair(ca);
    const auto server_side = server_context(node, ca), client_side = client_context(alice, ca);
    for (const char* name : {"localhost", "LOCALHOST", "127.0.0.1", "::1", "0:0:0:0:0:0:0:1"}) {
      CAPTURE(name);
      wire w;
      auto server = tls_stream::accept(server_side, w[0]);
      auto client = tls_stream::connect(client_side, w[1], name);
      CHECK(render(meet(client, [&] { server.handshake(); })) == "done");
    }
  }

  TEST_CASE("a node refuses whom its CA does not vouch for, and who speaks no TLS 1.3") {
    const key_pair ca = test_ca(), node = node_pair(ca);
    const key_pair other_ca = test_ca("other-ca"), same_name = test_ca();
    const auto server_side = server_context(node, ca);
    struct row {
      const char* name;
      lawless_end client;
      const char* why;
    };
    const row rows[] = {
        {"no certificate", {}, "peer did not return a certificate"},
        {"signed by itself", {test_ca("alice")}, "self-signed certificate"},
        {"the CA's name, and signed by itself", {same_name}, "self-signed certificate"},
        {"another CA", {client_pair(other_ca)}, "unable to get local issuer certificate"},
        {"another CA of that name", {client_pair(same_name)}, "unable to get local issuer"},
        {"that CA brought along", {resigned(client_pair(ca), other_ca)}, "self-signed certificate"},
        {"a client as authority", {resigned(client_pair(ca), client_pair(ca, {}, "bob"))}, "CA"},
        {"a node as authority", {resigned(client_pair(ca), node)}, "CA"},
        {"expired", {client_pair(ca, past)}, "expired"},
        {"not yet valid", {client_pair(ca, future)}, "not yet valid"},
        {"a node's", {node}, "unsuitable certificate purpose"},
        {"the CA itself", {ca}, "unsuitable certificate purpose"},
        {"TLS 1.2", {client_pair(ca), TLS1_2_VERSION}, "unsupported protocol"},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      wire w;
      auto server = tls_stream::accept(server_side, w[0]);
      const auto client = r.client.open(false, w[1]);
      CHECK(render(meet(server, [&] { SSL_do_handshake(client.get()); })) == "failed");
      CHECK(says(server.error(), r.why));
      CHECK(ERR_peek_error() == 0);
      char byte = 0;  // and it gets nothing, though its own handshake may look done
      SSL_do_handshake(client.get());
      CHECK(SSL_read(client.get(), &byte, 1) <= 0);
    }
  }

  TEST_CASE("a client refuses a node that is not the one it wanted") {
    const key_pair ca = test_ca(), alice = client_pair(ca);
    const key_pair other_ca = test_ca("other-ca"), same_name = test_ca();
    const auto client_side = client_context(alice, ca);
    struct row {
      const char* name;
      lawless_end server;
      const char *wanted, *why;
    };
    const row rows[] = {
        {"signed by itself", {test_ca("node")}, "localhost", "self-signed certificate"},
        {"another CA", {node_pair(other_ca)}, "localhost", "unable to get local issuer"},
        {"another CA of that name", {node_pair(same_name)}, "localhost", "unable to get local"},
        {"a client as authority", {resigned(node_pair(ca), alice)}, "localhost", "CA"},
        {"expired", {node_pair(ca, past)}, "localhost", "expired"},
        {"not yet valid", {node_pair(ca, future)}, "localhost", "not yet valid"},
        {"a client's", {alice}, "alice", "unsuitable certificate purpose"},
        {"another host", {node_pair(ca)}, "example.com", "hostname mismatch"},
        {"a host below", {node_pair(ca)}, "a.localhost", "hostname mismatch"},
        {"the common name", {node_pair(ca)}, "node", "hostname mismatch"},
        {"another address", {node_pair(ca)}, "127.0.0.2", "IP address mismatch"},
        {"no certificate", {}, "localhost", "alert"},
        {"TLS 1.2", {node_pair(ca), TLS1_2_VERSION}, "localhost", "alert protocol version"},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      wire w;
      const auto server = r.server.open(true, w[0]);
      auto client = tls_stream::connect(client_side, w[1], r.wanted);
      CHECK(render(meet(client, [&] { SSL_do_handshake(server.get()); })) == "failed");
      CHECK(says(client.error(), r.why));
      CHECK(ERR_peek_error() == 0);
    }
  }

  TEST_CASE("what is no TLS ends the handshake") {
    const key_pair ca = test_ca();
    const auto server_side = server_context(node_pair(ca), ca);
    const auto client_side = client_context(client_pair(ca), ca);
    std::mt19937 rng{31};
    const std::string rows[] = {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                std::string(1000, '\0'), "CONNECT localhost:1 HTTP/1.1\r\n\r\n",
                                "\x16\x03\x01\xff\xff" + std::string(70000, 'x'),
                                random_bytes(rng, 5000)};
    for (const std::string& text : rows) {
      CAPTURE(text.substr(0, 10));
      for (const bool is_server : {true, false}) {
        wire w;
        auto mine = is_server ? tls_stream::accept(server_side, w[0])
                              : tls_stream::connect(client_side, w[0], "localhost");
        ::send(w[1], text.data(), text.size(), 0);
        CHECK(render(meet(mine, [] {})) == "failed");
        CHECK_FALSE(mine.error().empty());
        CHECK(ERR_peek_error() == 0);
      }
    }
  }

  TEST_CASE("a side that hangs up in the handshake is noticed, wherever it does") {
    const key_pair ca = test_ca(), alice = client_pair(ca);
    const auto server_side = server_context(node_pair(ca), ca);
    for (const bool says_hello : {false, true}) {
      wire w;
      auto server = tls_stream::accept(server_side, w[0]);
      CHECK(render(server.handshake()) == "wants_read");
      const auto client = lawless_end{alice}.open(false, w[1]);
      if (says_hello) SSL_do_handshake(client.get());
      w.hang_up(1);
      const sigpipe_counter counter;
      CHECK(render(meet(server, [] {})) == "failed");
      CHECK_FALSE(server.error().empty());
      CHECK(num_sigpipe == 0);
    }
  }

  TEST_CASE("a byte at a time is a handshake as well") {
    const key_pair ca = test_ca(), alice = client_pair(ca);
    wire w, slow;  // the client's end is behind a wire that passes on single bytes
    auto server = tls_stream::accept(server_context(node_pair(ca), ca), w[0]);
    auto client = tls_stream::connect(client_context(alice, ca), slow[1], "localhost");
    auto theirs = progress::wants_read, mine = progress::wants_read;
    char byte = 0;
    for (int i = 0; i < 20'000 && !(is_over(mine) && is_over(theirs)); ++i) {
      if (!is_over(theirs)) theirs = client.handshake();
      if (::recv(slow[0], &byte, 1, 0) == 1) ::send(w[1], &byte, 1, 0);
      if (!is_over(mine)) mine = server.handshake();
      if (::recv(w[1], &byte, 1, 0) == 1) ::send(slow[0], &byte, 1, 0);
    }
    CHECK(render(mine) == "done");
    CHECK(render(theirs) == "done");
    CHECK(server.peer().name == "alice");
  }

  TEST_CASE("data goes both ways, in pieces of any size, through a narrow socket") {
    connection c;
    c.w.make_narrow();
    std::mt19937 rng{32};
    struct way {
      tls_stream &from, &to;
      std::string data, read;
      size_t written = 0, offered = 0;
      int num_waits = 0;
    };
    std::array ways{way{c.server, c.client, random_bytes(rng, 1 << 20), ""},
                    way{c.client, c.server, random_bytes(rng, 1 << 20), ""}};
    const auto write = [&](way& x) {
      if (x.offered == 0) x.offered = std::min(1 + rng() % 60'000, x.data.size() - x.written);
      if (x.offered == 0) return;
      // What did not leave is offered again, from a new place.
      const std::string rest = x.data.substr(x.written, x.offered);
      size_t n = 0;
      const auto p = x.from.write(rest.data(), rest.size(), n);
      REQUIRE((p == progress::done || p == progress::wants_write));
      if (p == progress::wants_write) ++x.num_waits;
      REQUIRE(n <= rest.size());
      x.written += n;
      x.offered -= n;
    };
    const auto read = [&](way& x) {
      std::string buffer(1 + rng() % 60'000, ' ');
      size_t n = 0;
      const auto p = x.to.read(buffer.data(), buffer.size(), n);
      REQUIRE((p == progress::done || p == progress::wants_read));
      if (p == progress::done) REQUIRE(n > 0);
      x.read.append(buffer, 0, n);
    };
    const auto is_through = [](const way& x) { return x.read.size() == x.data.size(); };
    for (int i = 0; i < 100'000 && !(is_through(ways[0]) && is_through(ways[1])); ++i) {
      way& x = ways[rng() % 2];
      rng() % 2 == 0 ? write(x) : read(x);
    }
    for (const way& x : ways) {
      CHECK((x.read == x.data));
      CHECK(x.num_waits > 0);  // or it was not narrow
    }
  }

  TEST_CASE("what was read with more is pending") {
    connection c;
    size_t n = 0;
    const std::string sent(100, 'x');
    REQUIRE(c.client.write(sent.data(), sent.size(), n) == progress::done);
    CHECK(n == 100);
    CHECK(c.server.pending() == 0);
    char buffer[200];
    REQUIRE(c.server.read(buffer, 10, n) == progress::done);
    CHECK(n == 10);
    CHECK(c.server.pending() == 90);
    REQUIRE(c.server.read(buffer, sizeof buffer, n) == progress::done);
    CHECK(n == 90);
    CHECK(c.server.pending() == 0);
    CHECK(render(c.server.read(buffer, sizeof buffer, n)) == "wants_read");
  }

  TEST_CASE("a goodbye is told from a cut") {
    const key_pair ca = test_ca(), alice = client_pair(ca);
    const auto server_side = server_context(node_pair(ca), ca);
    for (const bool says_goodbye : {true, false}) {
      CAPTURE(says_goodbye);
      wire w;
      auto server = tls_stream::accept(server_side, w[0]);
      const auto client = lawless_end{alice}.open(false, w[1]);
      REQUIRE(meet(server, [&] { SSL_do_handshake(client.get()); }) == progress::done);
      SSL_write(client.get(), "last", 4);
      if (says_goodbye) SSL_shutdown(client.get());
      w.hang_up(1);
      char buffer[10];
      size_t n = 0;
      CHECK(render(server.read(buffer, sizeof buffer, n)) == "done");  // what came before it
      CHECK(std::string_view(buffer, n) == "last");
      CHECK(render(server.read(buffer, sizeof buffer, n)) == (says_goodbye ? "closed" : "failed"));
      CHECK(server.error().empty() == says_goodbye);
      CHECK(ERR_peek_error() == 0);
    }
  }

  TEST_CASE("bytes that were changed on their way end the connection") {
    connection c;
    size_t n = 0;
    REQUIRE(c.client.write("hello", 5, n) == progress::done);
    char record[200];
    const auto size = ::recv(c.w[0], record, sizeof record, 0);
    REQUIRE(size > 10);
    record[size - 1] ^= 1;
    REQUIRE(::send(c.w[1], record, static_cast<size_t>(size), 0) == size);
    CHECK(render(c.server.read(record, sizeof record, n)) == "failed");
    CHECK(says(c.server.error(), "bad record mac"));
  }

  TEST_CASE("writing to one who is gone fails and raises no signal") {
    connection c;
    c.w.hang_up(1);
    const sigpipe_counter counter;
    size_t n = 0;
    CHECK(render(c.server.write("x", 1, n)) == "failed");
    CHECK(c.server.error() == "Broken pipe");
    CHECK(num_sigpipe == 0);
    CHECK(::send(c.w[0], "x", 1, 0) == -1);
    CHECK(num_sigpipe == 1);  // it would have been seen
  }

  TEST_CASE("an error that another left behind is not taken for one's own") {
    connection c;
    char byte = 0;
    size_t n = 0;
    ERR_raise(ERR_LIB_USER, 1);
    errno = EPIPE;
    CHECK(render(c.server.read(&byte, 1, n)) == "wants_read");
    ERR_raise(ERR_LIB_USER, 1);
    CHECK(render(c.server.write("x", 1, n)) == "done");
  }

  TEST_CASE("the bytes of a session do not let anybody in again") {
    const key_pair ca = test_ca(), alice = client_pair(ca);
    const auto server_side = server_context(node_pair(ca), ca);
    wire w;
    auto server = tls_stream::accept(server_side, w[0]);
    const auto client = lawless_end{alice}.open(false, w[1]);
    REQUIRE(meet(server, [&] { SSL_do_handshake(client.get()); }) == progress::done);
    size_t n = 0;
    REQUIRE(server.write("x", 1, n) == progress::done);
    char byte = 0;
    REQUIRE(SSL_read(client.get(), &byte, 1) == 1);  // a ticket would have come before it
    CHECK(SSL_SESSION_is_resumable(SSL_get0_session(client.get())) == 0);
  }
}

TEST_SUITE("runtime.security.tls_context") {
  TEST_CASE("files that do not make an identity are refused, and named") {
    const key_pair ca = test_ca(), node = node_pair(ca), other = node_pair(ca);
    enum which { certificate, key, authority };
    struct row {
      const char* name;
      which at;
      std::string content;
      unsigned mode;
      ec want;
      const char* why;
    };
    const row rows[] = {
        {"a certificate of garbage", certificate, "garbage", 0600, ec::bad_file, "no certificate"},
        {"an empty one", certificate, "", 0600, ec::bad_file, "no certificate"},
        {"a key in its place", certificate, node.key, 0600, ec::bad_file, "no certificate"},
        {"a certificate cut off", certificate, node.certificate.substr(0, 300), 0600, ec::bad_file,
         "no certificate"},
        {"an expired one", certificate, "past", 0600, ec::bad_file, "has expired"},
        {"one of tomorrow", certificate, "future", 0600, ec::bad_file, "not valid yet"},
        {"a key of garbage", key, "garbage", 0600, ec::bad_file, "no key"},
        {"a key with a passphrase", key, encrypted(node.key), 0600, ec::bad_file, "no key"},
        {"an empty key", key, "", 0600, ec::bad_file, "no key"},
        {"a certificate in its place", key, node.certificate, 0600, ec::bad_file, "no key"},
        {"a key of another", key, other.key, 0600, ec::bad_file, "not that of"},
        {"a key for all to read", key, node.key, 0644, ec::bad_file, "others than its owner"},
        {"for the group", key, node.key, 0640, ec::bad_file, "others than its owner"},
        {"for all but the group", key, node.key, 0604, ec::bad_file, "others than its owner"},
        {"for all to write", key, node.key, 0622, ec::bad_file, "others than its owner"},
        {"a CA of garbage", authority, "garbage", 0600, ec::bad_file, "no CA"},
        {"an empty CA", authority, "", 0600, ec::bad_file, "no CA"},
        {"a key in the CA's place", authority, ca.key, 0600, ec::bad_file, "no CA"},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      files f(node, ca.certificate);
      const std::array names{"own.crt", "own.key", "ca.crt"};
      if (r.content == "past" || r.content == "future") {
        const auto made = node_pair(ca, r.content == "past" ? past : future);
        f.folder.write("own.crt", made.certificate);
        f.folder.write("own.key", made.key);
      } else {
        f.folder.write(names[r.at], r.content);
      }
      const std::string path = f.folder.file(names[r.at]);
      ::chmod(path.c_str(), r.mode);
      for (const auto& made :
           {tls_context::for_server(f.paths), tls_context::for_client(f.paths)}) {
        REQUIRE_FALSE(made);
        CHECK(made.error().code == r.want);
        CHECK(made.error().text.starts_with(path + ": "));
        CHECK(says(made.error().text, r.why));
        CHECK_FALSE(made.error().hint.empty());
      }
    }
  }

  TEST_CASE("each of the three files must be there") {
    const key_pair ca = test_ca();
    const files f(node_pair(ca), ca.certificate);
    CHECK(tls_context::for_server(f.paths));
    for (const auto at : {&tls_files::certificate, &tls_files::key, &tls_files::ca}) {
      tls_files x = f.paths;
      x.*at = f.folder.file("missing");
      auto refused = tls_context::for_server(x);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == ec::io_error);
      CHECK(refused.error().text == f.folder.file("missing") + ": No such file or directory");
      x.*at = "";
      refused = tls_context::for_client(x);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == ec::invalid_argument);
      x.*at = f.folder.file("");  // a folder
      CHECK_FALSE(tls_context::for_server(x));
    }
  }
}
