#pragma once

#include <cuda_runtime.h>

#include "gpu/error.hpp"

namespace llmos::gpu {

/// The part of a launch between `<<<` and `>>>`, and where it stands.
struct grid {
  dim3 blocks, threads;
  size_t shared_bytes;
  stream_handle s;
  const char* file;
  int line;

  grid(dim3 n_blocks, dim3 n_threads, size_t shared, stream_handle on,
       const char* f = __builtin_FILE(), int l = __builtin_LINE())
      : blocks(n_blocks), threads(n_threads), shared_bytes(shared), s(on), file(f), line(l) {}
};

/// Starts `kernel` and does not wait. Errors name the caller's file and line.
template <class... Params, class... Args>
result<void> launch(const grid& g, const char* name, void (*kernel)(Params...), Args... args) {
  constexpr size_t usual = 48 << 10;  // what a block may have without asking
  cudaError_t status = cudaSuccess;
  if (g.shared_bytes > usual) {
    status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(g.shared_bytes));
    if (status != cudaSuccess) return to_failure(status, name, g.file, g.line);
  }
#ifdef __CUDACC__
  kernel<<<g.blocks, g.threads, g.shared_bytes, g.s>>>(args...);
  status = cudaGetLastError();
#else  // tests run kernels on the host: tests/support/cuda
  status = cuda_on_host::launch(kernel, g.blocks, g.threads, g.shared_bytes, g.s, args...);
#endif
  if (status != cudaSuccess) return to_failure(status, name, g.file, g.line);
  return {};
}

}  // namespace llmos::gpu
