#include "gpu/kernels/add_bias.hpp"

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

constexpr uint32_t block_threads = 256;

__global__ void add_bias_kernel(float* x, const float* bias, uint32_t width) {
  x += size_t{blockIdx.x} * width;
  for (uint32_t i = threadIdx.x; i < width; i += block_threads) x[i] += bias[i];
}

}  // namespace

result<void> add_bias(float* x, const float* bias, uint32_t n_rows, uint32_t width,
                      stream_handle s) {
  if (n_rows == 0) return {};
  return launch({n_rows, block_threads, 0, s}, "add_bias", add_bias_kernel, x, bias, width);
}

}  // namespace llmos::gpu
