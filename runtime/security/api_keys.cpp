#include "runtime/security/api_keys.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/base/json_text.hpp"
#include "runtime/base/read_file.hpp"
#include "runtime/base/write_file.hpp"

namespace llmos {

namespace {

using json = nlohmann::ordered_json;
using digest = std::array<uint8_t, 32>;

constexpr std::string_view prefix = "sk-llmos-";
constexpr size_t random_bytes = 32;
constexpr size_t encoded_bytes = 43;  // 32 bytes, six bits to a letter
constexpr size_t max_file_bytes = size_t{16} << 20;
constexpr size_t max_owner_bytes = 64;

class descriptor {
public:
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

private:
  int fd_;
};

failure io_failure(const std::string& what, const std::string& path, int error) {
  const auto code = error == ENOENT ? ec::not_found : ec::io_error;
  return {code, "cannot " + what + " " + path + ": " + std::generic_category().message(error),
          "check the path and its permissions"};
}

digest sha256(std::string_view text) {
  digest out;
  unsigned size = 0;
  LLMOS_CHECK(::EVP_Digest(text.data(), text.size(), out.data(), &size, ::EVP_sha256(), nullptr) ==
                  1 &&
              size == out.size());
  return out;
}

result<void> fill_random(std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    if (n < 0 && errno != EINTR) return io_failure("get random bytes from", "the system", errno);
    if (n > 0) out = out.subspan(static_cast<size_t>(n));
  }
  return {};
}

/// RFC 4648, section 5, without padding.
std::string base64url(std::span<const uint8_t> bytes) {
  constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  uint32_t bits = 0;
  int num_bits = 0;
  for (const uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    for (num_bits += 8; num_bits >= 6; num_bits -= 6) out += letters[bits >> (num_bits - 6) & 63];
  }
  if (num_bits > 0) out += letters[bits << (6 - num_bits) & 63];
  return out;
}

std::string to_hex(std::span<const uint8_t> bytes) {
  std::string out;
  for (const uint8_t byte : bytes) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", unsigned{byte});
    out += text;
  }
  return out;
}

std::optional<digest> from_hex(std::string_view text) {
  const auto value = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  digest out;
  if (text.size() != 2 * out.size()) return std::nullopt;
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = value(text[2 * i]), low = value(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return out;
}

std::string iso_time(std::chrono::sys_seconds when) {
  const std::time_t t = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  ::gmtime_r(&t, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

bool is_owner_name(std::string_view x) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '@';
  };
  return !x.empty() && x.size() <= max_owner_bytes && std::all_of(x.begin(), x.end(), is_allowed);
}

bool is_id(std::string_view x) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return x.size() == 8 && std::all_of(x.begin(), x.end(), is_digit);
}

/// The text of a field that has to be there.
std::string text_of(const json& line, const char* name) {
  const auto it = line.find(name);
  return it != line.end() && it->is_string() ? it->get<std::string>() : "";
}

result<api_key> read_line(std::string_view text, const std::string& name, uint32_t number) {
  LLMOS_TRY(const auto line, parse_json(text, name, number));
  const auto complain = [&](const std::string& what) {
    return failure{ec::bad_file, name + ":" + std::to_string(number) + ": " + what,
                   "a line is {\"id\", \"owner\", \"sha256\", \"created\"}"};
  };
  if (!line.is_object() || line.size() != 4) return complain("no object of four fields");
  const auto hash = from_hex(text_of(line, "sha256"));
  if (!hash) return complain("sha256 is not 64 of 0-9 and a-f");
  api_key out{text_of(line, "id"), text_of(line, "owner"), *hash, text_of(line, "created")};
  if (!is_id(out.id)) return complain("id is not 8 of 0-9 and a-f");
  if (!is_owner_name(out.owner)) return complain("owner is no name");
  if (out.created.empty()) return complain("created is no time");
  return out;
}

std::string to_text(const std::vector<api_key>& keys) {
  std::string out;
  for (const api_key& k : keys) {
    const json line = {
        {"id", k.id}, {"owner", k.owner}, {"sha256", to_hex(k.sha256)}, {"created", k.created}};
    out += line.dump() + "\n";
  }
  return out;
}

/// Keeps others from changing the file between reading and writing it, and makes the new name last:
/// both by way of its folder.
class folder_lock {
public:
  explicit folder_lock(const std::string& path)
      : folder_(folder_of(path)), fd_(open(folder_)), open_error_(errno) {}

  result<void> lock() const {
    if (fd_.get() < 0) return io_failure("open the folder", folder_, open_error_);
    while (::flock(fd_.get(), LOCK_EX) != 0) {
      if (errno != EINTR) return io_failure("lock the folder", folder_, errno);
    }
    return {};
  }
  result<void> sync() const {
    if (::fsync(fd_.get()) == 0) return {};
    return io_failure("write the folder", folder_, errno);
  }

private:
  static std::string folder_of(const std::string& path) {
    const auto parent = std::filesystem::path{path}.parent_path();
    return parent.empty() ? "." : parent.string();
  }
  static int open(const std::string& folder) {
    return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }

  std::string folder_;
  descriptor fd_;
  int open_error_;
};

result<void> write_keys(const std::string& path, const std::vector<api_key>& keys,
                        const folder_lock& folder) {
  LLMOS_TRY_VOID(write_file(path, to_text(keys)));
  return folder.sync();
}

result<new_api_key> make_key(const std::string& owner, std::chrono::sys_seconds now) {
  std::array<uint8_t, random_bytes> secret;
  std::array<uint8_t, 4> id;
  LLMOS_TRY_VOID(fill_random(secret));
  LLMOS_TRY_VOID(fill_random(id));
  new_api_key out;
  out.key = std::string{prefix} + base64url(secret);
  ::OPENSSL_cleanse(secret.data(), secret.size());
  out.kept = {to_hex(id), owner, sha256(out.key), iso_time(now)};
  return out;
}

}  // namespace

std::optional<std::string> api_key_table::owner_of(std::string_view presented) const {
  if (presented.size() != prefix.size() + encoded_bytes || !presented.starts_with(prefix)) {
    return std::nullopt;
  }
  const digest hash = sha256(presented);
  const api_key* found = nullptr;
  for (const api_key& k : keys_) {  // all of them, found or not
    if (::CRYPTO_memcmp(hash.data(), k.sha256.data(), hash.size()) == 0) found = &k;
  }
  return found != nullptr ? std::optional{found->owner} : std::nullopt;
}

result<api_key_table> parse_api_keys(std::string_view text, const std::string& name) {
  std::vector<api_key> keys;
  std::set<std::string> ids;
  for (uint32_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    LLMOS_TRY(keys.emplace_back(), read_line(line, name, number));
    if (!ids.insert(keys.back().id).second) {
      return failure{
          ec::bad_file,
          name + ":" + std::to_string(number) + ": id " + keys.back().id + " stands here twice",
          "remove one of the lines"};
    }
  }
  return api_key_table{std::move(keys)};
}

result<api_key_table> read_api_keys(const std::string& path) {
  const descriptor fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (fd.get() < 0) return io_failure("read", path, errno);
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) return io_failure("read", path, errno);
  if ((s.st_mode & 077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", unsigned{s.st_mode & 07777});
    return failure{ec::invalid_argument,
                   path + " may be read or written by others (mode " + mode + ")",
                   "chmod 600 " + path};
  }
  LLMOS_TRY(const auto text, read_descriptor(fd.get(), path, max_file_bytes));
  return parse_api_keys(text, path);
}

result<new_api_key> add_api_key(const std::string& path, const std::string& owner,
                                std::chrono::sys_seconds now) {
  if (!is_owner_name(owner)) {
    std::string text = "a key cannot belong to '";
    text += owner.substr(0, max_owner_bytes) + "'";
    return failure{ec::invalid_argument, text, "allowed: 1 to 64 of a-z, A-Z, 0-9, _, -, . and @"};
  }
  const folder_lock folder{path};
  LLMOS_TRY_VOID(folder.lock());
  auto table = read_api_keys(path);
  if (!table && table.error().code != ec::not_found) return table.error();
  auto keys = table ? table->keys() : std::vector<api_key>{};
  LLMOS_TRY(auto made, make_key(owner, now));
  const auto has_id = [&](const api_key& k) { return k.id == made.kept.id; };
  while (std::any_of(keys.begin(), keys.end(), has_id)) {
    LLMOS_TRY(made, make_key(owner, now));
  }
  keys.push_back(made.kept);
  LLMOS_TRY_VOID(write_keys(path, keys, folder));
  return made;
}

result<void> revoke_api_key(const std::string& path, std::string_view id) {
  const folder_lock folder{path};
  LLMOS_TRY_VOID(folder.lock());
  LLMOS_TRY(const auto table, read_api_keys(path));
  auto keys = table.keys();
  if (std::erase_if(keys, [id](const api_key& k) { return k.id == id; }) == 0) {
    return failure{ec::not_found, "no key has the id '" + std::string{id.substr(0, 40)} + "'",
                   "list the keys to see their ids"};
  }
  return write_keys(path, keys, folder);
}

std::optional<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer ";
  if (authorization.size() <= scheme.size()) return std::nullopt;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (size_t i = 0; i < scheme.size(); ++i) {
    if (lower(authorization[i]) != scheme[i]) return std::nullopt;
  }
  auto token = authorization.substr(scheme.size());
  token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
  token = token.substr(0, token.find_last_not_of(' ') + 1);
  return token.empty() ? std::nullopt : std::optional{token};
}

}  // namespace llmos
