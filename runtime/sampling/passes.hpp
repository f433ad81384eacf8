#pragma once

#include <cstddef>
#include <cstdint>

namespace llmos {

// The border between the sampler and its instruction sets: loops over all tokens. Included by files
// that are compiled with different flags, so it holds plain data only: an inline function here
// could be emitted with AVX-512 and then be picked by the linker for everybody.

/// The largest logits are kept for columns: stripes of `column_lanes · column_rows` logits follow
/// each other, and column j of a stripe is every `column_lanes`-th of its logits, from j on.
constexpr size_t column_lanes = 32;
constexpr size_t column_rows = 64;

/// Loops over `n` tokens. All tables compute the same bits: each float operation is one of IEEE's
/// on one element, and sums are of integers.
struct pass_table {
  const char* name;

  /// out = the logit, or what stands for it: -infinity for NaN, the largest float for +infinity.
  void (*clean)(const float* logits, size_t n, float* out);

  /// tops[32 · stripe + j] = the largest logit of the column; -infinity where it is empty. The last
  /// stripe may be shorter. No NaN.
  void (*find_tops)(const float* logits, size_t n, float* tops);

  /// p = e^((logit - top) / temperature), as exp below. Returns the sum of the weights
  /// (weights.hpp). `top` is finite and the largest; at most max_sampling_vocab logits, no NaN.
  uint64_t (*weigh)(const float* logits, size_t n, float top, float temperature, float* p);

  /// Sum of weight · (top - logit), each rounded down, where the weight is that of p.
  uint64_t (*sum_distances)(const float* logits, const float* p, size_t n, float top);

  /// Lists the places i (ascending) with x[i] >= bound, each as first + i; returns how many. `out`
  /// has room for n.
  size_t (*list_at_least)(const float* x, size_t n, float bound, uint32_t first, uint32_t* out);

  /// x = e^x, x <= 0: see exp_nonpositive in weights.hpp.
  void (*exp)(float* x, size_t n);
};

extern const pass_table passes_portable;
#if defined(__x86_64__)
extern const pass_table passes_avx2;
extern const pass_table passes_avx512;
#endif

}  // namespace llmos
