#include "runtime/base/system_memory.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "runtime/base/cgroup.hpp"

namespace llmos {

namespace {

/// The number in a one-number file ("max" and missing files are nothing).
std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream in{path};
  uint64_t x = 0;
  return in >> x ? std::optional{x} : std::nullopt;
}

/// The number after `key` in a file of lines "key number".
std::optional<uint64_t> read_field(const std::string& path, const std::string& key) {
  std::ifstream in{path};
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields{line};
    std::string name;
    uint64_t x = 0;
    if (fields >> name >> x && name == key) return x;
  }
  return std::nullopt;
}

/// What the two versions of control groups call the same things.
struct group_files {
  const char *controller, *limit, *used, *file_pages[2];
};
constexpr group_files group_versions[] = {
    {"", "memory.max", "memory.current", {"inactive_file", "active_file"}},
    {"memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     {"total_inactive_file", "total_active_file"}},
};

/// What is left of one group's limit; nothing when it has none.
std::optional<uint64_t> left_in_group(const std::string& folder, const group_files& names) {
  const auto limit = read_number(folder + "/" + names.limit);
  const auto used = read_number(folder + "/" + names.used);
  if (!limit || !used) return std::nullopt;
  uint64_t in_files = 0;
  for (const char* key : names.file_pages) {
    in_files += read_field(folder + "/memory.stat", key).value_or(0);
  }
  const uint64_t held = *used - std::min(*used, in_files);
  return *limit - std::min(*limit, held);
}

}  // namespace

uint64_t free_memory_bytes(const std::string& root) {
  const auto kib = read_field(root + "/proc/meminfo", "MemAvailable:");
  uint64_t free = kib ? *kib * 1024 : std::numeric_limits<uint64_t>::max();
  for (const auto& names : group_versions) {
    for (const auto& folder : cgroup_folders(names.controller, root)) {
      if (const auto left = left_in_group(folder, names)) free = std::min(free, *left);
    }
  }
  return free;
}

uint64_t resident_bytes() {
  std::ifstream in{"/proc/self/statm"};
  uint64_t all_pages = 0, resident_pages = 0;
  in >> all_pages >> resident_pages;
  return resident_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace llmos
