#pragma once

// The passes, once for all instruction sets: a passes_*.cpp file includes this inside its own
// anonymous namespace, so nothing here has external linkage. Plain loops that compilers vectorise.

constexpr float pass_minus_infinity = -__builtin_inff();
constexpr float pass_largest = __FLT_MAX__;

/// e^x for -87 <= x <= 0.
inline float exp_bounded(float x) {
  // x = n ln2 + r with |r| <= ln2 / 2; ln2 is split so that the larger product is exact.
  const int32_t n = static_cast<int32_t>(x * 1.44269504f - 0.5f);
  const float nf = static_cast<float>(n);
  const float r = (x - nf * 0.693359375f) + nf * 2.12194440e-4f;
  float sum = 1.0f / 5040;  // Taylor: the next term is below 6e-9
  sum = sum * r + 1.0f / 720;
  sum = sum * r + 1.0f / 120;
  sum = sum * r + 1.0f / 24;
  sum = sum * r + 1.0f / 6;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  return sum * __builtin_bit_cast(float, (n + 127) << 23);
}

void exp_pass(float* x, size_t n) {
  // Two loops, both vectorised: in one, compilers branch around the arithmetic of the bound.
  for (size_t i = 0; i < n; ++i) x[i] = x[i] > -87.0f ? x[i] : -87.0f;
  for (size_t i = 0; i < n; ++i) x[i] = exp_bounded(x[i]);
}

/// to_weight of weights.hpp. Through the signed type: one instruction instead of a branch.
inline int64_t weight_of(float p) {
  return static_cast<int64_t>(p * 0x1p40f);
}

void clean_pass(const float* logits, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) {
    const float some = logits[i] > pass_minus_infinity ? logits[i] : pass_minus_infinity;  // no NaN
    out[i] = some < pass_largest ? some : pass_largest;
  }
}

/// The tops of one stripe.
inline void find_stripe_tops(const float* x, size_t n, float* tops) {
  float top[column_lanes];
  for (float& t : top) t = pass_minus_infinity;
  size_t i = 0;
  for (; i + column_lanes <= n; i += column_lanes) {
    for (size_t j = 0; j < column_lanes; ++j) top[j] = x[i + j] > top[j] ? x[i + j] : top[j];
  }
  for (size_t j = 0; i + j < n; ++j) top[j] = x[i + j] > top[j] ? x[i + j] : top[j];
  for (size_t j = 0; j < column_lanes; ++j) tops[j] = top[j];
}

void find_tops_pass(const float* logits, size_t n, float* tops) {
  constexpr size_t stripe = column_lanes * column_rows;
  for (size_t begin = 0; begin < n; begin += stripe, tops += column_lanes) {
    find_stripe_tops(logits + begin, n - begin < stripe ? n - begin : stripe, tops);
  }
}

uint64_t weigh_pass(const float* logits, size_t n, float top, float temperature, float* p) {
  constexpr size_t part = 512;  // stays in the first-level cache between the loops
  uint64_t sum = 0;
  for (size_t begin = 0; begin < n; begin += part) {
    const size_t m = n - begin < part ? n - begin : part;
    const float* x = logits + begin;
    float* e = p + begin;
    for (size_t i = 0; i < m; ++i) e[i] = (x[i] - top) / temperature;
    exp_pass(e, m);
    int64_t partial = 0;
    for (size_t i = 0; i < m; ++i) partial += weight_of(e[i]);
    sum += static_cast<uint64_t>(partial);
  }
  return sum;
}

uint64_t sum_distances_pass(const float* logits, const float* p, size_t n, float top) {
  int64_t sum = 0;
  for (size_t i = 0; i < n; ++i) {
    // What is farther than 128 has no weight, and infinity times 0 would be NaN.
    const double distance = static_cast<double>(top) - static_cast<double>(logits[i]);
    const double bounded = distance < 128.0 ? distance : 128.0;
    sum += static_cast<int64_t>(static_cast<double>(weight_of(p[i])) * bounded);
  }
  return static_cast<uint64_t>(sum);
}

/// Appends those of m places that are flagged; returns the new length. Without a branch, which
/// would be a coin toss.
inline size_t append_flagged(const uint8_t* flags, size_t m, uint32_t first, uint32_t* out,
                             size_t found) {
  for (size_t i = 0; i < m; ++i) {
    out[found] = first + static_cast<uint32_t>(i);
    found += flags[i];
  }
  return found;
}

size_t list_at_least_pass(const float* x, size_t n, float bound, uint32_t first, uint32_t* out) {
  constexpr size_t part = 64, step = 8;
  uint8_t flags[part];  // comparing is vectorised, and eight zeros are passed over at once
  size_t found = 0, begin = 0;
  for (; begin + part <= n; begin += part) {
    for (size_t i = 0; i < part; ++i) flags[i] = x[begin + i] >= bound;
    for (size_t i = 0; i < part; i += step) {
      uint64_t eight;
      __builtin_memcpy(&eight, flags + i, step);
      if (eight == 0) continue;
      found = append_flagged(flags + i, step, first + static_cast<uint32_t>(begin + i), out, found);
    }
  }
  for (size_t i = begin; i < n; ++i) flags[i - begin] = x[i] >= bound;
  return append_flagged(flags, n - begin, first + static_cast<uint32_t>(begin), out, found);
}

constexpr pass_table make_passes(const char* name) {
  return {name,    clean_pass, find_tops_pass, weigh_pass, sum_distances_pass, list_at_least_pass,
          exp_pass};
}
