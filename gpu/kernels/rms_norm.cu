// One block a row: it is read twice, the second time from the cache.
#include "gpu/kernels/rms_norm.hpp"

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

constexpr uint32_t block_threads = 256;

__global__ void rms_norm_kernel(bf16* out, uint32_t out_stride, const float* x, const float* weight,
                                const uint32_t* rows, uint32_t width, float eps) {
  const uint32_t row = rows == nullptr ? blockIdx.x : rows[blockIdx.x];
  x += size_t{row} * width;
  out += size_t{blockIdx.x} * out_stride;
  float sum = 0.0f;
  for (uint32_t i = threadIdx.x; i < width; i += block_threads) sum = fmaf(x[i], x[i], sum);
  sum = block_sum(sum, shared_memory<float>());
  const float scale = rsqrtf(sum / static_cast<float>(width) + eps);
  for (uint32_t i = threadIdx.x; i < width; i += block_threads) {
    out[i] = __float2bfloat16_rn(x[i] * scale * weight[i]);
  }
}

}  // namespace

result<void> rms_norm(bf16* out, uint32_t out_stride, const float* x, const float* weight,
                      const uint32_t* rows, uint32_t n_rows, uint32_t width, float eps,
                      stream_handle s) {
  if (n_rows == 0) return {};
  const size_t shared = block_threads / warp_threads * sizeof(float);
  return launch({n_rows, block_threads, shared, s}, "rms_norm", rms_norm_kernel, out, out_stride, x,
                weight, rows, width, eps);
}

}  // namespace llmos::gpu
