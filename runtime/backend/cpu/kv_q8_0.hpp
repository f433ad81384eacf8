#pragma once

// Attention over K and V in q8_0: integers against integers. What multiplies the cache's codes
// (queries, and probabilities times the scales of V) takes two int8 codes a value, worth 128 and 1,
// so that no more is lost than the cache itself loses: with one code the queries alone added half
// of that again. Dots are exact, so their order is free; K's scales join them part by part, V's are
// in the weights. Included by kernels_impl.hpp, inside the same anonymous namespace.

/// Writes 16 values as 128 · first + second, in units of 1 / (128 · inverse), and adds the codes to
/// the sums. REQUIRES: |value · inverse| ≤ 127.
inline void store_pairs(vf x, vf inverse, int8_t* first, int8_t* second, vf (&sums)[2]) {
  const vf magic = fset(0x1.8p23f);  // what is added to it rounds, and is the low bits then
  const vf scaled = fmul(x, inverse);
  const vf a = fadd(scaled, magic), whole = fsub(a, magic);
  const vf b = ffma(fsub(scaled, whole), fset(128.0f), magic);
  istore_codes(first, bits_of(a));
  istore_codes(second, bits_of(b));
  sums[0] = fadd(sums[0], whole);
  sums[1] = fadd(sums[1], fsub(b, magic));
}
/// A sum of at most 256 codes, as `int_dot` starts from it. Of NaN it is 0: the unit is NaN then.
struct code_sum {
  int16_t pair[2] = {};
  explicit code_sum(vf sums) {
    const float sum = reduce_add(sums);
    if (sum == sum) pair[0] = static_cast<int16_t>(sum);
  }
};
/// 127 / largest, but 0 where that would overflow; such values count as zero.
inline float inverse_of(float largest) {
  return largest < 1e-30f ? 0.0f : 127.0f / largest;
}
inline float unit_of(float largest) {
  return largest < 1e-30f ? 0.0f : largest / (127.0f * 128.0f);
}
/// 128 · first + second of two dots.
inline vf join_pair(vi first, vi second) {
  return ffma(to_float(first), fset(128.0f), to_float(second));
}

/// Up to 32 values of a head, fewer at its end.
struct head_part {
  vf a, b;
  head_part(const float* x, uint32_t n)
      : a(fload_n(x, n < 16 ? n : 16)),
        b(n > 16 ? fload_n(x + 16, n < 32 ? n - 16 : 16) : fset(0.0f)) {}
};

/// One part of a query as rows r and R + r of a block of activations.
template <uint32_t R>
inline void quantize_query(const head_part& q, std::byte* block, uint32_t r) {
  const float most = largest_of(q.a, q.b);
  const vf inverse = fset(inverse_of(most));
  auto* first = reinterpret_cast<int8_t*>(block) + block_k * r;
  int8_t* second = first + block_k * R;
  vf sums[2] = {fset(0.0f), fset(0.0f)};
  store_pairs(q.a, inverse, first, second, sums);
  store_pairs(q.b, inverse, first + 16, second + 16, sums);
  const float unit = unit_of(most);
  const code_sum first_sum(sums[0]), second_sum(sums[1]);
  __builtin_memcpy(block + 32 * 2 * R + 4 * r, &unit, sizeof unit);
  __builtin_memcpy(block + 36 * 2 * R + 4 * r, &first_sum, sizeof first_sum);
  __builtin_memcpy(block + 36 * 2 * R + 4 * (R + r), &second_sum, sizeof second_sum);
}

/// Scores of R rows with 16 keys over a part of the head: 32 dimensions, or the last 16.
template <uint32_t R>
inline void add_key_part(const uint8_t* codes, act_block<2 * R> q, bool is_whole, vf scale,
                         vf (&acc)[R]) {
  int_dot<8> dot[2 * R];
  LLMOS_UNROLL
  for (uint32_t r = 0; r < 2 * R; ++r) dot[r].start(q8_0::zero_point, q.sums(r), true, true);
  add_half<q8_0, 2 * R, 0>(codes, q, dot);
  if (is_whole) add_half<q8_0, 2 * R, 1>(codes, q, dot);
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    const vf sum = join_pair(dot[r].value(), dot[R + r].value());
    acc[r] = ffma(sum, fmul(scale, fset(q.d(r))), acc[r]);
  }
}

/// Scores of R rows with 16 keys: lanes are keys.
template <uint32_t R>
inline void score_group(const attention_args& x, uint32_t key) {
  constexpr uint32_t part_bytes = 16 * block_k;
  const kv_layout& l = *x.layout;
  const uint32_t slot = slot_of(x, key), last = l.head_dim_padded * 16;
  const auto* head = reinterpret_cast<const uint8_t*>(head_at(x, key));
  const uint8_t* codes = head + size_t{slot} * l.head_dim_padded;
  const uint8_t* scales = head + l.k_scales + size_t{slot} * l.parts * sizeof(uint16_t);
  const std::byte* ahead = after_keys(x, key);
  vf acc[R];
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) acc[r] = fset(0.0f);
  for (uint32_t p = 0; p < l.parts; ++p) {
    const uint32_t at = p * part_bytes;
    for (uint32_t i = 0; i < part_bytes; i += 64) __builtin_prefetch(ahead + at + i);
    __builtin_prefetch(head + l.v_scales + (p * l.block_tokens + slot) * sizeof(uint16_t));
    add_key_part<R>(codes + at, {x.factors + size_t{p} * 2 * R * act_block_bytes},
                    at + part_bytes <= last, fload_f16(scales + 32 * p), acc);
  }
  __builtin_prefetch(ahead + last);
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) fstore(x.scores + r * partition_keys + key, acc[r]);
}

/// What multiplies the values of one part of the head: probability · scale of V, as pairs of codes.
template <uint32_t R>
struct value_weights {
  const int8_t* codes;  ///< [2][max_attention_rows][partition_keys]
  int16_t sums[R][2][2];
  float unit[R];

  const int8_t* of(uint32_t r, uint32_t term) const {
    return codes + (term * max_attention_rows + r) * partition_keys;
  }
};

/// How many of the 16 keys from `key` on a row sees.
inline uint32_t n_seen(uint32_t n_keys, uint32_t key) {
  if (n_keys <= key) return 0;
  return n_keys - key < 16 ? n_keys - key : 16;
}

/// weights[r] = probability · scale of V, 0 for keys that row r does not see, whatever stands
/// there; largest[r] is the largest of them, or NaN.
template <uint32_t R>
inline void scale_probabilities(const attention_args& x, uint32_t part,
                                float (&weights)[R][partition_keys], float (&largest)[R]) {
  const kv_layout& l = *x.layout;
  vi most[R];
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) most[r] = iset(0);
  for (uint32_t key = 0; key < x.n_keys[R - 1]; key += 16) {
    const bool at_edge = key + 16 > x.n_keys[0];
    const auto* scales = reinterpret_cast<const uint16_t*>(head_at(x, key) + l.v_scales);
    const vf scale = fload_f16(scales + part * l.block_tokens + slot_of(x, key));
    LLMOS_UNROLL
    for (uint32_t r = 0; r < R; ++r) {
      vf weight = fmul(fload(x.scores + r * partition_keys + key), scale);
      if (at_edge) weight = fselect_n(n_seen(x.n_keys[r], key), weight, fset(0.0f));
      most[r] = imax(most[r], iand(bits_of(weight), iset(0x7fffffff)));
      fstore(weights[r] + key, weight);
    }
  }
  for (uint32_t r = 0; r < R; ++r) {
    const int32_t bits = ireduce_max(most[r]);
    __builtin_memcpy(&largest[r], &bits, sizeof bits);
  }
}

template <uint32_t R>
inline void weigh_values(const attention_args& x, uint32_t part, int8_t* codes,
                         value_weights<R>& out) {
  alignas(64) float weights[R][partition_keys];
  float largest[R];
  scale_probabilities<R>(x, part, weights, largest);
  out.codes = codes;
  for (uint32_t r = 0; r < R; ++r) {
    const vf inverse = fset(inverse_of(largest[r]));
    int8_t* const first = codes + r * partition_keys;
    int8_t* const second = first + max_attention_rows * partition_keys;
    vf sums[2] = {fset(0.0f), fset(0.0f)};
    for (uint32_t key = 0; key < x.n_keys[R - 1]; key += 16) {
      store_pairs(fload(weights[r] + key), inverse, first + key, second + key, sums);
    }
    out.unit[r] = unit_of(largest[r]);
    for (uint32_t term = 0; term < 2; ++term) {
      const code_sum sum(sums[term]);
      __builtin_memcpy(out.sums[r][term], &sum, sizeof sum);
    }
  }
}

/// values[r, d … d + 16·V) over all keys of the partition, within one part of the head.
template <uint32_t R, uint32_t V>
inline void value_codes(const attention_args& x, const value_weights<R>& w, uint32_t d,
                        size_t out_stride) {
  const kv_layout& l = *x.layout;
  int_dot<8> dot[V][2][R];
  LLMOS_UNROLL
  for (uint32_t i = 0; i < V; ++i) {
    LLMOS_UNROLL
    for (uint32_t r = 0; r < R; ++r) {
      dot[i][0][r].start(q8_0::zero_point, w.sums[r][0], true, true);
      dot[i][1][r].start(q8_0::zero_point, w.sums[r][1], true, true);
    }
  }
  for (uint32_t first = 0; first < x.n_keys[R - 1]; first += 16) {
    const auto* codes = reinterpret_cast<const uint8_t*>(head_at(x, first) + l.v);
    const uint8_t* v = codes + size_t{slot_of(x, first)} * l.head_dim_padded + 4 * d;
    const std::byte* ahead = after_values(x, first) + 4 * d;
    for (uint32_t key = first; key < first + 16; key += 4) {
      LLMOS_UNROLL
      for (uint32_t i = 0; i < V; ++i) {
        __builtin_prefetch(ahead + 64 * i);
        const wq quad = wload(v + 64 * i);
        LLMOS_UNROLL
        for (uint32_t r = 0; r < R; ++r) {
          dot[i][0][r].template add<0>(quad, w.of(r, 0) + key);
          dot[i][1][r].template add<0>(quad, w.of(r, 1) + key);
        }
      }
      v += 4 * l.head_dim_padded;
      ahead += 4 * l.head_dim_padded;
    }
  }
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    LLMOS_UNROLL
    for (uint32_t i = 0; i < V; ++i) {
      const vf sum = join_pair(dot[i][0][r].value(), dot[i][1][r].value());
      fstore(x.out + r * out_stride + d + 16 * i, fmul(sum, fset(w.unit[r])));
    }
  }
}

struct q8_0_kv {
  /// Codes and scales of a head; code i goes to codes[offset(i)].
  template <class Offset>
  static void append(const float* from, const kv_layout& l, uint8_t* codes, Offset offset,
                     uint16_t* scales, uint32_t scale_stride) {
    for (uint32_t p = 0; p < l.parts; ++p) {
      const uint32_t first = p * block_k;
      const head_part part(from + first, l.head_dim - first);
      alignas(16) std::byte block[act_block_bytes];
      quantize_block(part.a, part.b, block, 1, 0);
      const act_block<1> quantized{block};
      for (uint32_t i = 0; i < block_k && first + i < l.head_dim_padded; ++i) {
        codes[offset(first + i)] =
            static_cast<uint8_t>(quantized.codes_of(0)[i] + q8_0::zero_point);
      }
      uint16_t halves[16];
      fstore_f16(halves, fset(quantized.d(0)));
      scales[p * scale_stride] = halves[0];
    }
  }

  static void append_k(const float* k, const kv_layout& l, uint32_t slot, std::byte* head) {
    const uint32_t column = slot % 16, group = slot - column;
    append(
        k, l, reinterpret_cast<uint8_t*>(head) + size_t{group} * l.head_dim_padded,
        [&](uint32_t i) { return 64 * (i / 4) + 4 * column + i % 4; },
        reinterpret_cast<uint16_t*>(head + l.k_scales) + size_t{group} * l.parts + column, 16);
  }

  static void append_v(const float* v, const kv_layout& l, uint32_t slot, std::byte* head) {
    const uint32_t place = slot % 4, quad = slot - place;
    append(
        v, l, reinterpret_cast<uint8_t*>(head + l.v) + size_t{quad} * l.head_dim_padded,
        [&](uint32_t i) { return 4 * i + place; },
        reinterpret_cast<uint16_t*>(head + l.v_scales) + slot, l.block_tokens);
  }

  template <uint32_t R>
  static void scores(const attention_args& x) {
    const kv_layout& l = *x.layout;
    for (uint32_t p = 0; p < l.parts; ++p) {
      std::byte* block = x.factors + size_t{p} * 2 * R * act_block_bytes;
      for (uint32_t r = 0; r < R; ++r) {
        quantize_query<R>({x.q[r] + p * block_k, l.head_dim - p * block_k}, block, r);
      }
    }
    for (uint32_t key = 0; key < x.n_keys[R - 1]; key += 16) score_group<R>(x, key);
  }

  template <uint32_t R>
  static void values(const attention_args& x, size_t out_stride) {
    constexpr uint32_t V = power_of_two(value_vectors / (2 * R), 2);
    const uint32_t width = x.layout->head_dim_padded;
    for (uint32_t p = 0; p < x.layout->parts; ++p) {
      value_weights<R> w;
      weigh_values<R>(x, p, reinterpret_cast<int8_t*>(x.factors), w);
      uint32_t d = p * block_k;
      const uint32_t end = d + block_k < width ? d + block_k : width;
      for (; d + 16 * V <= end; d += 16 * V) value_codes<R, V>(x, w, d, out_stride);
      for (; d < end; d += 16) value_codes<R, 1>(x, w, d, out_stride);
    }
  }
};
