// One warp a head. The head passes through shared memory, because the two halves of a pair may
// belong to different lanes.
#include "gpu/kernels/place_heads.hpp"

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

constexpr uint32_t warps = 4;

/// The head, its bias added and normed, into `out` [head_dim].
__device__ void fetch_head(const place_heads_args& a, const float* from, const float* bias,
                           const float* norm, float* out) {
  const uint32_t lane = threadIdx.x % warp_threads;
  float sum = 0.0f;
  for (uint32_t d = lane; d < a.head_dim; d += warp_threads) {
    const float x = from[d] + (bias == nullptr ? 0.0f : bias[d]);
    sum = fmaf(x, x, sum);
    out[d] = x;
  }
  if (norm != nullptr) {
    sum = warp_sum(sum);
    const float scale = rsqrtf(sum / static_cast<float>(a.head_dim) + a.eps);
    for (uint32_t d = lane; d < a.head_dim; d += warp_threads) out[d] *= scale * norm[d];
  }
  __syncwarp();
}

/// Dimension d of a head, rotated by the angles of its position.
__device__ float rotated(const place_heads_args& a, const float* head, uint32_t d,
                         uint32_t position) {
  const float x = head[d];
  if (d >= 2 * a.n_pairs) return x;
  const uint32_t pair = a.interleaved ? d / 2 : d % a.n_pairs;
  const bool is_first = a.interleaved ? d % 2 == 0 : d < a.n_pairs;
  const uint32_t distance = a.interleaved ? 1 : a.n_pairs;
  const float y = head[is_first ? d + distance : d - distance];
  const size_t at = size_t{position} * a.n_pairs + pair;
  return is_first ? x * a.cos[at] - y * a.sin[at] : y * a.sin[at] + x * a.cos[at];
}

__global__ void place_heads_kernel(place_heads_args a) {
  const uint32_t lane = threadIdx.x % warp_threads, warp = threadIdx.x / warp_threads;
  const uint32_t n_kv = a.kv.n_heads, n_all = a.n_heads + 2 * n_kv;
  const uint32_t row = blockIdx.x, index = blockIdx.y * warps + warp;
  if (index >= n_all) return;
  float* head = shared_memory<float>() + warp * a.kv.dim;
  const uint32_t at = index * a.head_dim;
  const bool is_query = index < a.n_heads, is_key = !is_query && index < a.n_heads + n_kv;
  fetch_head(a, a.qkv + size_t{row} * n_all * a.head_dim + at,
             a.bias == nullptr ? nullptr : a.bias + at,
             is_query ? a.q_norm : (is_key ? a.k_norm : nullptr), head);
  const uint32_t position = a.positions[row], slot = position % a.kv.block_tokens;
  if (is_query) {
    f16* out = a.q + (size_t{row} * a.n_heads + index) * a.kv.dim;
    for (uint32_t d = lane; d < a.kv.dim; d += warp_threads) {
      const float x = d < a.head_dim ? rotated(a, head, d, position) * a.q_scale : 0.0f;
      out[d] = __float2half_rn(x);
    }
    return;
  }
  const uint32_t kv_head = index - a.n_heads - (is_key ? 0 : n_kv);
  f16* chunk = a.pool + a.kv.chunk(a.blocks[row], a.layer, kv_head, slot);
  for (uint32_t d = lane; d < a.kv.dim; d += warp_threads) {
    const bool is_there = d < a.head_dim;
    if (is_key) {
      chunk[a.kv.key(slot, d)] = __float2half_rn(is_there ? rotated(a, head, d, position) : 0.0f);
    } else {
      chunk[a.kv.value(slot, d)] = __float2half_rn(is_there ? head[d] : 0.0f);
    }
  }
}

}  // namespace

result<void> place_heads(const place_heads_args& a, uint32_t n_rows, stream_handle s) {
  if (n_rows == 0) return {};
  const uint32_t n_all = a.n_heads + 2 * a.kv.n_heads;
  const size_t shared = size_t{warps} * a.kv.dim * sizeof(float);
  return launch({dim3(n_rows, (n_all + warps - 1) / warps), warps * warp_threads, shared, s},
                "place_heads", place_heads_kernel, a);
}

}  // namespace llmos::gpu
