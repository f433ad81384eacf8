#pragma once

// The part of CUDA's bfloat16 that gpu/ uses, on the host.

#include "runtime/base/half.hpp"
#include "tests/support/cuda/cuda_runtime.h"

struct __nv_bfloat16 {
  uint16_t bits;
};
struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  return {::llmos::float_to_bf16(x)};
}
inline float __bfloat162float(__nv_bfloat16 x) {
  return ::llmos::bf16_to_float(x.bits);
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
