#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace llmos::cpu {

/// Processors that this process may use: its affinity mask, cut to the whole processors of its
/// cgroup's quota; at least 1.
uint32_t usable_cpus();

/// Whole processors that a cgroup v2 `cpu.max` grants ("150000 100000" → 1); nothing for "max"
/// or text of another form.
std::optional<uint32_t> cpus_of_quota(std::string_view cpu_max);

}  // namespace llmos::cpu
