#pragma once

// Attention over K and V in f16: floats against floats, one fma each. Included by kernels_impl.hpp,
// inside the same anonymous namespace.

/// Queries of R rows as 16 dimensions of each row after the other, so that the rows of a dimension
/// stand at fixed distances: [head_dim / 16][R][16].
template <uint32_t R>
inline void place_queries(const attention_args& x, float* out) {
  const uint32_t head_dim = x.layout->head_dim;
  for (uint32_t d = 0; d < head_dim; d += 16) {
    for (uint32_t r = 0; r < R; ++r, out += 16) {
      fstore(out, fload_n(x.q[r] + d, head_dim - d < 16 ? head_dim - d : 16));
    }
  }
}

/// Scores of R rows with G groups of 16 keys: lanes are keys, one fma per dimension.
template <uint32_t R, uint32_t G>
inline void score_groups(const attention_args& x, const float* q, uint32_t first_group) {
  const uint32_t head_dim = x.layout->head_dim;
  const size_t block_tokens = x.layout->block_tokens;
  const uint16_t* k[G];
  const std::byte* ahead[G];
  vf acc[G][R];
  LLMOS_UNROLL
  for (uint32_t g = 0; g < G; ++g) {
    const uint32_t key = (first_group + g) * 16;
    k[g] = reinterpret_cast<const uint16_t*>(head_at(x, key)) + slot_of(x, key);
    ahead[g] = after_keys(x, key);
    LLMOS_UNROLL
    for (uint32_t r = 0; r < R; ++r) acc[g][r] = fset(0.0f);
  }
  for (uint32_t d = 0; d < head_dim; d += 16, q += 16 * R) {
    LLMOS_UNROLL
    for (uint32_t g = 0; g < G; ++g) {
      LLMOS_UNROLL
      for (uint32_t i = 0; i < 16; i += 2) __builtin_prefetch(ahead[g] + 32 * i);
      ahead[g] += 32 * 16;
    }
    const float* const end = q + (head_dim - d < 16 ? head_dim - d : 16);
    for (const float* at = q; at < end; ++at) {
      LLMOS_UNROLL
      for (uint32_t g = 0; g < G; ++g) {
        const vf keys = fload_f16(k[g]);
        k[g] += block_tokens;
        LLMOS_UNROLL
        for (uint32_t r = 0; r < R; ++r) acc[g][r] = ffma(keys, fset(at[16 * r]), acc[g][r]);
      }
    }
  }
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    float* scores = x.scores + r * partition_keys + first_group * 16;
    LLMOS_UNROLL
    for (uint32_t g = 0; g < G; ++g) fstore(scores + 16 * g, acc[g][r]);
  }
}

/// values[r, d … d + 16·V) = Σ over the keys that row r sees, ascending.
template <uint32_t R, uint32_t V>
inline void value_columns(const attention_args& x, uint32_t d, size_t out_stride) {
  const uint32_t n_common = x.n_keys[0], n_all = x.n_keys[R - 1];
  const size_t row = x.layout->head_dim_padded;
  vf acc[R][V];
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    LLMOS_UNROLL
    for (uint32_t i = 0; i < V; ++i) acc[r][i] = fset(0.0f);
  }
  for (uint32_t key = 0; key < n_all;) {
    const auto* values = reinterpret_cast<const uint16_t*>(head_at(x, key) + x.layout->v);
    const uint16_t* v = values + size_t{slot_of(x, key)} * row + d;
    const auto* ahead = reinterpret_cast<const uint16_t*>(after_values(x, key)) + d;
    const uint32_t end = key + 16 < n_all ? key + 16 : n_all;
    const float* weights = x.scores + key;
    for (; key < end && key < n_common; ++key, ++weights, v += row, ahead += row) {
      LLMOS_UNROLL
      for (uint32_t i = 0; i < V; i += 2) __builtin_prefetch(ahead + 16 * i);
      LLMOS_UNROLL
      for (uint32_t i = 0; i < V; ++i) {
        const vf value = fload_f16(v + 16 * i);
        LLMOS_UNROLL
        for (uint32_t r = 0; r < R; ++r) {
          acc[r][i] = ffma(value, fset(weights[r * partition_keys]), acc[r][i]);
        }
      }
    }
    for (; key < end; ++key, ++weights, v += row) {  // the causal edge
      LLMOS_UNROLL
      for (uint32_t r = 0; r < R; ++r) {
        if (x.n_keys[r] <= key) continue;
        LLMOS_UNROLL
        for (uint32_t i = 0; i < V; ++i) {
          acc[r][i] = ffma(fload_f16(v + 16 * i), fset(weights[r * partition_keys]), acc[r][i]);
        }
      }
    }
  }
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    LLMOS_UNROLL
    for (uint32_t i = 0; i < V; ++i) {
      fstore(x.out + r * out_stride + d + 16 * i, acc[r][i]);
    }
  }
}

/// Scores of the groups from `group` on: G at once while there are as many, then half of that each.
template <uint32_t R, uint32_t G>
inline void score_all(const attention_args& x, const float* q, uint32_t group, uint32_t n_groups) {
  for (; group + G <= n_groups; group += G) score_groups<R, G>(x, q, group);
  if constexpr (G > 1) score_all<R, G / 2>(x, q, group, n_groups);
}

struct f16_kv {
  static void append_k(const float* k, const kv_layout& layout, uint32_t slot, std::byte* head) {
    auto* column = reinterpret_cast<uint16_t*>(head) + slot;
    for (uint32_t i = 0; i < layout.head_dim; i += 16) {
      const uint32_t width = layout.head_dim - i < 16 ? layout.head_dim - i : 16;
      uint16_t halves[16];
      fstore_f16(halves, fload_n(k + i, width));
      for (uint32_t j = 0; j < width; ++j) column[size_t{i + j} * layout.block_tokens] = halves[j];
    }
  }

  static void append_v(const float* v, const kv_layout& layout, uint32_t slot, std::byte* head) {
    auto* row =
        reinterpret_cast<uint16_t*>(head + layout.v) + size_t{slot} * layout.head_dim_padded;
    for (uint32_t i = 0; i < layout.head_dim; i += 16) {
      const uint32_t width = layout.head_dim - i < 16 ? layout.head_dim - i : 16;
      fstore_f16(row + i, fload_n(v + i, width));
    }
  }

  template <uint32_t R>
  static void scores(const attention_args& x) {
    auto* q = reinterpret_cast<float*>(x.factors);
    place_queries<R>(x, q);
    score_all<R, power_of_two(score_vectors / R, 4)>(x, q, 0, (x.n_keys[R - 1] + 15) / 16);
  }

  template <uint32_t R>
  static void values(const attention_args& x, size_t out_stride) {
    constexpr uint32_t V = power_of_two(value_vectors / R, 4);
    const uint32_t width = x.layout->head_dim_padded;
    uint32_t d = 0;
    for (; d + 16 * V <= width; d += 16 * V) value_columns<R, V>(x, d, out_stride);
    for (; d < width; d += 16) value_columns<R, 1>(x, d, out_stride);
  }
};
