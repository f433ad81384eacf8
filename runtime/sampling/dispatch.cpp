#include "runtime/sampling/dispatch.hpp"

#include <cstdlib>
#include <string_view>

namespace llmos {

std::vector<const pass_table*> available_passes() {
  std::vector<const pass_table*> out{&passes_portable};
#if defined(__x86_64__)
  // The compiler's test covers the operating system, which must save the registers.
  if (__builtin_cpu_supports("avx2")) out.push_back(&passes_avx2);
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (has_avx512) out.push_back(&passes_avx512);
#endif
  return out;
}

const pass_table& choose_passes() {
  const std::vector<const pass_table*> tables = available_passes();
  const char* wanted = std::getenv("LLMOS_CPU");
  for (const pass_table* table : tables) {
    if (wanted != nullptr && std::string_view{table->name} == wanted) return *table;
  }
  return *tables.back();
}

}  // namespace llmos
