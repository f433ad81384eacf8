#include "runtime/security/identity.hpp"

#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <set>

#include "runtime/base/read_file.hpp"
#include "tests/support/environment_guard.hpp"
#include "tests/support/temp_dir.hpp"

using namespace llmos;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr std::chrono::sys_seconds now{std::chrono::seconds{1'753'000'000}};

using certificate = std::unique_ptr<X509, decltype(&X509_free)>;

certificate parse(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  certificate out(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr), X509_free);
  BIO_free(bio);
  REQUIRE(out != nullptr);
  return out;
}

std::string content(const std::string& path) {
  const auto read = read_file(path, 1 << 20);
  REQUIRE(read);
  return *read;
}

certificate load(const std::string& path) {
  return parse(content(path));
}

std::string common_name(const X509_NAME* of) {
  char out[100] = "";
  X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(of), NID_commonName, out, sizeof out);
  return out;
}

bool is_signed_by(X509* x, X509* ca) {
  return X509_check_issued(ca, x) == X509_V_OK && X509_verify(x, X509_get0_pubkey(ca)) == 1;
}

bool has_key(X509* x, const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  const bool out = key != nullptr && X509_check_private_key(x, key) == 1;
  EVP_PKEY_free(key);
  BIO_free(bio);
  return out;
}

/// Seconds from `x` to `t`.
int64_t seconds_to(const ASN1_TIME* t, std::chrono::sys_seconds x) {
  int days = 0, seconds = 0;
  ASN1_TIME* from = ASN1_TIME_set(nullptr, x.time_since_epoch().count());
  REQUIRE(ASN1_TIME_diff(&days, &seconds, from, t) == 1);
  ASN1_TIME_free(from);
  return int64_t{days} * 86400 + seconds;
}

unsigned mode(const std::string& path) {
  struct stat s {};
  REQUIRE(::stat(path.c_str(), &s) == 0);
  return s.st_mode & 07777;
}

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> out;
  for (const auto& e : fs::directory_iterator(folder)) out.insert(e.path().filename());
  return out;
}

/// A folder with a node's identity in it.
struct identity_folder_fixture {
  test::temp_dir parent;
  std::string folder = parent.file("identity");
  identity_paths paths{folder};

  explicit identity_folder_fixture(const std::vector<std::string>& hosts = {}) {
    REQUIRE(make_node_identity(folder, hosts, now));
  }
};

key_pair test_ca() {
  return make_ca("test-ca", now, now + 24h).value();
}

certificate_request client_request(const std::string& name) {
  return {name, certificate_use::client, {}, now, now + 1h};
}

}  // namespace

TEST_SUITE("runtime.security.identity") {
  TEST_CASE("a node's identity is four files that their owner alone reads") {
    const test::temp_dir parent;
    const auto folder = parent.file("a/b/identity");
    const auto written = make_node_identity(folder, {}, now);
    REQUIRE(written);
    const identity_paths paths(folder);
    CHECK(*written == std::vector<std::string>{paths.ca_certificate, paths.ca_key,
                                               paths.node_certificate, paths.node_key});
    CHECK(names_in(folder) == std::set<std::string>{"ca.crt", "ca.key", "node.crt", "node.key"});
    CHECK(mode(folder) == 0700);
    for (const auto& path : *written) CHECK(mode(path) == 0600);
  }

  TEST_CASE("the CA vouches for others, and for no other CA") {
    const identity_folder_fixture f;
    const auto ca = load(f.paths.ca_certificate);
    CHECK(common_name(X509_get_subject_name(ca.get())) == "llmos-ca");
    CHECK(is_signed_by(ca.get(), ca.get()));
    CHECK(has_key(ca.get(), content(f.paths.ca_key)));
    CHECK(X509_check_ca(ca.get()) == 1);
    CHECK(X509_get_pathlen(ca.get()) == 0);
    CHECK(X509_get_key_usage(ca.get()) == (KU_KEY_CERT_SIGN | KU_CRL_SIGN));
    CHECK(X509_get_version(ca.get()) == X509_VERSION_3);
  }

  TEST_CASE("the node's certificate is one of a server, signed by that CA") {
    const identity_folder_fixture f;
    const auto ca = load(f.paths.ca_certificate), node = load(f.paths.node_certificate);
    CHECK(common_name(X509_get_subject_name(node.get())) == "llmos-node");
    CHECK(is_signed_by(node.get(), ca.get()));
    CHECK(has_key(node.get(), content(f.paths.node_key)));
    CHECK_FALSE(has_key(node.get(), content(f.paths.ca_key)));
    CHECK(X509_check_ca(node.get()) == 0);
    CHECK(X509_get_key_usage(node.get()) == KU_DIGITAL_SIGNATURE);
    CHECK(X509_get_extended_key_usage(node.get()) == XKU_SSL_SERVER);
    CHECK(EVP_PKEY_is_a(X509_get0_pubkey(node.get()), "EC") == 1);
    CHECK(EVP_PKEY_get_bits(X509_get0_pubkey(node.get())) == 256);
  }

  TEST_CASE("certificates hold for ten years, and for an hour before, as clocks differ") {
    identity_folder_fixture f;
    REQUIRE(make_client_identity(f.folder, "alice", now));
    for (const auto& path :
         {f.paths.ca_certificate, f.paths.node_certificate, f.paths.client_certificate("alice")}) {
      const auto x = load(path);
      CHECK(seconds_to(X509_get0_notBefore(x.get()), now) == -3600);
      CHECK(seconds_to(X509_get0_notAfter(x.get()), now) == 3650 * 86400);
    }
  }

  TEST_CASE("a node answers to this machine's names and those that were given, each once") {
    const identity_folder_fixture f(
        {"node.example.com", "192.0.2.7", "localhost", "2001:db8::5", "under_score", "127.0.0.1"});
    const auto node = load(f.paths.node_certificate);
    X509* x = node.get();
    for (const char* host : {"localhost", "node.example.com", "under_score"}) {
      CAPTURE(host);
      CHECK(X509_check_host(x, host, 0, 0, nullptr) == 1);
    }
    for (const char* address : {"127.0.0.1", "::1", "192.0.2.7", "2001:db8::5"}) {
      CAPTURE(address);
      CHECK(X509_check_ip_asc(x, address, 0) == 1);
    }
    for (const char* host : {"example.com", "a.node.example.com", "llmos-node", "192.0.2.7"}) {
      CAPTURE(host);
      CHECK(X509_check_host(x, host, 0, 0, nullptr) == 0);
    }
    CHECK(X509_check_ip_asc(x, "192.0.2.8", 0) == 0);
    auto* names =
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x, NID_subject_alt_name, nullptr, nullptr));
    CHECK(sk_GENERAL_NAME_num(names) == 7);
    GENERAL_NAMES_free(names);
  }

  TEST_CASE("what is no host is refused, and cannot smuggle in another") {
    const key_pair ca = test_ca();
    for (const std::string& host :
         {std::string(), std::string("two words"), std::string("*.example.com"),
          std::string("a,DNS:evil.example"), std::string("1.2.3.4,DNS:evil.example"),
          std::string("1.2.3.4/24"), std::string("::1,IP:2.2.2.2"), std::string("a:b"),
          std::string("a\nb"), std::string("a\0b", 3), std::string("höst"),
          std::string(254, 'a')}) {
      CAPTURE(host);
      auto request = client_request("node");
      request.hosts = {"localhost", host};
      const auto made = make_certificate(ca, request);
      REQUIRE_FALSE(made);
      CHECK(made.error().code == ec::invalid_argument);
      CHECK(made.error().text.ends_with("is no host name or address"));
    }
    auto longest = client_request("node");
    longest.hosts = {std::string(253, 'a')};
    CHECK(make_certificate(ca, longest));
  }

  TEST_CASE("a name that would do harm in a path, a log or a certificate is refused") {
    const key_pair ca = test_ca();
    for (const char* good : {"a", "Alice", "a.b-c_d", "7", "x..y"}) {
      CAPTURE(good);
      CHECK(make_certificate(ca, client_request(good)));
      CHECK(make_ca(good, now, now + 1h));
    }
    CHECK(make_certificate(ca, client_request(std::string(64, 'a'))));
    const identity_folder_fixture f;
    const auto before = names_in(f.folder);
    for (const std::string& bad :
         {std::string(), std::string("."), std::string(".."), std::string(".hidden"),
          std::string("-x"), std::string("a/b"), std::string("../up"), std::string("a b"),
          std::string("a\nb"), std::string("a\0b", 3), std::string("a:b"), std::string("ä"),
          std::string("a/CN=b"), std::string(65, 'a')}) {
      CAPTURE(bad);
      for (const auto& refused :
           {make_certificate(ca, client_request(bad)), make_ca(bad, now, now + 1h)}) {
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ec::invalid_argument);
      }
      CHECK(make_client_identity(f.folder, bad, now).error().code == ec::invalid_argument);
    }
    CHECK(names_in(f.folder) == before);
  }

  TEST_CASE("no two certificates share a serial number or a key") {
    const key_pair ca = test_ca();
    std::set<std::string> serials, keys;
    for (int i = 0; i < 20; ++i) {
      const auto made = make_certificate(ca, client_request("alice"));
      REQUIRE(made);
      const auto x = parse(made->certificate);
      BIGNUM* serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x.get()), nullptr);
      CHECK(BN_num_bits(serial) == 127);  // none of its bits but the first is given away
      CHECK(BN_is_negative(serial) == 0);
      char* hex = BN_bn2hex(serial);
      serials.insert(hex);
      OPENSSL_free(hex);
      BN_free(serial);
      keys.insert(made->key);
    }
    CHECK(serials.size() == 20);
    CHECK(keys.size() == 20);
  }

  TEST_CASE("what is there already stays") {
    const test::temp_dir parent;
    const auto folder = parent.file("identity");
    REQUIRE(fs::create_directory(folder));
    fs::permissions(folder, fs::perms(0755));
    REQUIRE(make_node_identity(folder, {}, now));
    CHECK(mode(folder) == 0755);  // its owner's choice; the keys are for nobody else anyway
    const identity_paths paths(folder);
    const auto all = [&] {
      return content(paths.ca_certificate) + content(paths.ca_key) +
             content(paths.node_certificate) + content(paths.node_key);
    };
    const auto before = all();
    const auto again = make_node_identity(folder, {"other.example.com"}, now + 24h);
    REQUIRE(again);
    CHECK(again->empty());
    CHECK(all() == before);
  }

  TEST_CASE("a node's pair that is gone is made again under the same CA") {
    for (const bool is_only_half_gone : {false, true}) {
      CAPTURE(is_only_half_gone);
      const identity_folder_fixture f;
      const auto ca_before = content(f.paths.ca_certificate) + content(f.paths.ca_key);
      fs::remove(f.paths.node_key);
      if (!is_only_half_gone) fs::remove(f.paths.node_certificate);
      const auto written = make_node_identity(f.folder, {}, now);
      REQUIRE(written);
      CHECK(*written == std::vector<std::string>{f.paths.node_certificate, f.paths.node_key});
      CHECK(content(f.paths.ca_certificate) + content(f.paths.ca_key) == ca_before);
      const auto node = load(f.paths.node_certificate);
      CHECK(has_key(node.get(), content(f.paths.node_key)));
      CHECK(is_signed_by(node.get(), load(f.paths.ca_certificate).get()));
    }
  }

  TEST_CASE("a CA of which half is gone is not replaced in silence") {
    for (const bool is_key_gone : {false, true}) {
      const identity_folder_fixture f;
      const auto& gone = is_key_gone ? f.paths.ca_key : f.paths.ca_certificate;
      const auto& left = is_key_gone ? f.paths.ca_certificate : f.paths.ca_key;
      const auto before = content(left);
      fs::remove(gone);
      fs::remove(f.paths.node_key);
      const auto node = make_node_identity(f.folder, {}, now);
      const auto client = make_client_identity(f.folder, "alice", now);
      for (const auto& refused : {node, client}) {
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ec::not_found);
        CHECK(refused.error().text.find(gone) != std::string::npos);
      }
      CHECK_FALSE(fs::exists(gone));
      CHECK(content(left) == before);
    }
  }

  TEST_CASE("what is no CA signs nothing") {
    const key_pair ca = test_ca(), other = test_ca();
    const key_pair client = make_certificate(ca, client_request("alice")).value();
    struct row {
      const char* name;
      key_pair pair;
    };
    const row rows[] = {
        {"nothing", {"", ""}},
        {"garbage", {"garbage", "garbage"}},
        {"a certificate cut off", {ca.certificate.substr(0, 200), ca.key}},
        {"a key cut off", {ca.certificate, ca.key.substr(0, 80)}},
        {"the other way round", {ca.key, ca.certificate}},
        {"the key of another", {ca.certificate, other.key}},
        {"a client", client},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      const auto refused = make_certificate(r.pair, client_request("bob"));
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == ec::bad_file);
      CHECK_FALSE(refused.error().hint.empty());
    }
  }

  TEST_CASE("a client gets a certificate in its name, signed by the folder's CA") {
    const identity_folder_fixture f;
    const auto written = make_client_identity(f.folder, "alice", now);
    REQUIRE(written);
    CHECK(*written ==
          std::vector<std::string>{f.folder + "/client-alice.crt", f.folder + "/client-alice.key"});
    for (const auto& path : *written) CHECK(mode(path) == 0600);
    const auto x = load(f.paths.client_certificate("alice"));
    CHECK(common_name(X509_get_subject_name(x.get())) == "alice");
    CHECK(is_signed_by(x.get(), load(f.paths.ca_certificate).get()));
    CHECK(has_key(x.get(), content(f.paths.client_key("alice"))));
    CHECK(X509_check_ca(x.get()) == 0);
    CHECK(X509_get_extended_key_usage(x.get()) == XKU_SSL_CLIENT);
    CHECK(X509_get_ext_by_NID(x.get(), NID_subject_alt_name, -1) == -1);
  }

  TEST_CASE("a client's certificate is not replaced; another client gets its own") {
    const identity_folder_fixture f;
    REQUIRE(make_client_identity(f.folder, "alice", now));
    const auto before =
        content(f.paths.client_certificate("alice")) + content(f.paths.client_key("alice"));
    const auto again = make_client_identity(f.folder, "alice", now);
    REQUIRE_FALSE(again);
    CHECK(again.error().code == ec::invalid_argument);
    CHECK(again.error().text == f.paths.client_certificate("alice") + " is there already");
    CHECK(make_client_identity(f.folder, "bob", now));
    CHECK(content(f.paths.client_certificate("alice")) + content(f.paths.client_key("alice")) ==
          before);
  }

  TEST_CASE("a folder that cannot be is named") {
    const test::temp_dir parent;
    const auto file = parent.write("file", "");
    for (const auto& folder : {file, file + "/below"}) {
      const auto refused = make_node_identity(folder, {}, now);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == ec::io_error);
      CHECK(refused.error().text.find(folder) != std::string::npos);
    }
    const auto nowhere = make_client_identity(parent.file("nowhere"), "alice", now);
    CHECK(nowhere.error().code == ec::not_found);
    CHECK_FALSE(fs::exists(parent.file("nowhere")));
  }

  TEST_CASE("where no folder is configured it lies in the home folder") {
    const test::environment_guard home("HOME", "/home/alice");
    CHECK(identity_folder("") == "/home/alice/.config/llmos/identity");
    CHECK(identity_folder("~/id") == "/home/alice/id");
    CHECK(identity_folder("/etc/llmos") == "/etc/llmos");
  }
}
