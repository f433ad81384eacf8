#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "runtime/base/result.hpp"

namespace llmos::gpu {

/// What the CUDA runtime answered to `call`, as a failure that says where the call stands.
/// Codes: out_of_memory, not_found (no device or driver), unsupported (no code for this device),
/// internal (everything else: we called it wrongly, or the device fell off).
failure to_failure(cudaError_t status, const char* call, const char* file, int line);
failure to_failure(cublasStatus_t status, const char* call, const char* file, int line);

}  // namespace llmos::gpu

/// `LLMOS_CUDA(cudaMalloc(&p, n));` returns the failure to the caller or goes on. For cuBLASLt too.
#define LLMOS_CUDA(call)                                                       \
  if (const auto llmos_status = (call); static_cast<int>(llmos_status) != 0) { \
    return ::llmos::gpu::to_failure(llmos_status, #call, __FILE__, __LINE__);  \
  }
