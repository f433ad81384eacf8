#include "gpu/kernels/embed.hpp"

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

constexpr uint32_t block_threads = 128;

__global__ void embed_kernel(float* out, const bf16* table, uint32_t table_stride,
                             const int32_t* tokens, const int32_t* chosen, uint32_t width) {
  const int32_t given = tokens[blockIdx.x];
  const int32_t token = given < 0 ? chosen[-1 - given] : given;
  const bf16* from = table + static_cast<size_t>(token) * table_stride;
  float* to = out + size_t{blockIdx.x} * width;
  for (uint32_t i = threadIdx.x; i < width; i += block_threads) to[i] = __bfloat162float(from[i]);
}

}  // namespace

result<void> embed(float* out, const bf16* table, uint32_t table_stride, const int32_t* tokens,
                   const int32_t* chosen, uint32_t n_rows, uint32_t width, stream_handle s) {
  if (n_rows == 0) return {};
  return launch({n_rows, block_threads, 0, s}, "embed", embed_kernel, out, table, table_stride,
                tokens, chosen, width);
}

}  // namespace llmos::gpu
