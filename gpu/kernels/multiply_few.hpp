#pragma once

#include "gpu/device.hpp"
#include "gpu/kernels/types.hpp"

namespace llmos::gpu {

constexpr uint32_t multiply_few_rows = 64;

/// What a product does with its results.
enum class product_output : uint8_t {
  f32,      ///< out = x · wᵀ, float32.
  add_f32,  ///< out += x · wᵀ, float32.
  bf16,     ///< out = x · wᵀ, rounded to bf16.
};

/// A product of activations with a weight matrix: out[r][i] = Σ_k x[r][k] · w[i][k]. Everything is
/// on the device and begins at a multiple of 16 bytes.
struct product_args {
  const bf16* x;  ///< [n_rows, stride]; zeros from k to stride.
  const bf16* w;  ///< [n, stride]; zeros from k to stride.
  void* out;      ///< [n_rows, n]
  product_output output;
  uint32_t n_rows, n;
  uint32_t stride;  ///< k rounded up to a multiple of 32.
};

/// The product for up to `multiply_few_rows` rows: reads the weights once, at the pace of memory.
/// REQUIRES: 0 < n_rows <= multiply_few_rows.
result<void> multiply_few(const product_args& a, stream_handle s);

}  // namespace llmos::gpu
