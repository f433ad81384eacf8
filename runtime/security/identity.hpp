#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.hpp"

namespace llmos {

/// What a certificate lets its owner be.
enum class certificate_use : uint8_t { node, client };

struct certificate_request {
  std::string name;  ///< Common name: of a client what it is known by. 1 to 64 bytes.
  certificate_use use = certificate_use::client;
  std::vector<std::string> hosts;  ///< DNS names and addresses that a node answers to.
  std::chrono::sys_seconds not_before{};
  std::chrono::sys_seconds not_after{};
};

/// A certificate and its key, as PEM. Keys are on P-256.
struct key_pair {
  std::string certificate;
  std::string key;
};

/// A certificate authority of its own. Errors: invalid_argument (no such name), internal.
result<key_pair> make_ca(const std::string& name, std::chrono::sys_seconds not_before,
                         std::chrono::sys_seconds not_after);

/// A certificate signed by that authority. Errors: bad_file (the authority is none),
/// invalid_argument naming what is wrong with the request.
result<key_pair> make_certificate(const key_pair& ca, const certificate_request& what);

/// The folder that is meant: ~/.config/llmos/identity where none is configured.
std::string identity_folder(const std::string& configured);

/// The file of API keys that is meant: beside the identity where none is configured.
std::string api_keys_path(const std::string& configured, const std::string& identity_folder);

/// Files of a node's identity in one folder.
struct identity_paths {
  explicit identity_paths(const std::string& folder);

  std::string ca_certificate, ca_key;
  std::string node_certificate, node_key;
  /// Of the client of that name.
  std::string client_certificate(const std::string& name) const;
  std::string client_key(const std::string& name) const;

private:
  std::string folder_;
};

/// Makes CA and node certificate in a folder (made with mode 700 when it is missing); what is there
/// already stays. `hosts`: further names of the node beside "localhost", "127.0.0.1" and "::1".
/// Returns the files that were written. Errors: io_error naming the file, bad_file.
result<std::vector<std::string>> make_node_identity(const std::string& folder,
                                                    const std::vector<std::string>& hosts,
                                                    std::chrono::sys_seconds now);

/// Makes certificate and key of a client, for whom the folder's CA vouches. Errors: as above;
/// invalid_argument (the client has a certificate, no such name).
result<std::vector<std::string>> make_client_identity(const std::string& folder,
                                                      const std::string& name,
                                                      std::chrono::sys_seconds now);

}  // namespace llmos
