#pragma once

// The kernels, once for all instruction sets. A kernels_*.cpp file includes a vector header and
// then this file inside its own anonymous namespace, so nothing here has external linkage.
//
// Why all variants agree bit for bit: integer dot products are exact; every float operation is
// one of the vector header's lane-wise IEEE operations, in an order that this file fixes; sums
// across lanes take one tree (i + i+8, i + i+4, i + i+2, i + i+1). A lane is an output column
// (matmul), a key (scores) or a dimension (values, norms), never a share of a longer sum, except
// in norms and softmax sums, where lane i always sums elements i, i+16, i+32, …

// ---- weight formats -------------------------------------------------------------------------

/// Codes of 16 columns × 32 k. "Quad" j holds k = 4j … 4j+3 of all columns (64 bytes).
enum class codes {
  u2,   // two planes of 64 bytes: quad j in plane j & 1, bits 2(j >> 1)
  u3,   // u2, then a plane of 64 bits per quad (+4)
  u4,   // four planes of 64 bytes: quad j in plane j & 3, nibble j >> 2
  u5,   // u4, then a plane of 64 bits per quad (+16)
  u6,   // u4, then u2 (times 16)
  u8,   // eight planes
  iq4,  // u4 as index into the IQ4 table
};

/// Where a unit keeps its scales, after its codes. f16 unless said otherwise, [16] each.
enum class scaling {
  d,           // d
  d_m,         // d, m
  super_32,    // d, then int8 scale [8][16] per block of 32
  super_32_m,  // d, dmin, then uint8 scale [8][16], uint8 min [8][16]
  super_16,    // d, then int8 scale [16][16] per 16 weights
  super_16_m,  // d, dmin, then uint8 scale | min << 4 [16][16]
};

constexpr uint32_t code_bytes_of(codes c) {
  switch (c) {
    case codes::u2: return 128;
    case codes::u3: return 192;
    case codes::u4: return 256;
    case codes::iq4: return 256;
    case codes::u5: return 320;
    case codes::u6: return 384;
    case codes::u8: return 512;
  }
  return 0;
}
constexpr int code_bits_of(codes c) {
  switch (c) {
    case codes::u2: return 2;
    case codes::u3: return 3;
    case codes::u4: return 4;
    case codes::u5: return 5;
    case codes::u6: return 6;
    case codes::u8:
    case codes::iq4: return 8;
  }
  return 0;
}

template <codes C, scaling S, int ZeroPoint>
struct packed_format {
  static constexpr codes code = C;
  static constexpr scaling scale_kind = S;
  static constexpr int zero_point = ZeroPoint;
  static constexpr uint32_t code_bytes = code_bytes_of(C);
  static constexpr int bits = code_bits_of(C);
  static constexpr bool is_super = S != scaling::d && S != scaling::d_m;
  static constexpr bool halves = S == scaling::super_16 || S == scaling::super_16_m;
  static constexpr bool has_min =
      S == scaling::d_m || S == scaling::super_32_m || S == scaling::super_16_m;
  static constexpr uint32_t blocks = is_super ? 8 : 1;
};

alignas(16) constexpr int8_t iq4_table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};

template <int J>
inline wq load_u4(const uint8_t* p) {
  return wfield<4 * (J >> 2), 15>(wload(p + 64 * (J & 3)));
}
template <int J>
inline wq load_u2(const uint8_t* p) {
  return wfield<2 * (J >> 1), 3>(wload(p + 64 * (J & 1)));
}

/// Quad J of a block as unsigned bytes.
template <codes C, int J>
inline wq load_quad(const uint8_t* p) {
  if constexpr (C == codes::u2) return load_u2<J>(p);
  if constexpr (C == codes::u3) return wadd_bits<4>(load_u2<J>(p), p + 128 + 8 * J);
  if constexpr (C == codes::u4) return load_u4<J>(p);
  if constexpr (C == codes::u5) return wadd_bits<16>(load_u4<J>(p), p + 256 + 8 * J);
  if constexpr (C == codes::u6) return wor_shifted<4>(load_u4<J>(p), load_u2<J>(p + 256));
  if constexpr (C == codes::u8) return wload(p + 64 * J);
  if constexpr (C == codes::iq4) return wlookup(load_u4<J>(p), iq4_table);
}

// ---- matmul ---------------------------------------------------------------------------------

/// One block of a tile of R activation rows.
template <uint32_t R>
struct act_block {
  const std::byte* p;
  const int8_t* codes_of(uint32_t r) const { return reinterpret_cast<const int8_t*>(p) + 32 * r; }
  float d(uint32_t r) const { return reinterpret_cast<const float*>(p + 32 * R)[r]; }
  const int16_t* sums(uint32_t r) const {
    return reinterpret_cast<const int16_t*>(p + 36 * R) + 2 * r;
  }
  float d_sum(uint32_t r) const { return reinterpret_cast<const float*>(p + 40 * R)[r]; }
};

template <class F, uint32_t R, int J>
inline void add_quad(const uint8_t* w, act_block<R> act, int_dot<F::bits> (&dot)[R]) {
  const wq quad = load_quad<F::code, J>(w);
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    dot[r].template add<J>(quad, act.codes_of(r) + 4 * J);
  }
}
template <class F, uint32_t R, int Half>
inline void add_half(const uint8_t* w, act_block<R> act, int_dot<F::bits> (&dot)[R]) {
  add_quad<F, R, 4 * Half + 0>(w, act, dot);
  add_quad<F, R, 4 * Half + 1>(w, act, dot);
  add_quad<F, R, 4 * Half + 2>(w, act, dot);
  add_quad<F, R, 4 * Half + 3>(w, act, dot);
}

/// acc + scale · d · dot + minimum · Σ activations, for row `r` of a block, or of its half `half`
/// where halves have their own scales.
template <class F, uint32_t R>
inline vf add_scaled(vf acc, vf dot, vf scale, vf min, act_block<R> act, uint32_t r,
                     uint32_t half) {
  acc = ffma(dot, fmul(scale, fset(act.d(r))), acc);
  if constexpr (F::has_min) {
    const float d_sum = F::halves ? act.d(r) * static_cast<float>(act.sums(r)[half]) : act.d_sum(r);
    acc = ffma(min, fset(d_sum), acc);
  }
  return acc;
}

/// One block whose 32 weights share a scale (and a minimum).
template <class F, uint32_t R>
inline void add_block(const uint8_t* w, act_block<R> act, vf scale, vf min, vf (&acc)[R]) {
  int_dot<F::bits> dot[R];
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    dot[r].start(F::zero_point, act.sums(r), true, true);
  }
  add_half<F, R, 0>(w, act, dot);
  add_half<F, R, 1>(w, act, dot);
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    acc[r] = add_scaled<F, R>(acc[r], to_float(dot[r].value()), scale, min, act, r, 0);
  }
}

/// Half a block: 16 weights with their own scale (and minimum).
template <class F, uint32_t R, int Half>
inline void add_half_block(const uint8_t* w, act_block<R> act, vf scale, vf min, vf (&acc)[R]) {
  int_dot<F::bits> dot[R];
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    dot[r].start(F::zero_point, act.sums(r), Half == 0, Half == 1);
  }
  add_half<F, R, Half>(w, act, dot);
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) {
    acc[r] = add_scaled<F, R>(acc[r], to_float(dot[r].value()), scale, min, act, r, Half);
  }
}

/// The scales and minima of one unit. A K-quant's d · scale is exact: 11 by at most 8 bits.
template <class F>
class unit_scales {
public:
  explicit unit_scales(const uint8_t* unit) : p_(unit + F::blocks * F::code_bytes) {
    d_ = fload_f16(p_);
    p_ += 32;
    if constexpr (!F::has_min) return;
    min_ = fload_f16(p_);
    p_ += 32;
    if constexpr (F::is_super) min_ = fneg(min_);
  }

  /// Of block `b`, or of one half of it where the halves differ.
  vf scale(uint32_t b, uint32_t half) const {
    if constexpr (F::scale_kind == scaling::super_32) return fmul(d_, fload_s8(p_ + 16 * b));
    if constexpr (F::scale_kind == scaling::super_32_m) return fmul(d_, fload_u8(p_ + 16 * b));
    const uint8_t* halves = p_ + 32 * b + 16 * half;
    if constexpr (F::scale_kind == scaling::super_16) return fmul(d_, fload_s8(halves));
    if constexpr (F::scale_kind == scaling::super_16_m) return fmul(d_, fload_low_nibbles(halves));
    return d_;
  }
  vf min(uint32_t b, uint32_t half) const {
    if constexpr (F::scale_kind == scaling::super_32_m) {
      return fmul(min_, fload_u8(p_ + 128 + 16 * b));
    }
    if constexpr (F::scale_kind == scaling::super_16_m) {
      return fmul(min_, fload_high_nibbles(p_ + 32 * b + 16 * half));
    }
    return F::has_min ? min_ : d_;
  }

private:
  const uint8_t* p_;
  vf d_, min_;
};

/// Asks for the memory some units ahead. Weights are read forwards and once a step, most often from
/// memory; the processor's own prefetching stops at every 4 KiB.
template <class F>
inline void prefetch_ahead(const uint8_t* unit) {
  constexpr uint32_t distance = 8192, line = 64;
  for (uint32_t i = 0; i < F::layout.unit_bytes; i += line) __builtin_prefetch(unit + distance + i);
}

/// 16 columns × R rows over all of k.
template <class F, uint32_t R>
inline void add_tile(const uint8_t* w, const std::byte* acts, uint32_t k, vf (&acc)[R]) {
  const uint32_t n_units = k / F::layout.unit_k;
  for (uint32_t u = 0; u < n_units; ++u, w += F::layout.unit_bytes) {
    prefetch_ahead<F>(w);
    const unit_scales<F> scales(w);
    for (uint32_t b = 0; b < F::blocks; ++b, acts += size_t{R} * act_block_bytes) {
      const uint8_t* codes = w + b * F::code_bytes;
      const act_block<R> act{acts};
      if constexpr (F::halves) {
        add_half_block<F, R, 0>(codes, act, scales.scale(b, 0), scales.min(b, 0), acc);
        add_half_block<F, R, 1>(codes, act, scales.scale(b, 1), scales.min(b, 1), acc);
      } else {
        add_block<F, R>(codes, act, scales.scale(b, 0), scales.min(b, 0), acc);
      }
    }
  }
}

/// Float weights [k][16] with float activations [k][R]: one fma per k.
struct float_weights {};
template <weight_format W>
struct float_format : float_weights {
  static constexpr weight_layout layout = layout_of[static_cast<size_t>(W)];
  static vf load(const uint8_t* p) {
    if constexpr (W == weight_format::f32) return fload(reinterpret_cast<const float*>(p));
    if constexpr (W == weight_format::f16) return fload_f16(p);
    if constexpr (W == weight_format::bf16) return fload_bf16(p);
  }
};
template <class F, uint32_t R>
inline void add_float_tile(const uint8_t* w, const std::byte* acts, uint32_t k, vf (&acc)[R]) {
  const auto* a = reinterpret_cast<const float*>(acts);
  for (uint32_t i = 0; i < k; ++i, w += F::layout.unit_bytes, a += R) {
    prefetch_ahead<F>(w);
    const vf column = F::load(w);
    LLMOS_UNROLL
    for (uint32_t r = 0; r < R; ++r) acc[r] = ffma(column, fset(a[r]), acc[r]);
  }
}

/// Bytes of one activation row in a panel.
template <class F>
inline size_t act_row_bytes(uint32_t k) {
  if constexpr (__is_base_of(float_weights, F)) {
    return size_t{k} * sizeof(float);
  } else {
    return size_t{k / block_k} * act_block_bytes;
  }
}

/// Sums of rows [row, row + R) go out.
template <uint32_t R>
inline void write_rows(const matmul_args& x, uint32_t group, uint32_t row, const vf (&sums)[R]) {
  const uint32_t column = group * group_columns;
  const uint32_t width = x.n - column < group_columns ? x.n - column : group_columns;
  const vf bias = x.bias != nullptr ? fload_n(x.bias + column, width) : fset(0.0f);
  float* out = x.out + row * x.out_stride + (group - x.group_begin) * group_columns;
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r, out += x.out_stride) {
    vf y = sums[r];
    if (x.bias != nullptr) y = fadd(y, bias);
    if (x.accumulate) y = fadd(fload_n(out, width), y);
    fstore_n(out, y, width);
  }
}

template <class F, uint32_t R>
inline void run_tile(const matmul_args& x, uint32_t group, uint32_t row) {
  const auto* w = reinterpret_cast<const uint8_t*>(x.weights + group * x.group_bytes);
  const std::byte* acts = x.acts + row * act_row_bytes<F>(x.k);
  vf acc[R];
  LLMOS_UNROLL
  for (uint32_t r = 0; r < R; ++r) acc[r] = fset(0.0f);
  if constexpr (__is_base_of(float_weights, F)) {
    add_float_tile<F, R>(w, acts, x.k, acc);
  } else {
    add_tile<F, R>(w, acts, x.k, acc);
  }
  write_rows<R>(x, group, row, acc);
}

/// Tiles of R rows as many as there are, then of half as many each.
template <class F, uint32_t R>
inline void run_tiles(const matmul_args& x, uint32_t group, uint32_t row) {
  for (; row + R <= x.rows; row += R) run_tile<F, R>(x, group, row);
  if constexpr (R > 1) run_tiles<F, R / 2>(x, group, row);
}

template <class F, uint32_t MaxRows>
void matmul(const matmul_args& x) {
  for (uint32_t group = x.group_begin; group < x.group_end; ++group) {
    run_tiles<F, MaxRows>(x, group, 0);
  }
}

template <weight_format W, codes C, scaling S, int ZeroPoint>
struct integer_format : packed_format<C, S, ZeroPoint> {
  using base = packed_format<C, S, ZeroPoint>;
  static constexpr weight_layout layout = layout_of[static_cast<size_t>(W)];
  static_assert(layout.unit_k == base::blocks * block_k);
  static_assert(layout.code_bytes == base::code_bytes);
};
using q4_0 = integer_format<weight_format::q4_0, codes::u4, scaling::d, 8>;
using q4_1 = integer_format<weight_format::q4_1, codes::u4, scaling::d_m, 0>;
using q5_0 = integer_format<weight_format::q5_0, codes::u5, scaling::d, 16>;
using q5_1 = integer_format<weight_format::q5_1, codes::u5, scaling::d_m, 0>;
using q8_0 = integer_format<weight_format::q8_0, codes::u8, scaling::d, 128>;
using q2_k = integer_format<weight_format::q2_k, codes::u2, scaling::super_16_m, 0>;
using q3_k = integer_format<weight_format::q3_k, codes::u3, scaling::super_16, 4>;
using q4_k = integer_format<weight_format::q4_k, codes::u4, scaling::super_32_m, 0>;
using q5_k = integer_format<weight_format::q5_k, codes::u5, scaling::super_32_m, 0>;
using q6_k = integer_format<weight_format::q6_k, codes::u6, scaling::super_16, 32>;
using iq4_nl = integer_format<weight_format::iq4_nl, codes::iq4, scaling::d, 128>;
using iq4_xs = integer_format<weight_format::iq4_xs, codes::iq4, scaling::super_32, 128>;

// ---- element-wise ---------------------------------------------------------------------------

/// e^x: x = n·ln 2 + r, a polynomial for e^r (fitted on Chebyshev nodes), then the exponent.
/// At most 1.03 ulp off where the result is normal; 0 below -87.3, infinity above 88.3; NaN stays
/// NaN.
inline vf vexp(vf x) {
  const vf low = fset(-87.3f), high = fset(88.3f), magic = fset(0x1.8p23f);
  const vf clamped = fselect_lt(x, low, low, fselect_lt(high, x, high, x));
  const vf shifted = ffma(clamped, fset(0x1.715476p+0f), magic);
  const vf n = fsub(shifted, magic);
  vf r = ffma(n, fset(-0x1.62e400p-1f), clamped);
  r = ffma(n, fset(-0x1.7f7d1cp-20f), r);
  vf y = fset(0x1.6d4322p-10f);
  y = ffma(y, r, fset(0x1.120b74p-7f));
  y = ffma(y, r, fset(0x1.5554eap-5f));
  y = ffma(y, r, fset(0x1.5554dcp-3f));
  y = ffma(y, r, fset(0.5f));
  y = ffma(y, fmul(r, r), r);
  y = fadd(y, fset(1.0f));
  const vf scale = from_bits(iadd(ishift_left_23(bits_of(shifted)), iset(0x3f800000)));
  y = fmul(y, scale);
  y = fselect_lt(x, low, fset(0.0f), y);
  return fselect_lt(high, x, fset(__builtin_inff()), y);
}

void exp_all(const float* x, uint32_t n, float* out) {
  for (uint32_t i = 0; i < n; i += 16) {
    const uint32_t width = n - i < 16 ? n - i : 16;
    fstore_n(out + i, vexp(fload_n(x + i, width)), width);
  }
}

void rms_norm(const float* x, const float* weight, uint32_t n, float eps, float* out) {
  vf sum = fset(0.0f);
  uint32_t i = 0;
  for (; i + 16 <= n; i += 16) sum = ffma(fload(x + i), fload(x + i), sum);
  if (i < n) sum = ffma(fload_n(x + i, n - i), fload_n(x + i, n - i), sum);
  const float mean = reduce_add(sum) / static_cast<float>(n);
  const vf scale = fset(1.0f / __builtin_sqrtf(mean + eps));
  for (i = 0; i < n; i += 16) {
    const uint32_t width = n - i < 16 ? n - i : 16;
    fstore_n(out + i, fmul(fmul(fload_n(x + i, width), scale), fload_n(weight + i, width)), width);
  }
}

/// max|x| of 32 values; NaN and infinity come out.
inline float largest_of(vf x0, vf x1) {
  const vi magnitude = iset(0x7fffffff);
  const int32_t bits =
      ireduce_max(imax(iand(bits_of(x0), magnitude), iand(bits_of(x1), magnitude)));
  float out;
  __builtin_memcpy(&out, &bits, sizeof out);
  return out;
}

/// d = max|x| / 127, code = x · (127 / max|x|) rounded to nearest even. A block whose maximum is
/// below 1e-30 counts as zero, so that nothing overflows; NaN and infinity reach d.
inline void quantize_block(vf x0, vf x1, std::byte* block, uint32_t tile_rows, uint32_t r) {
  const vf magic = fset(0x1.8p23f);
  const float max_abs = largest_of(x0, x1);
  const bool is_zero = max_abs < 1e-30f;
  const float d = is_zero ? 0.0f : max_abs / 127.0f;
  const vf inverse = fset(is_zero ? 0.0f : 127.0f / max_abs);
  const vi base = iset(-0x4b400000);  // the bits of `magic`: what is left is the integer
  const vi q0 = iadd(bits_of(fadd(fmul(x0, inverse), magic)), base);
  const vi q1 = iadd(bits_of(fadd(fmul(x1, inverse), magic)), base);
  auto* q = reinterpret_cast<int8_t*>(block) + 32 * r;
  const int16_t sums[2] = {istore_codes(q, q0), istore_codes(q + 16, q1)};
  const float d_sum = d * static_cast<float>(sums[0] + sums[1]);
  __builtin_memcpy(block + 32 * tile_rows + 4 * r, &d, sizeof d);
  __builtin_memcpy(block + 36 * tile_rows + 4 * r, sums, sizeof sums);
  __builtin_memcpy(block + 40 * tile_rows + 4 * r, &d_sum, sizeof d_sum);
}

void quantize(const float* x, uint32_t n_blocks, std::byte* tile, uint32_t tile_rows, uint32_t r) {
  for (uint32_t b = 0; b < n_blocks; ++b) {
    const float* from = x + size_t{b} * block_k;
    quantize_block(fload(from), fload(from + 16), tile + size_t{b} * tile_rows * act_block_bytes,
                   tile_rows, r);
  }
}

void silu_mul(const float* gate, const float* up, uint32_t n, float* out) {
  for (uint32_t i = 0; i < n; i += 16) {
    const uint32_t width = n - i < 16 ? n - i : 16;
    const vf g = fload_n(gate + i, width);
    const vf silu = fdiv(g, fadd(fset(1.0f), vexp(fneg(g))));
    fstore_n(out + i, fmul(silu, fload_n(up + i, width)), width);
  }
}

// ---- attention ------------------------------------------------------------------------------

/// The head in the block that holds a key, and the key's place there.
inline const std::byte* head_at(const attention_args& x, uint32_t key) {
  return x.blocks[key >> x.layout->block_shift];
}
inline uint32_t slot_of(const attention_args& x, uint32_t key) {
  return key & (x.layout->block_tokens - 1);
}
/// Memory for 16 keys from `key` on, of K or V: exactly theirs where a block has no more than
/// those.
inline const std::byte* k_share(const attention_args& x, uint32_t key) {
  return head_at(x, key) + slot_of(x, key) * x.layout->k_token_bytes;
}
inline const std::byte* v_share(const attention_args& x, uint32_t key) {
  return head_at(x, key) + x.layout->v + slot_of(x, key) * x.layout->v_token_bytes;
}

/// What is read `ahead_keys` after the keys from `key` on. A head's part of a block is small and
/// the next one is elsewhere, so the processor does not find it by itself.
inline const std::byte* after_keys(const attention_args& x, uint32_t key) {
  const uint32_t later = key + ahead_keys, end = (x.n_keys[x.rows - 1] + 15) / 16 * 16;
  return later < end ? k_share(x, later) : v_share(x, later - end < end ? later - end : 0);
}
/// The same of values: the last are followed by the keys of the next partition, if there is one.
inline const std::byte* after_values(const attention_args& x, uint32_t key) {
  const uint32_t later = key + ahead_keys;
  if (later < x.n_keys[x.rows - 1]) return v_share(x, later);
  return later >> x.layout->block_shift < x.n_blocks ? k_share(x, later) : v_share(x, key);
}

/// Scores of one row → exp(score - max); returns {max, sum} into out.
inline void softmax_row(float* scores, uint32_t n, float* out) {
  const vf lowest = fset(-__builtin_inff());
  vf max = lowest;
  for (uint32_t i = 0; i < n; i += 16)
    max = fmax(max, fselect_n(n - i < 16 ? n - i : 16, fload(scores + i), lowest));
  const float m = reduce_max(max);
  vf sum = fset(0.0f);
  for (uint32_t i = 0; i < n; i += 16) {
    const vf p = vexp(fsub(fload(scores + i), fset(m)));
    const vf kept = fselect_n(n - i < 16 ? n - i : 16, p, fset(0.0f));
    fstore(scores + i, kept);
    sum = fadd(sum, kept);
  }
  out[0] = m;
  out[1] = reduce_add(sum);
}

/// Largest power of two ≤ n, at most `most`.
constexpr uint32_t power_of_two(uint32_t n, uint32_t most) {
  uint32_t p = 1;
  while (2 * p <= n && 2 * p <= most) p *= 2;
  return p;
}

#include "runtime/backend/cpu/kv_f16.hpp"

#include "runtime/backend/cpu/kv_q8_0.hpp"

template <class Kv, uint32_t R>
void attend_rows(const attention_args& x) {
  const uint32_t width = x.layout->head_dim_padded;
  const size_t out_stride = width + partial_extra;
  Kv::template scores<R>(x);
  for (uint32_t r = 0; r < R; ++r) {
    softmax_row(x.scores + r * partition_keys, x.n_keys[r], x.out + r * out_stride + width);
  }
  Kv::template values<R>(x, out_stride);
}

template <class Kv, uint32_t R = max_attention_rows>
void attend(const attention_args& x) {
  if (x.rows == R) return attend_rows<Kv, R>(x);
  if constexpr (R > 1) attend<Kv, R - 1>(x);
}

void join(float* into, const float* next, uint32_t head_dim_padded) {
  const float* next_stats = next + head_dim_padded;
  float* stats = into + head_dim_padded;
  const float max = stats[0] > next_stats[0] ? stats[0] : next_stats[0];
  float shrink[2] = {stats[0] - max, next_stats[0] - max};
  exp_all(shrink, 2, shrink);
  const vf keep = fset(shrink[0]), add = fset(shrink[1]);
  for (uint32_t d = 0; d < head_dim_padded; d += 16) {
    fstore(into + d, ffma(fload(next + d), add, fmul(fload(into + d), keep)));
  }
  stats[0] = max;
  stats[1] = __builtin_fmaf(next_stats[1], shrink[1], stats[1] * shrink[0]);
}

void finish(const float* partial, uint32_t head_dim, uint32_t head_dim_padded, float* out) {
  const vf sum = fset(partial[head_dim_padded + 1]);
  for (uint32_t d = 0; d < head_dim; d += 16) {
    const uint32_t width = head_dim - d < 16 ? head_dim - d : 16;
    fstore_n(out + d, fdiv(fload(partial + d), sum), width);
  }
}

template <class F>
struct vector_matmul {
  static void run(const matmul_args& x) { matmul<F, max_rows>(x); }
};

template <class Kv>
constexpr kv_kernels kv_table() {
  return {Kv::append_k, Kv::append_v, attend<Kv>};
}

template <template <class> class M = vector_matmul>
constexpr kernel_table make_table(const char* name, uint32_t tile_rows = max_rows) {
  return {name,
          tile_rows,
          max_attention_rows,
          {M<float_format<weight_format::f32>>::run, M<float_format<weight_format::f16>>::run,
           M<float_format<weight_format::bf16>>::run, M<q4_0>::run, M<q4_1>::run, M<q5_0>::run,
           M<q5_1>::run, M<q8_0>::run, M<q2_k>::run, M<q3_k>::run, M<q4_k>::run, M<q5_k>::run,
           M<q6_k>::run, M<iq4_nl>::run, M<iq4_xs>::run},
          rms_norm,
          quantize,
          silu_mul,
          kv_table<f16_kv>(),
          kv_table<q8_0_kv>(),
          join,
          finish,
          exp_all};
}
