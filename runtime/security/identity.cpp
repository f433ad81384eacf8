#include "runtime/security/identity.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <utility>

#include "runtime/base/check.hpp"
#include "runtime/base/home.hpp"
#include "runtime/base/read_file.hpp"
#include "runtime/base/write_file.hpp"
#include "runtime/config/yaml.hpp"
#include "runtime/security/openssl_error.hpp"

namespace llmos {

namespace {

constexpr uint64_t max_pem_bytes = 1u << 20;
constexpr size_t max_name_bytes = 64;  // of a common name, as X.509 has it
// Long, as nothing renews them by itself; who is no longer trusted leaves the node's list of peers.
constexpr std::chrono::days validity{10 * 365};
constexpr std::chrono::hours clock_skew{1};

template <auto Free>
struct deleter {
  template <class T>
  void operator()(T* x) const {
    Free(x);
  }
};
using key_ptr = std::unique_ptr<EVP_PKEY, deleter<EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, deleter<X509_free>>;
using bio_ptr = std::unique_ptr<BIO, deleter<BIO_free_all>>;
using extension_ptr = std::unique_ptr<X509_EXTENSION, deleter<X509_EXTENSION_free>>;

failure openssl_failed(const char* what) {
  return {ec::internal, std::string(what) + ": " + take_openssl_errors(), ""};
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

/// A name goes into file names, certificates, logs and metrics.
result<void> check_name(const std::string& name) {
  const bool ok = !name.empty() && name.size() <= max_name_bytes && is_plain(name[0]) &&
                  name[0] != '.' && name[0] != '-' &&
                  std::all_of(name.begin(), name.end(), is_plain);
  if (ok) return {};
  return failure{ec::invalid_argument, quote_short(name) + " is no name for a certificate",
                 "1 to 64 letters, digits, '.', '-' and '_', a letter or digit first"};
}

bool is_address(const std::string& host) {
  ASN1_OCTET_STRING* parsed = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(parsed);
  return parsed != nullptr;
}

result<void> check_host(const std::string& host) {
  if (is_address(host)) return {};
  if (!host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), is_plain)) {
    return {};
  }
  return failure{ec::invalid_argument, quote_short(host) + " is no host name or address",
                 "as in node.example.com or 192.0.2.7"};
}

std::string alternative_names(const std::vector<std::string>& hosts) {
  std::string out;
  for (const std::string& host : hosts) {
    out += (out.empty() ? "" : ",") + std::string(is_address(host) ? "IP:" : "DNS:") + host;
  }
  return out;
}

void add_extension(X509* to, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const extension_ptr made(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  LLMOS_CHECK(made != nullptr && X509_add_ext(to, made.get(), -1) == 1);
}

void set_name(X509_NAME* of, const std::string& name) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(name.data());
  LLMOS_CHECK(X509_NAME_add_entry_by_NID(of, NID_commonName, MBSTRING_UTF8, bytes,
                                         static_cast<int>(name.size()), -1, 0) == 1);
}

/// With a serial number nobody can guess, dates, a key and a name; without issuer and signature.
certificate_ptr start_certificate(const std::string& name, EVP_PKEY* key,
                                  std::chrono::sys_seconds not_before,
                                  std::chrono::sys_seconds not_after) {
  certificate_ptr out(X509_new());
  if (out == nullptr) throw std::bad_alloc();
  unsigned char serial[16];
  LLMOS_CHECK(RAND_bytes(serial, sizeof serial) == 1);
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);  // positive, and never 0
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  LLMOS_CHECK(number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(out.get())));
  BN_free(number);
  X509_set_version(out.get(), X509_VERSION_3);
  ASN1_TIME_set(X509_getm_notBefore(out.get()), not_before.time_since_epoch().count());
  ASN1_TIME_set(X509_getm_notAfter(out.get()), not_after.time_since_epoch().count());
  X509_set_pubkey(out.get(), key);
  set_name(X509_get_subject_name(out.get()), name);
  return out;
}

std::string take(const bio_ptr& bio) {
  char* data = nullptr;
  const long n = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(n));
}

result<key_pair> to_pem(X509* certificate, EVP_PKEY* key) {
  const bio_ptr a(BIO_new(BIO_s_mem())), b(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(a.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(b.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed("a certificate cannot be written");
  }
  return key_pair{take(a), take(b)};
}

/// The certificate and key of an authority.
result<std::pair<certificate_ptr, key_ptr>> read_ca(const key_pair& ca) {
  ERR_clear_error();
  const bio_ptr a(BIO_new_mem_buf(ca.certificate.data(), static_cast<int>(ca.certificate.size())));
  const bio_ptr b(BIO_new_mem_buf(ca.key.data(), static_cast<int>(ca.key.size())));
  certificate_ptr certificate(PEM_read_bio_X509(a.get(), nullptr, nullptr, nullptr));
  key_ptr key(PEM_read_bio_PrivateKey(b.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr || key == nullptr ||
      X509_check_private_key(certificate.get(), key.get()) != 1 ||
      X509_check_ca(certificate.get()) == 0) {
    return failure{ec::bad_file, "certificate and key of the CA: " + take_openssl_errors(),
                   "restore ca.crt and ca.key, or make a new identity in an empty folder"};
  }
  return std::pair{std::move(certificate), std::move(key)};
}

result<void> write_pair(const key_pair& pair, const std::string& certificate_path,
                        const std::string& key_path, std::vector<std::string>& written) {
  LLMOS_TRY_VOID(write_file(key_path, pair.key));
  LLMOS_TRY_VOID(write_file(certificate_path, pair.certificate));
  written.insert(written.end(), {certificate_path, key_path});
  return {};
}

result<void> make_private_folder(const std::string& folder) {
  std::error_code error;
  const auto parent = std::filesystem::path(folder).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return failure{ec::io_error, folder + ": " + std::strerror(errno), "name another folder"};
}

result<key_pair> read_pair(const std::string& certificate_path, const std::string& key_path) {
  key_pair out;
  LLMOS_TRY(out.certificate, read_file(certificate_path, max_pem_bytes));
  LLMOS_TRY(out.key, read_file(key_path, max_pem_bytes));
  return out;
}

bool exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace

result<key_pair> make_ca(const std::string& name, std::chrono::sys_seconds not_before,
                         std::chrono::sys_seconds not_after) {
  LLMOS_TRY_VOID(check_name(name));
  ERR_clear_error();
  const key_ptr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_failed("a key cannot be made");
  const auto made = start_certificate(name, key.get(), not_before, not_after);
  X509_set_issuer_name(made.get(), X509_get_subject_name(made.get()));
  add_extension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(made.get(), made.get(), NID_subject_key_identifier, "hash");
  if (X509_sign(made.get(), key.get(), EVP_sha256()) == 0) return openssl_failed("no signature");
  return to_pem(made.get(), key.get());
}

result<key_pair> make_certificate(const key_pair& ca, const certificate_request& what) {
  LLMOS_TRY_VOID(check_name(what.name));
  for (const std::string& host : what.hosts) LLMOS_TRY_VOID(check_host(host));
  LLMOS_TRY(const auto authority, read_ca(ca));
  X509* issuer = authority.first.get();
  const key_ptr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_failed("a key cannot be made");
  const auto made = start_certificate(what.name, key.get(), what.not_before, what.not_after);
  X509* x = made.get();
  X509_set_issuer_name(x, X509_get_subject_name(issuer));
  const bool is_node = what.use == certificate_use::node;
  add_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(x, issuer, NID_key_usage, "critical,digitalSignature");
  add_extension(x, issuer, NID_ext_key_usage, is_node ? "serverAuth" : "clientAuth");
  add_extension(x, issuer, NID_subject_key_identifier, "hash");
  add_extension(x, issuer, NID_authority_key_identifier, "keyid:always");
  if (!what.hosts.empty()) {
    add_extension(x, issuer, NID_subject_alt_name, alternative_names(what.hosts));
  }
  if (X509_sign(x, authority.second.get(), EVP_sha256()) == 0)
    return openssl_failed("no signature");
  return to_pem(x, key.get());
}

std::string identity_folder(const std::string& configured) {
  return configured.empty() ? home_folder() + "/.config/llmos/identity" : expand_home(configured);
}

std::string api_keys_path(const std::string& configured, const std::string& identity_folder) {
  return configured.empty() ? identity_folder + "/api_keys" : expand_home(configured);
}

identity_paths::identity_paths(const std::string& folder)
    : ca_certificate(folder + "/ca.crt"),
      ca_key(folder + "/ca.key"),
      node_certificate(folder + "/node.crt"),
      node_key(folder + "/node.key"),
      folder_(folder) {}

std::string identity_paths::client_certificate(const std::string& name) const {
  return folder_ + "/client-" + name + ".crt";
}

std::string identity_paths::client_key(const std::string& name) const {
  return folder_ + "/client-" + name + ".key";
}

result<std::vector<std::string>> make_node_identity(const std::string& folder,
                                                    const std::vector<std::string>& hosts,
                                                    std::chrono::sys_seconds now) {
  LLMOS_TRY_VOID(make_private_folder(folder));
  const identity_paths paths(folder);
  std::vector<std::string> written;
  if (!exists(paths.ca_certificate) && !exists(paths.ca_key)) {
    LLMOS_TRY(const auto ca, make_ca("llmos-ca", now - clock_skew, now + validity));
    LLMOS_TRY_VOID(write_pair(ca, paths.ca_certificate, paths.ca_key, written));
  }
  if (exists(paths.node_certificate) && exists(paths.node_key)) return written;
  LLMOS_TRY(const auto ca, read_pair(paths.ca_certificate, paths.ca_key));
  certificate_request node{"llmos-node",
                           certificate_use::node,
                           {"localhost", "127.0.0.1", "::1"},
                           now - clock_skew,
                           now + validity};
  for (const std::string& host : hosts) {
    if (std::find(node.hosts.begin(), node.hosts.end(), host) == node.hosts.end()) {
      node.hosts.push_back(host);
    }
  }
  LLMOS_TRY(const auto made, make_certificate(ca, node));
  LLMOS_TRY_VOID(write_pair(made, paths.node_certificate, paths.node_key, written));
  return written;
}

result<std::vector<std::string>> make_client_identity(const std::string& folder,
                                                      const std::string& name,
                                                      std::chrono::sys_seconds now) {
  LLMOS_TRY_VOID(check_name(name));
  const identity_paths paths(folder);
  if (exists(paths.client_certificate(name))) {
    return failure{ec::invalid_argument, paths.client_certificate(name) + " is there already",
                   "remove it, or choose another name"};
  }
  LLMOS_TRY(const auto ca, read_pair(paths.ca_certificate, paths.ca_key));
  LLMOS_TRY(
      const auto made,
      make_certificate(ca, {name, certificate_use::client, {}, now - clock_skew, now + validity}));
  std::vector<std::string> written;
  LLMOS_TRY_VOID(write_pair(made, paths.client_certificate(name), paths.client_key(name), written));
  return written;
}

}  // namespace llmos
