#pragma once

#include <memory>

#include "runtime/backend/backend.hpp"

namespace llmos {

/// The backend for processors: weights repacked once at load, integer dot products, f16 KV.
/// block_tokens must be 16, 32, 64, 128 or 256. The environment variable LLMOS_CPU (portable,
/// avx2, avxvnni, avx512, amx) picks the instruction set; all give the same bits.
/// Errors: invalid_argument (block_tokens, LLMOS_CPU), out_of_memory (with the bytes).
result<std::unique_ptr<backend>> make_cpu_backend(std::shared_ptr<const model> m,
                                                  const backend_limits& limits);

/// What make_cpu_backend would take. Errors: the same.
result<backend_memory> memory_of_cpu_backend(const model& m, const backend_limits& limits);

}  // namespace llmos
