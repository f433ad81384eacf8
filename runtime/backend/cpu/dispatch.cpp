#include "runtime/backend/cpu/dispatch.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace llmos::cpu {

namespace {

#if defined(__x86_64__)
struct cpu_features {
  bool avx2 = false;
  bool avx_vnni = false;
  bool avx512_vnni = false;
  bool amx_int8 = false;
};

constexpr bool has_bits(uint32_t x, uint32_t bits) {
  return (x & bits) == bits;
}
constexpr uint32_t bit(int i) {
  return uint32_t{1} << i;
}

/// Which register states the operating system saves on a context switch (XCR0).
uint32_t saved_states() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/// Tiles need the kernel's leave, which counts for all threads of the process.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

/// Processor flags count only together with the states that the system saves.
cpu_features detect() {
  cpu_features out;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return out;
  const uint32_t fma = bit(12), osxsave = bit(27), avx = bit(28), f16c = bit(29);
  if (!has_bits(c, fma | osxsave | avx | f16c)) return out;
  const uint32_t states = saved_states();
  const uint32_t ymm_states = bit(1) | bit(2), zmm_states = bit(5) | bit(6) | bit(7);
  if (!has_bits(states, ymm_states) || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return out;
  out.avx2 = has_bits(b, bit(5));
  const uint32_t f_dq_bw_vl = bit(16) | bit(17) | bit(30) | bit(31), vnni = bit(11);
  out.avx512_vnni =
      out.avx2 && has_bits(states, zmm_states) && has_bits(b, f_dq_bw_vl) && has_bits(c, vnni);
  const uint32_t tile_states = bit(17) | bit(18), amx_tile_int8 = bit(24) | bit(25);
  out.amx_int8 = out.avx512_vnni && has_bits(states, tile_states) && has_bits(d, amx_tile_int8) &&
                 may_use_tiles();
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) {
    out.avx_vnni = out.avx2 && has_bits(a, bit(4));
  }
  return out;
}
#endif

/// "avx512" of "avx512-vnni".
std::string_view short_name(const kernel_table& table) {
  const std::string_view name = table.name;
  return name.substr(0, name.find('-'));
}

}  // namespace

std::vector<const kernel_table*> available_kernels() {
  std::vector<const kernel_table*> out{&kernels_portable};
#if defined(__x86_64__)
  static const cpu_features features = detect();
  if (features.avx2) out.push_back(&kernels_avx2);
  if (features.avx_vnni) out.push_back(&kernels_avxvnni);
  if (features.avx512_vnni) out.push_back(&kernels_avx512);
  if (features.amx_int8) out.push_back(&kernels_amx);
#endif
  return out;
}

result<const kernel_table*> choose_kernels() {
  const std::vector<const kernel_table*> tables = available_kernels();
  const char* wanted = std::getenv("LLMOS_CPU");
  if (wanted == nullptr || *wanted == '\0') return tables.back();
  std::string names;
  for (const kernel_table* table : tables) {
    if (short_name(*table) == wanted) return table;
    names += (names.empty() ? "" : ", ") + std::string(short_name(*table));
  }
  return failure{ec::invalid_argument,
                 "LLMOS_CPU=" + std::string(wanted) + " is unknown or not available here",
                 "unset it or use one of: " + names};
}

}  // namespace llmos::cpu
