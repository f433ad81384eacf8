#pragma once

#include <memory>

#include "runtime/backend/backend.hpp"

namespace llmos::gpu {

/// A backend on a CUDA device: weights and activations in bf16, the residual stream and sums in
/// float32, K and V in f16. Errors: not_found (no such device), unsupported (a KV type or a head
/// that the kernels do not know), out_of_memory.
result<std::unique_ptr<backend>> make_cuda_backend(int device, std::shared_ptr<const model> m,
                                                   const backend_limits& limits);

/// What make_cuda_backend would take of the device's memory. Errors: as there.
result<backend_memory> memory_of_cuda_backend(int device, const model& m,
                                              const backend_limits& limits);

}  // namespace llmos::gpu
