#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "runtime/model/model.hpp"

/// The arithmetic of a transformer in float32, one plain function per operation.
namespace llmos::reference {

/// A weight matrix decoded to float32: w[row][col], rows = outputs, cols = inputs.
struct matrix {
  size_t rows = 0;
  size_t cols = 0;
  std::vector<float> w;

  std::span<const float> row(size_t i) const { return {w.data() + i * cols, cols}; }
};

/// Decodes a tensor. Empty for nullptr.
matrix decode(const tensor_info* t);

/// Calls f(begin, end) over [0, n) on `n_threads` threads. Each index is handled whole by one
/// thread, so the split cannot change a result. Starting a thread costs about 20 µs: callers
/// pass n_threads = 1 for work shorter than that.
template <class F>
void parallel_for(uint32_t n_threads, size_t n, const F& f) {
  const size_t share = (n + n_threads - 1) / n_threads;
  std::vector<std::jthread> helpers;
  for (size_t begin = share; begin < n; begin += share) {
    helpers.emplace_back([&f, begin, end = std::min(n, begin + share)] { f(begin, end); });
  }
  f(size_t{0}, std::min(n, share));
}

/// Σ a[i] · b[i], as 16 partial sums that a compiler can keep in vectors, then their sum.
float dot(std::span<const float> a, std::span<const float> b);

/// out[r][o] = Σ_i w[o][i] · in[r][i] + bias[o]. `bias` is [w.rows] or empty. No aliasing.
void matmul(std::span<float> out, std::span<const float> in, const matrix& w,
            std::span<const float> bias, size_t n_rows, uint32_t n_threads);

/// out[i] = x[i] / sqrt(mean(x²) + eps) · weight[i]. `out` may be `x`.
void rms_norm(std::span<float> out, std::span<const float> x, std::span<const float> weight,
              float eps);

/// Rotates the first 2 · n_pairs dimensions of one head by the angles of position `pos`.
void rotate(std::span<float> head, const rope_table& table, size_t pos, rope_style style);

/// x = what Q8_0 keeps of it: of each 32 values (the last may be fewer) an f16 scale d = max|x| /
/// 127 and integer codes x · 127 / max|x|, ties to even; all zero where the maximum is below 1e-30.
void round_to_q8_0(std::span<float> x);

/// x = softmax(x).
void softmax(std::span<float> x);

/// gate[i] = silu(gate[i]) · up[i], silu(x) = x / (1 + e^-x).
void swiglu(std::span<float> gate, std::span<const float> up);

}  // namespace llmos::reference
