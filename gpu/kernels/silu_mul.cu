#include "gpu/kernels/silu_mul.hpp"

#include <algorithm>

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

constexpr uint32_t block_threads = 256, max_blocks_per_row = 64;

__global__ void silu_mul_kernel(bf16* out, uint32_t out_stride, const bf16* gate_up,
                                uint32_t width) {
  const bf16* gate = gate_up + size_t{blockIdx.x} * 2 * width;
  const bf16* up = gate + width;
  out += size_t{blockIdx.x} * out_stride;
  const uint32_t step = gridDim.y * block_threads;
  for (uint32_t i = blockIdx.y * block_threads + threadIdx.x; i < width; i += step) {
    const float g = __bfloat162float(gate[i]);
    const float silu = __fdividef(g, 1.0f + __expf(-g));
    out[i] = __float2bfloat16_rn(silu * __bfloat162float(up[i]));
  }
}

}  // namespace

result<void> silu_mul(bf16* out, uint32_t out_stride, const bf16* gate_up, uint32_t n_rows,
                      uint32_t width, stream_handle s) {
  if (n_rows == 0) return {};
  const uint32_t per_row =
      std::min(max_blocks_per_row, (width + block_threads - 1) / block_threads);
  return launch({dim3(n_rows, per_row), block_threads, 0, s}, "silu_mul", silu_mul_kernel, out,
                out_stride, gate_up, width);
}

}  // namespace llmos::gpu
