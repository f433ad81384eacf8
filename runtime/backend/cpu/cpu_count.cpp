#include "runtime/backend/cpu/cpu_count.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <thread>

#include "runtime/base/cgroup.hpp"

namespace llmos::cpu {

namespace {

uint32_t cpus_of_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) {  // more processors than the set holds
    return std::max(1u, std::thread::hardware_concurrency());
  }
  return std::max(1, CPU_COUNT(&set));
}

/// The whole first line of a file, or "".
std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace

std::optional<uint32_t> cpus_of_quota(std::string_view cpu_max) {
  const char* end = cpu_max.data() + cpu_max.size();
  uint64_t quota = 0, period = 0;
  const auto first = std::from_chars(cpu_max.data(), end, quota);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != ' ') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, period);
  if (second.ec != std::errc{} || period == 0) return std::nullopt;
  return static_cast<uint32_t>(std::clamp<uint64_t>(quota / period, 1, UINT32_MAX));
}

uint32_t usable_cpus() {
  uint32_t n = cpus_of_affinity();
  for (const std::string& folder : cgroup_folders()) {  // a quota of any ancestor binds
    if (const auto quota = cpus_of_quota(first_line(folder + "/cpu.max"))) n = std::min(n, *quota);
  }
  return n;
}

}  // namespace llmos::cpu
