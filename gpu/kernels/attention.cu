// Sixteen rows (query, head) of one KV head against sixteen keys at a time, scores and values both
// on the tensor cores. Which of the sixteen keys stands in which column is free as long as scores
// and values agree, and so is the order of dimensions as long as queries and keys agree: so every
// lane reads what it needs in runs of 16 bytes of keys and 8 of values, straight into the
// registers of the product.
#include "gpu/kernels/attention.hpp"

#include <type_traits>

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

constexpr uint32_t warps = 4;

/// Sixteen rows on their way through the keys. A lane 4g + t has rows g and g + 8.
template <uint32_t Dim>
struct tile_state {
  uint4 q[2][Dim / 32];  ///< Dimensions 32j + 8t and seven more.
  float out[Dim / 8][4];
  float max[2], sum[2];  ///< Of this lane's keys only, the sum.
  uint32_t last_key[2];  ///< That the row sees.
};

struct lane_place {
  uint32_t g, t;
};
__device__ lane_place lane_of_thread() {
  const uint32_t lane = threadIdx.x % warp_threads;
  return {lane / 4, lane % 4};
}

__device__ uint32_t heads_per_kv(const attention_args& a) {
  return a.n_heads / a.kv.n_heads;
}

/// Index of a tile's row among all (row of the batch, head).
__device__ size_t head_index(const attention_args& a, const attention_tile& tile, uint32_t kv_head,
                             uint32_t row) {
  const uint32_t n = heads_per_kv(a);
  return size_t{tile.first_row + row / n} * a.n_heads + kv_head * n + row % n;
}

template <uint32_t Dim>
__device__ void begin(const attention_args& a, const attention_tile& tile, uint32_t kv_head,
                      tile_state<Dim>& state) {
  const lane_place at = lane_of_thread();
  const uint32_t n = heads_per_kv(a), n_rows = tile.n_queries * n;
#pragma unroll
  for (uint32_t i = 0; i < 2; ++i) {
    const uint32_t wanted = at.g + 8 * i, row = wanted < n_rows ? wanted : n_rows - 1;
    const f16* q = a.q + head_index(a, tile, kv_head, row) * Dim + 8 * at.t;
#pragma unroll
    for (uint32_t j = 0; j < Dim / 32; ++j) {
      state.q[i][j] = *reinterpret_cast<const uint4*>(q + 32 * j);
    }
    state.max[i] = -INFINITY;
    state.sum[i] = 0.0f;
    state.last_key[i] = tile.first_position + row / n;
  }
#pragma unroll
  for (uint32_t i = 0; i < Dim / 8; ++i) {
    for (uint32_t j = 0; j < 4; ++j) state.out[i][j] = 0.0f;
  }
}

/// Column c of half h of the scores is key 4 (c / 2) + c % 2 + 2h of the chunk.
template <uint32_t Dim>
__device__ void score(const tile_state<Dim>& state, const f16* chunk, float (&scores)[2][4]) {
  const lane_place at = lane_of_thread();
#pragma unroll
  for (uint32_t h = 0; h < 2; ++h) {
    const uint32_t key = 4 * (at.g / 2) + at.g % 2 + 2 * h;
    const f16* k = chunk + key * Dim + 8 * at.t;
#pragma unroll
    for (uint32_t j = 0; j < Dim / 32; ++j) {
      const uint4 x = *reinterpret_cast<const uint4*>(k + 32 * j);
      const uint4 &q0 = state.q[0][j], &q1 = state.q[1][j];
      multiply_f16(scores[h], {q0.x, q1.x, q0.y, q1.y}, {x.x, x.y});
      multiply_f16(scores[h], {q0.z, q1.z, q0.w, q1.w}, {x.z, x.w});
    }
  }
}

/// Hides the keys that a row does not see, moves its maximum, and turns its scores into weights.
template <uint32_t Dim>
__device__ void weigh(tile_state<Dim>& state, uint32_t first_key, float (&scores)[2][4]) {
  const lane_place at = lane_of_thread();
#pragma unroll
  for (uint32_t i = 0; i < 2; ++i) {
    float most = state.max[i];
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
      float& x = scores[j / 2][2 * i + j % 2];
      if (first_key + 4 * at.t + j > state.last_key[i]) x = -INFINITY;
      most = fmaxf(most, x);
    }
    most = fmaxf(most, __shfl_xor_sync(all_lanes, most, 1));
    most = fmaxf(most, __shfl_xor_sync(all_lanes, most, 2));
    const float base = most == -INFINITY ? 0.0f : most;
    const float shrink = exp2f(state.max[i] - base);
    state.max[i] = most;
    state.sum[i] *= shrink;
#pragma unroll
    for (uint32_t d = 0; d < Dim / 8; ++d) {
      state.out[d][2 * i] *= shrink;
      state.out[d][2 * i + 1] *= shrink;
    }
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
      float& x = scores[j / 2][2 * i + j % 2];
      x = exp2f(x - base);
      state.sum[i] += x;
    }
  }
}

/// Four values of one dimension, zeros where the sequence has none: what stands there may be NaN.
__device__ uint2 values_at(const f16* v, uint32_t n_there) {
  uint2 x = *reinterpret_cast<const uint2*>(v);
  if (n_there < 4) {
    x.y = n_there < 3 ? 0 : x.y & 0xffffu;
    x.x = n_there >= 2 ? x.x : (n_there == 1 ? x.x & 0xffffu : 0);
  }
  return x;
}

template <uint32_t Dim>
__device__ void add_values(tile_state<Dim>& state, const f16* chunk, uint32_t n_keys,
                           const float (&weights)[2][4]) {
  const lane_place at = lane_of_thread();
  const uint32_t n_there = n_keys > 4 * at.t ? n_keys - 4 * at.t : 0;
  const uint32_t w[4] = {
      f16_pair(weights[0][0], weights[0][1]), f16_pair(weights[0][2], weights[0][3]),
      f16_pair(weights[1][0], weights[1][1]), f16_pair(weights[1][2], weights[1][3])};
  const f16* v = chunk + chunk_keys * Dim + at.g * chunk_keys + 4 * at.t;
#pragma unroll
  for (uint32_t i = 0; i < Dim / 8; ++i) {
    const uint2 x = values_at(v + 8 * i * chunk_keys, n_there);
    multiply_f16(state.out[i], w, {x.x, x.y});
  }
}

/// Takes every `step`th chunk of the tile's keys, from chunk `first` on.
template <uint32_t Dim>
__device__ void walk(const attention_args& a, const attention_tile& tile, uint32_t kv_head,
                     uint32_t first, uint32_t step, tile_state<Dim>& state) {
  const uint32_t* table = a.block_tables + size_t{tile.sequence} * a.header->table_stride;
  const uint32_t n_keys = tile.first_position + tile.n_queries;
  for (uint32_t key = first * chunk_keys; key < n_keys; key += step * chunk_keys) {
    const uint32_t block = table[key / a.kv.block_tokens];
    const f16* chunk = a.pool + a.kv.chunk(block, a.layer, kv_head, key % a.kv.block_tokens);
    float scores[2][4] = {};
    score<Dim>(state, chunk, scores);
    weigh<Dim>(state, key, scores);
    add_values<Dim>(state, chunk, n_keys - key, scores);
  }
#pragma unroll
  for (uint32_t i = 0; i < 2; ++i) {
    state.sum[i] += __shfl_xor_sync(all_lanes, state.sum[i], 1);
    state.sum[i] += __shfl_xor_sync(all_lanes, state.sum[i], 2);
  }
}

__device__ void write_out(const attention_args& a, const attention_tile& tile, uint32_t kv_head,
                          uint32_t row, uint32_t d, float x) {
  if (d >= a.head_dim || row >= tile.n_queries * heads_per_kv(a)) return;
  const size_t index = head_index(a, tile, kv_head, row);
  a.out[index / a.n_heads * a.out_stride + index % a.n_heads * a.head_dim + d] =
      __float2bfloat16_rn(x);
}

template <uint32_t Dim>
__global__ void __launch_bounds__(warps* warp_threads) by_tiles_kernel(attention_args a) {
  const uint32_t index = blockIdx.x * warps + threadIdx.x / warp_threads;
  if (index >= a.header->n_many_tiles) return;
  const attention_tile tile = a.tiles[index];
  const lane_place at = lane_of_thread();
  tile_state<Dim> state;
  begin<Dim>(a, tile, blockIdx.y, state);
  walk<Dim>(a, tile, blockIdx.y, 0, 1, state);
#pragma unroll
  for (uint32_t i = 0; i < Dim / 8; ++i) {
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
      const uint32_t row = at.g + j / 2 * 8, d = 8 * i + 2 * at.t + j % 2;
      write_out(a, tile, blockIdx.y, row, d, state.out[i][j] / state.sum[j / 2]);
    }
  }
}

/// A partial result: outputs [16][dim], then maxima [16], then sums [16].
template <uint32_t Dim>
__device__ void write_partial(const tile_state<Dim>& state, float* to) {
  const lane_place at = lane_of_thread();
#pragma unroll
  for (uint32_t i = 0; i < Dim / 8; ++i) {
    for (uint32_t j = 0; j < 4; ++j) {
      to[(at.g + j / 2 * 8) * Dim + 8 * i + 2 * at.t + j % 2] = state.out[i][j];
    }
  }
  if (at.t != 0) return;
  for (uint32_t i = 0; i < 2; ++i) {
    to[attention_tile_rows * Dim + at.g + 8 * i] = state.max[i];
    to[attention_tile_rows * (Dim + 1) + at.g + 8 * i] = state.sum[i];
  }
}

/// One output of a row, joined from `n` partial results; what to divide it by comes out too.
struct joined {
  float out, max, sum;
};
template <uint32_t Dim>
__device__ joined join(const float* partials, uint32_t n, uint32_t row, uint32_t d) {
  constexpr uint32_t size = attention_partial_values(Dim);
  joined all = {0.0f, -INFINITY, 0.0f};
  for (uint32_t i = 0; i < n; ++i) {
    all.max = fmaxf(all.max, partials[i * size + attention_tile_rows * Dim + row]);
  }
  for (uint32_t i = 0; i < n; ++i) {
    const float* p = partials + i * size;
    const float max = p[attention_tile_rows * Dim + row];
    const float weight = max == -INFINITY ? 0.0f : exp2f(max - all.max);
    all.out += weight * p[row * Dim + d];
    all.sum += weight * p[attention_tile_rows * (Dim + 1) + row];
  }
  return all;
}

template <uint32_t Dim>
__global__ void __launch_bounds__(warps* warp_threads) by_keys_kernel(attention_args a) {
  constexpr uint32_t size = attention_partial_values(Dim);
  if (blockIdx.x >= a.header->n_few_tiles) return;
  const attention_tile tile = a.tiles[blockIdx.x];
  const uint32_t kv_head = blockIdx.y, warp = threadIdx.x / warp_threads;
  float* own = shared_memory<float>();
  {
    tile_state<Dim> state;
    begin<Dim>(a, tile, kv_head, state);
    walk<Dim>(a, tile, kv_head, blockIdx.z * warps + warp, gridDim.z * warps, state);
    write_partial<Dim>(state, own + warp * size);
  }
  __syncthreads();
  float* partial =
      a.partials + ((size_t{blockIdx.x} * a.kv.n_heads + kv_head) * gridDim.z + blockIdx.z) * size;
  for (uint32_t i = threadIdx.x; i < attention_tile_rows * Dim; i += warps * warp_threads) {
    const uint32_t row = i / Dim, d = i % Dim;
    const joined x = join<Dim>(own, warps, row, d);
    if (gridDim.z == 1) {
      write_out(a, tile, kv_head, row, d, x.out / x.sum);
      continue;
    }
    partial[i] = x.out;
    if (d != 0) continue;
    partial[attention_tile_rows * Dim + row] = x.max;
    partial[attention_tile_rows * (Dim + 1) + row] = x.sum;
  }
}

template <uint32_t Dim>
__global__ void __launch_bounds__(Dim) join_kernel(attention_args a, uint32_t n_splits) {
  if (blockIdx.x >= a.header->n_few_tiles) return;
  const uint32_t kv_head = blockIdx.y, row = blockIdx.z;
  const float* partials = a.partials + (size_t{blockIdx.x} * a.kv.n_heads + kv_head) * n_splits *
                                           attention_partial_values(Dim);
  const joined x = join<Dim>(partials, n_splits, row, threadIdx.x);
  write_out(a, a.tiles[blockIdx.x], kv_head, row, threadIdx.x, x.out / x.sum);
}

template <uint32_t Dim>
result<void> by_tiles(const attention_args& a, uint32_t max_tiles, stream_handle s) {
  return launch({dim3((max_tiles + warps - 1) / warps, a.kv.n_heads), warps * warp_threads, 0, s},
                "attend_by_tiles", by_tiles_kernel<Dim>, a);
}

template <uint32_t Dim>
result<void> by_keys(const attention_args& a, uint32_t max_tiles, uint32_t n_splits,
                     stream_handle s) {
  const size_t shared = sizeof(float) * warps * attention_partial_values(Dim);
  const dim3 blocks(max_tiles, a.kv.n_heads, n_splits);
  LLMOS_TRY_VOID(
      launch({blocks, warps * warp_threads, shared, s}, "attend_by_keys", by_keys_kernel<Dim>, a));
  if (n_splits == 1) return {};
  const uint32_t group = a.n_heads / a.kv.n_heads;
  const uint32_t n_rows = attention_tile_rows / group * group;
  return launch({dim3(max_tiles, a.kv.n_heads, n_rows), Dim, 0, s}, "join_attention",
                join_kernel<Dim>, a, n_splits);
}

/// Calls f with the dimension as a constant.
template <class F>
result<void> with_dim(uint32_t dim, const F& f) {
  switch (dim) {
    case 32: return f(std::integral_constant<uint32_t, 32>{});
    case 64: return f(std::integral_constant<uint32_t, 64>{});
    case 96: return f(std::integral_constant<uint32_t, 96>{});
    case 128: return f(std::integral_constant<uint32_t, 128>{});
    case 192: return f(std::integral_constant<uint32_t, 192>{});
    case 256: return f(std::integral_constant<uint32_t, 256>{});
    default: LLMOS_CHECK(!"attention_dim says which there are"); return {};
  }
}

}  // namespace

result<void> attend_by_tiles(const attention_args& a, uint32_t max_tiles, stream_handle s) {
  if (max_tiles == 0) return {};
  return with_dim(a.kv.dim, [&](auto dim) { return by_tiles<dim()>(a, max_tiles, s); });
}

result<void> attend_by_keys(const attention_args& a, uint32_t max_tiles, uint32_t n_splits,
                            stream_handle s) {
  if (max_tiles == 0) return {};
  return with_dim(a.kv.dim, [&](auto dim) { return by_keys<dim()>(a, max_tiles, n_splits, s); });
}

}  // namespace llmos::gpu
