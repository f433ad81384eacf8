#pragma once

// The part of CUDA's half precision that gpu/ uses, on the host.

#include "runtime/base/half.hpp"
#include "tests/support/cuda/cuda_runtime.h"

struct __half {
  uint16_t bits;
};
struct alignas(4) __half2 {
  __half x, y;
};
inline __half __float2half_rn(float x) {
  return {::llmos::float_to_half(x)};
}
inline float __half2float(__half x) {
  return ::llmos::half_to_float(x.bits);
}
inline __half2 __floats2half2_rn(float x, float y) {
  return {__float2half_rn(x), __float2half_rn(y)};
}
inline float2 __half22float2(__half2 x) {
  return {__half2float(x.x), __half2float(x.y)};
}
