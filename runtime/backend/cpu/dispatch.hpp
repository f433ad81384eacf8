#pragma once

#include <vector>

#include "runtime/backend/cpu/kernels.hpp"
#include "runtime/base/result.hpp"

namespace llmos::cpu {

/// Kernel tables that this processor and operating system can run, slowest first. All compute
/// the same bits.
std::vector<const kernel_table*> available_kernels();

/// The fastest table, or the one that the environment variable LLMOS_CPU names by its first word
/// (portable, avx2, avxvnni, avx512, amx). Errors: invalid_argument (unknown, or not available
/// here).
result<const kernel_table*> choose_kernels();

}  // namespace llmos::cpu
