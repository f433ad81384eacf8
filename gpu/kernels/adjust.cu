// One block a row, one thread a token. Not part of `choose`: that overwrites tokens of the step
// before, which other rows may still wait for here.
#include "gpu/kernels/adjust.hpp"

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

constexpr uint32_t block_threads = 128;

/// In the sampler's order and with its roundings: nothing is fused.
__device__ float adjusted(float logit, uint32_t count, float bias, const token_choice& c) {
  const float x = __fadd_rn(clean(logit), bias);
  if (count == 0) return x;
  const float repeated = x > 0.0f ? x / c.repetition_penalty : __fmul_rn(x, c.repetition_penalty);
  const float counted_off = __fmul_rn(static_cast<float>(count), c.frequency_penalty);
  return clean(__fadd_rn(__fadd_rn(repeated, -counted_off), -c.presence_penalty));
}

__global__ void adjust_kernel(float* logits, const token_choice* choices,
                              const token_adjustment* adjustments, const int32_t* chosen,
                              uint32_t n) {
  uint32_t& pending_is_listed = *shared_memory<uint32_t>();
  const token_choice& c = choices[blockIdx.x];
  logits += size_t{blockIdx.x} * n;
  const int32_t pending = c.pending < 0 ? chosen[-1 - c.pending] : -1;
  if (threadIdx.x == 0) pending_is_listed = 0;
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < c.num_adjustments; i += block_threads) {
    const token_adjustment a = adjustments[c.first_adjustment + i];
    if (a.id == pending) pending_is_listed = 1;
    const uint32_t count = a.count + (a.id == pending ? 1 : 0);
    logits[a.id] = adjusted(logits[a.id], count, a.bias, c);
  }
  __syncthreads();
  if (threadIdx.x == 0 && pending >= 0 && pending_is_listed == 0) {
    logits[pending] = adjusted(logits[pending], 1, 0.0f, c);
  }
}

}  // namespace

result<void> adjust(float* logits, const token_choice* choices, const token_adjustment* adjustments,
                    const int32_t* chosen, uint32_t n_rows, uint32_t n_vocab, stream_handle s) {
  if (n_rows == 0) return {};
  return launch({n_rows, block_threads, sizeof(uint32_t), s}, "adjust", adjust_kernel, logits,
                choices, adjustments, chosen, n_vocab);
}

}  // namespace llmos::gpu
