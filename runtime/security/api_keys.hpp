#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"

namespace llmos {

/// What is kept of one key; never the key itself.
struct api_key {
  std::string id;     ///< Eight hex digits: names it in lists and when it is revoked.
  std::string owner;  ///< Whose work it is: the tenant of the requests.
  /// SHA-256 of the whole key. A key has 256 bits of entropy, so nothing is gained by a slow or
  /// salted hash: those protect what people can remember.
  std::array<uint8_t, 32> sha256{};
  std::string created;  ///< "2026-11-29T12:00:00Z"
};

/// The keys that a node takes, as plain values.
class api_key_table {
public:
  explicit api_key_table(std::vector<api_key> keys = {}) : keys_(std::move(keys)) {}

  /// The owner of a presented key, or nothing. The time it takes says how many keys there are and
  /// nothing else of them.
  std::optional<std::string> owner_of(std::string_view presented) const;

  const std::vector<api_key>& keys() const { return keys_; }

private:
  std::vector<api_key> keys_;
};

/// A key that was just made: shown once, to its owner.
struct new_api_key {
  std::string key;  ///< "sk-llmos-" and 43 of A-Z, a-z, 0-9, - and _.
  api_key kept;
};

/// The file holds one key to a line: {"id", "owner", "sha256", "created"}; `name` stands in errors.
/// Errors: bad_file with the line.
result<api_key_table> parse_api_keys(std::string_view text, const std::string& name);

/// Errors: not_found, io_error, bad_file, invalid_argument where others than its owner may read or
/// write the file.
result<api_key_table> read_api_keys(const std::string& path);

/// Makes a key and adds it; a file that is not there is made. Who reads the file meanwhile sees it
/// without the key or with it. Errors: those above, invalid_argument (the owner's name).
result<new_api_key> add_api_key(const std::string& path, const std::string& owner,
                                std::chrono::sys_seconds now);

/// Takes the key of that id out. Errors: those above, not_found (the id).
result<void> revoke_api_key(const std::string& path, std::string_view id);

/// The key in an Authorization header, "Bearer KEY", or nothing.
std::optional<std::string_view> bearer_token(std::string_view authorization);

}  // namespace llmos
