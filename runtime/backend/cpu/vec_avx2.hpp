#pragma once

// 16 floats, 16 ints and 64 codes in two ymm registers each; the dot products are in int_dot_*.hpp.
// Included inside an anonymous namespace by each kernel file of that width.

constexpr uint32_t max_rows = 4;
constexpr uint32_t max_attention_rows = 4;
constexpr uint32_t score_vectors = 4;  // accumulators of the score loop, two registers each
constexpr uint32_t value_vectors = 6;  // accumulators of the value loop

struct vf {
  __m256 a, b;
};
struct vi {
  __m256i a, b;
};
/// Four consecutive codes of each of 16 columns: byte 4·column + i.
struct wq {
  __m256i a, b;
};

/// Lanes [0, n) of the 8 lanes that start at `from`, as a mask.
inline __m256i first_lanes(uint32_t n, int from) {
  const __m256i index =
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(from));
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), index);
}

inline vf fset(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline vf fload(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void fstore(float* p, vf v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
inline vf fload_n(const float* p, uint32_t n) {
  return {_mm256_maskload_ps(p, first_lanes(n, 0)), _mm256_maskload_ps(p + 8, first_lanes(n, 8))};
}
inline void fstore_n(float* p, vf v, uint32_t n) {
  _mm256_maskstore_ps(p, first_lanes(n, 0), v.a);
  _mm256_maskstore_ps(p + 8, first_lanes(n, 8), v.b);
}
inline vf fload_f16(const void* p) {
  const auto* q = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
inline vf fload_bf16(const void* p) {
  const auto* q = static_cast<const __m128i*>(p);
  const __m256i a = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(q)), 16);
  const __m256i b = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(q + 1)), 16);
  return {_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)};
}
inline vf bytes_to_float(__m128i x) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(x, 8)))};
}
inline vf fload_u8(const uint8_t* p) {
  return bytes_to_float(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline vf fload_low_nibbles(const uint8_t* p) {
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return bytes_to_float(_mm_and_si128(x, _mm_set1_epi8(15)));
}
inline vf fload_high_nibbles(const uint8_t* p) {
  const __m128i x = _mm_srli_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), 4);
  return bytes_to_float(_mm_and_si128(x, _mm_set1_epi8(15)));
}
inline vf fload_s8(const uint8_t* p) {
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(x, 8)))};
}
inline void fstore_f16(uint16_t* p, vf v) {
  auto* q = reinterpret_cast<__m128i*>(p);
  _mm_storeu_si128(q, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  _mm_storeu_si128(q + 1, _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline vf ffma(vf x, vf y, vf z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline vf fadd(vf x, vf y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
inline vf fsub(vf x, vf y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
inline vf fmul(vf x, vf y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
inline vf fdiv(vf x, vf y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
inline vf fneg(vf x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(x.a, sign), _mm256_xor_ps(x.b, sign)};
}
inline vf fmax(vf x, vf y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
inline vf fselect_lt(vf l, vf r, vf x, vf y) {
  return {_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(l.a, r.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(l.b, r.b, _CMP_LT_OQ))};
}
inline vf fselect_n(uint32_t n, vf x, vf y) {
  return {_mm256_blendv_ps(y.a, x.a, _mm256_castsi256_ps(first_lanes(n, 0))),
          _mm256_blendv_ps(y.b, x.b, _mm256_castsi256_ps(first_lanes(n, 8)))};
}
inline float reduce_add(vf v) {
  const __m256 eight = _mm256_add_ps(v.a, v.b);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline float reduce_max(vf v) {
  const __m256 eight = _mm256_max_ps(v.a, v.b);
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

inline vi bits_of(vf v) {
  return {_mm256_castps_si256(v.a), _mm256_castps_si256(v.b)};
}
inline vf from_bits(vi v) {
  return {_mm256_castsi256_ps(v.a), _mm256_castsi256_ps(v.b)};
}
inline vi iset(int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
inline vi iadd(vi x, vi y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
inline vi iand(vi x, vi y) {
  return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
}
inline vi imax(vi x, vi y) {
  return {_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)};
}
inline vi ishift_left_23(vi x) {
  return {_mm256_slli_epi32(x.a, 23), _mm256_slli_epi32(x.b, 23)};
}
inline vf to_float(vi v) {
  return {_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)};
}
inline int32_t ireduce_max(vi v) {
  const __m256i eight = _mm256_max_epi32(v.a, v.b);
  __m128i s = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
/// Stores 16 signed bytes and returns their sum: vpsadbw adds unsigned ones, so 128 more each.
inline int16_t store_codes(int8_t* p, __m128i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  const __m128i biased = _mm_xor_si128(bytes, _mm_set1_epi8(INT8_MIN));
  const __m128i two = _mm_sad_epu8(biased, _mm_setzero_si128());
  return static_cast<int16_t>(_mm_cvtsi128_si32(two) + _mm_extract_epi16(two, 4) - 16 * 128);
}
inline int16_t istore_codes(int8_t* p, vi v) {
  const vi low = iand(v, iset(0xff));
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low.a, low.b), 0xd8);
  return store_codes(
      p, _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

inline wq wload(const uint8_t* p) {
  const auto* q = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
template <int Shift, int Mask>
inline wq wfield(wq w) {
  const __m256i mask = _mm256_set1_epi8(Mask);
  if (Shift == 0) return {_mm256_and_si256(w.a, mask), _mm256_and_si256(w.b, mask)};
  return {_mm256_and_si256(_mm256_srli_epi16(w.a, Shift), mask),
          _mm256_and_si256(_mm256_srli_epi16(w.b, Shift), mask)};
}
template <int Shift>
inline wq wor_shifted(wq x, wq y) {
  return {_mm256_or_si256(x.a, _mm256_slli_epi16(y.a, Shift)),
          _mm256_or_si256(x.b, _mm256_slli_epi16(y.b, Shift))};
}
/// 32 bits as 32 bytes: Value where the bit is set.
template <int Value>
inline __m256i spread_bits(const uint8_t* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  const __m256i which_byte =
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i which_bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), which_byte);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, which_bit), which_bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(Value));
}
template <int Value>
inline wq wadd_bits(wq w, const uint8_t* p) {
  return {_mm256_add_epi8(w.a, spread_bits<Value>(p)),
          _mm256_add_epi8(w.b, spread_bits<Value>(p + 4))};
}
inline wq wlookup(wq w, const int8_t* table) {
  const __m128i signed_codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  const __m256i codes =
      _mm256_broadcastsi128_si256(_mm_xor_si128(signed_codes, _mm_set1_epi8(INT8_MIN)));
  return {_mm256_shuffle_epi8(codes, w.a), _mm256_shuffle_epi8(codes, w.b)};
}

inline __m256i broadcast_32_bits(const void* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi32(bits);
}
/// -zero_point · Σ activations: of the first half of a block, the second, or both.
inline vi zero_point_sum(int zero_point, const int16_t* pair, bool first, bool second) {
  if (zero_point == 0) return iset(0);
  const uint32_t factor = static_cast<uint16_t>(-zero_point);
  const uint32_t factors = (first ? factor : 0) | (second ? factor << 16 : 0);
  const __m256i x =
      _mm256_madd_epi16(_mm256_set1_epi32(static_cast<int32_t>(factors)), broadcast_32_bits(pair));
  return {x, x};
}
