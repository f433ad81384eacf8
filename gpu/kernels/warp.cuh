#pragma once

// What kernels share: types, reductions within a warp and a block, the tensor cores' product.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace llmos::gpu {

constexpr uint32_t warp_threads = 32;
constexpr unsigned all_lanes = 0xffffffffu;

/// The dynamic shared memory of a block.
template <class T>
__device__ T* shared_memory() {
#ifdef __CUDACC__
  extern __shared__ uint4 llmos_shared[];
  return reinterpret_cast<T*>(llmos_shared);
#else
  return static_cast<T*>(cuda_on_host::shared_memory());
#endif
}

/// What stands for a logit: NaN is impossible, infinity the largest float.
__device__ inline float clean(float x) {
  if (!(x == x)) return -INFINITY;
  return fminf(x, 3.402823466e38f);
}

/// The sum over a warp, in every lane.
__device__ inline float warp_sum(float x) {
  for (int mask = 16; mask > 0; mask /= 2) x += __shfl_xor_sync(all_lanes, x, mask);
  return x;
}
/// The sum over a block of whole warps, in every thread. `scratch` holds a float for each warp; it
/// may be used again after the next __syncthreads().
__device__ inline float block_sum(float x, float* scratch) {
  x = warp_sum(x);
  const uint32_t warp = threadIdx.x / warp_threads, n_warps = blockDim.x / warp_threads;
  if (threadIdx.x % warp_threads == 0) scratch[warp] = x;
  __syncthreads();
  float sum = 0.0f;
  for (uint32_t w = 0; w < n_warps; ++w) sum += scratch[w];
  return sum;
}

struct bf16_inputs {
  __device__ static float low(uint32_t pair) {
    const uint32_t bits = pair << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
  }
  __device__ static float high(uint32_t pair) {
    const uint32_t bits = pair & 0xffff0000u;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
  }
};
struct f16_inputs {
  __device__ static float2 both(uint32_t pair) {
    __half2 h;
    memcpy(&h, &pair, sizeof h);
    return __half22float2(h);
  }
  __device__ static float low(uint32_t pair) { return both(pair).x; }
  __device__ static float high(uint32_t pair) { return both(pair).y; }
};

/// Two floats, rounded, as one register of a product's inputs.
__device__ inline uint32_t bf16_pair(float a, float b) {
  const __nv_bfloat162 h = __floats2bfloat162_rn(a, b);
  uint32_t out;
  memcpy(&out, &h, sizeof out);
  return out;
}
__device__ inline uint32_t f16_pair(float a, float b) {
  const __half2 h = __floats2half2_rn(a, b);
  uint32_t out;
  memcpy(&out, &h, sizeof out);
  return out;
}

#ifndef __CUDACC__
/// The same product where there are no tensor cores.
template <class Inputs>
void product_on_host(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const std::byte* all = cuda_on_host::exchange(mine, sizeof mine);
  const auto part = [&](uint32_t lane, uint32_t i) {
    uint32_t x;
    memcpy(&x, all + lane * cuda_on_host::exchange_stride + i * sizeof x, sizeof x);
    return x;
  };
  const uint32_t lane = threadIdx.x % warp_threads;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t row = lane / 4, column = lane % 4 * 2 + i % 2;
    for (uint32_t k = 0; k < 16; ++k) {
      const uint32_t quad = k % 8 / 2, half = k / 8;
      const uint32_t x = part(row * 4 + quad, 2 * half + i / 2);
      const uint32_t y = part(column * 4 + quad, 4 + half);
      d[i] += k % 2 == 0 ? Inputs::low(x) * Inputs::low(y) : Inputs::high(x) * Inputs::high(y);
    }
  }
}
#endif

/// d += a · b on the tensor cores, a [16, 16], b [16, 8], d [16, 8] float32, by a whole warp. Of
/// lane 4g + t: a holds rows g (0, 2) and g + 8 (1, 3) at inputs 2t, 2t + 1 (0, 1) and 8 more (2,
/// 3); b column g at the same inputs; d rows g (0, 1) and g + 8 (2, 3) at columns 2t, 2t + 1.
__device__ inline void multiply_bf16(float (&d)[4], const uint32_t (&a)[4],
                                     const uint32_t (&b)[2]) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  product_on_host<bf16_inputs>(d, a, b);
#endif
}
__device__ inline void multiply_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef __CUDACC__
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  product_on_host<f16_inputs>(d, a, b);
#endif
}

}  // namespace llmos::gpu
