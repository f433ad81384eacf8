// y += a x. Twelve bytes move for each multiply-add, so the memory sets the pace: neighbouring
// threads touch neighbouring floats, and a fixed grid walks any length.
#include <algorithm>

#include "gpu/error.hpp"
#include "gpu/kernels/axpy.hpp"

namespace llmos::gpu {

namespace {

constexpr unsigned block_threads = 256;
constexpr size_t blocks_max = 4096;  // 2^20 threads: more than a device runs at once

__global__ void axpy_kernel(float* y, const float* x, size_t n, float a) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
    y[i] = fmaf(a, x[i], y[i]);
}

}  // namespace

result<void> axpy(float* y, const float* x, size_t n, float a, stream_handle s) {
  if (n == 0) return {};  // a grid of no blocks is an error
  const auto blocks =
      static_cast<unsigned>(std::min(blocks_max, (n + block_threads - 1) / block_threads));
  axpy_kernel<<<blocks, block_threads, 0, s>>>(y, x, n, a);
  LLMOS_CUDA(cudaGetLastError());
  return {};
}

}  // namespace llmos::gpu
