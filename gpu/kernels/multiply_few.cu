// Weights pass the tensor cores as the 16-row side of a product, so 8 rows of activations cost no
// more than one. A block makes 16 outputs; its warps share the inputs among them and add up in the
// order of warps, so that a run gives what the run before gave. Which input stands in which place
// of a product is free as long as weights and activations agree: every lane takes 8 that are
// neighbours, 16 bytes a load.
#include "gpu/kernels/multiply_few.hpp"

#include "gpu/kernels/warp.cuh"
#include "gpu/launch.cuh"

namespace llmos::gpu {

namespace {

constexpr uint32_t warps = 8, tile_outputs = 16, tile_rows = 8, step_k = 32;

__device__ uint4 load16(const bf16* p) {
  return *reinterpret_cast<const uint4*>(p);
}

/// acc += 16 outputs times Tiles · 8 rows over this warp's share of the inputs.
template <uint32_t Tiles>
__device__ void multiply_share(const product_args& a, uint32_t first_output,
                               float (&acc)[Tiles][4]) {
  const uint32_t lane = threadIdx.x % warp_threads, warp = threadIdx.x / warp_threads;
  const uint32_t g = lane / 4, t = lane % 4;
  // Beyond the last output and row stands the last one again; what comes of it is not stored.
  const uint32_t last = a.n - 1, low = first_output + g, high = low + 8;
  const bf16* w0 = a.w + size_t{low < last ? low : last} * a.stride + 8 * t;
  const bf16* w1 = a.w + size_t{high < last ? high : last} * a.stride + 8 * t;
  const bf16* x[Tiles];
  for (uint32_t i = 0; i < Tiles; ++i) {
    const uint32_t row = i * tile_rows + g;
    x[i] = a.x + size_t{row < a.n_rows ? row : a.n_rows - 1} * a.stride + 8 * t;
  }
#pragma unroll 4
  for (uint32_t k = warp * step_k; k < a.stride; k += warps * step_k) {
    const uint4 u = load16(w0 + k), v = load16(w1 + k);
    const uint32_t first[4] = {u.x, v.x, u.y, v.y}, second[4] = {u.z, v.z, u.w, v.w};
#pragma unroll
    for (uint32_t i = 0; i < Tiles; ++i) {
      const uint4 y = load16(x[i] + k);
      multiply_bf16(acc[i], first, {y.x, y.y});
      multiply_bf16(acc[i], second, {y.z, y.w});
    }
  }
}

__device__ void store(const product_args& a, uint32_t row, uint32_t output, float x) {
  const size_t at = size_t{row} * a.n + output;
  if (a.output == product_output::bf16) {
    static_cast<bf16*>(a.out)[at] = __float2bfloat16_rn(x);
  } else if (a.output == product_output::f32) {
    static_cast<float*>(a.out)[at] = x;
  } else {
    static_cast<float*>(a.out)[at] += x;
  }
}

template <uint32_t Tiles>
__global__ void __launch_bounds__(warps* warp_threads) multiply_few_kernel(product_args a) {
  constexpr uint32_t rows = Tiles * tile_rows, results = rows * tile_outputs;
  const uint32_t lane = threadIdx.x % warp_threads, warp = threadIdx.x / warp_threads;
  const uint32_t first_output = blockIdx.x * tile_outputs;
  float acc[Tiles][4] = {};
  multiply_share<Tiles>(a, first_output, acc);
  float* sums = shared_memory<float>();  // [warps][rows][tile_outputs]
  for (uint32_t i = 0; i < Tiles; ++i) {
    for (uint32_t j = 0; j < 4; ++j) {
      const uint32_t row = i * tile_rows + lane % 4 * 2 + j % 2, output = lane / 4 + j / 2 * 8;
      sums[warp * results + row * tile_outputs + output] = acc[i][j];
    }
  }
  __syncthreads();
  for (uint32_t i = threadIdx.x; i < results; i += warps * warp_threads) {
    const uint32_t row = i / tile_outputs, output = first_output + i % tile_outputs;
    if (row >= a.n_rows || output >= a.n) continue;
    float sum = 0.0f;
    for (uint32_t w = 0; w < warps; ++w) sum += sums[w * results + i];
    store(a, row, output, sum);
  }
}

template <uint32_t Tiles>
result<void> launch_tiles(const product_args& a, stream_handle s) {
  const size_t shared = sizeof(float) * warps * Tiles * tile_rows * tile_outputs;
  return launch({(a.n + tile_outputs - 1) / tile_outputs, warps * warp_threads, shared, s},
                "multiply_few", multiply_few_kernel<Tiles>, a);
}

}  // namespace

result<void> multiply_few(const product_args& a, stream_handle s) {
  LLMOS_CHECK(a.n_rows > 0 && a.n_rows <= multiply_few_rows && a.n > 0 && a.stride % step_k == 0);
  if (a.n_rows <= 8) return launch_tiles<1>(a, s);
  if (a.n_rows <= 16) return launch_tiles<2>(a, s);
  if (a.n_rows <= 32) return launch_tiles<4>(a, s);
  return launch_tiles<8>(a, s);
}

}  // namespace llmos::gpu
