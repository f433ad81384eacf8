#pragma once

// 16 floats, 16 ints and 64 codes in one zmm register each; dot products by VNNI.
// Included inside an anonymous namespace by each kernel file of that width.

constexpr uint32_t max_rows = 8;
constexpr uint32_t max_attention_rows = 12;
constexpr uint32_t score_vectors = 16;  // accumulators of the score loop
constexpr uint32_t value_vectors = 24;  // accumulators of the value loop

using vf = __m512;
struct vi {
  __m512i v;
};
/// Four consecutive codes of each of 16 columns: byte 4·column + i.
struct wq {
  __m512i v;
};

inline __mmask16 first_lanes(uint32_t n) {
  return static_cast<__mmask16>((1u << n) - 1u);
}

inline vf fset(float x) {
  return _mm512_set1_ps(x);
}
inline vf fload(const float* p) {
  return _mm512_loadu_ps(p);
}
inline void fstore(float* p, vf v) {
  _mm512_storeu_ps(p, v);
}
inline vf fload_n(const float* p, uint32_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
inline void fstore_n(float* p, vf v, uint32_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}
inline vf fload_f16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline vf fload_bf16(const void* p) {
  const __m256i h = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
inline vf fload_u8(const uint8_t* p) {
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(b));
}
inline vf fload_s8(const uint8_t* p) {
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(b));
}
inline vf fload_low_nibbles(const uint8_t* p) {
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(b, _mm_set1_epi8(15))));
}
inline vf fload_high_nibbles(const uint8_t* p) {
  const __m128i b = _mm_srli_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), 4);
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(b, _mm_set1_epi8(15))));
}
inline void fstore_f16(uint16_t* p, vf v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline vf ffma(vf a, vf b, vf c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline vf fadd(vf a, vf b) {
  return _mm512_add_ps(a, b);
}
inline vf fsub(vf a, vf b) {
  return _mm512_sub_ps(a, b);
}
inline vf fmul(vf a, vf b) {
  return _mm512_mul_ps(a, b);
}
inline vf fdiv(vf a, vf b) {
  return _mm512_div_ps(a, b);
}
inline vf fneg(vf a) {
  return _mm512_castsi512_ps(
      _mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN)));
}
inline vf fmax(vf a, vf b) {
  return _mm512_max_ps(a, b);
}
inline vf fselect_lt(vf a, vf b, vf x, vf y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
inline vf fselect_n(uint32_t n, vf x, vf y) {
  return _mm512_mask_blend_ps(first_lanes(n), y, x);
}

inline float reduce_add(vf v) {
  const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), upper);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline float reduce_max(vf v) {
  const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), upper);
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

inline vi bits_of(vf v) {
  return {_mm512_castps_si512(v)};
}
inline vf from_bits(vi v) {
  return _mm512_castsi512_ps(v.v);
}
inline vi iset(int32_t x) {
  return {_mm512_set1_epi32(x)};
}
inline vi iadd(vi a, vi b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline vi iand(vi a, vi b) {
  return {_mm512_and_si512(a.v, b.v)};
}
inline vi imax(vi a, vi b) {
  return {_mm512_max_epi32(a.v, b.v)};
}
inline vi ishift_left_23(vi a) {
  return {_mm512_slli_epi32(a.v, 23)};
}
inline vf to_float(vi v) {
  return _mm512_cvtepi32_ps(v.v);
}
inline int32_t ireduce_max(vi v) {
  return _mm512_reduce_max_epi32(v.v);
}
/// Stores 16 signed bytes and returns their sum: vpsadbw adds unsigned ones, so 128 more each.
inline int16_t store_codes(int8_t* p, __m128i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  const __m128i biased = _mm_xor_si128(bytes, _mm_set1_epi8(INT8_MIN));
  const __m128i two = _mm_sad_epu8(biased, _mm_setzero_si128());
  return static_cast<int16_t>(_mm_cvtsi128_si32(two) + _mm_extract_epi16(two, 4) - 16 * 128);
}
inline int16_t istore_codes(int8_t* p, vi v) {
  return store_codes(p, _mm512_cvtepi32_epi8(v.v));
}

inline wq wload(const uint8_t* p) {
  return {_mm512_loadu_si512(p)};
}
template <int Shift, int Mask>
inline wq wfield(wq w) {
  const __m512i moved = Shift == 0 ? w.v : _mm512_srli_epi16(w.v, Shift);
  return {_mm512_and_si512(moved, _mm512_set1_epi8(Mask))};
}
template <int Shift>
inline wq wor_shifted(wq a, wq b) {
  return {_mm512_or_si512(a.v, _mm512_slli_epi16(b.v, Shift))};
}
template <int Value>
inline wq wadd_bits(wq a, const uint8_t* p) {
  uint64_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return {_mm512_mask_add_epi8(a.v, bits, a.v, _mm512_set1_epi8(Value))};
}
inline wq wlookup(wq w, const int8_t* table) {
  const __m128i signed_codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  const __m128i codes = _mm_xor_si128(signed_codes, _mm_set1_epi8(INT8_MIN));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(codes), w.v)};
}

template <int Bits>
struct int_dot {
  __m512i sum;
  void start(int zero_point, const int16_t* pair, bool first, bool second) {
    sum = _mm512_setzero_si512();
    if (zero_point == 0) return;
    const uint32_t factor = static_cast<uint16_t>(-zero_point);
    const uint32_t factors = (first ? factor : 0) | (second ? factor << 16 : 0);
    int32_t sums;
    __builtin_memcpy(&sums, pair, sizeof sums);
    sum = _mm512_dpwssd_epi32(sum, _mm512_set1_epi32(static_cast<int32_t>(factors)),
                              _mm512_set1_epi32(sums));
  }
  template <int J>
  void add(const wq& w, const int8_t* a) {
    int32_t four;
    __builtin_memcpy(&four, a, sizeof four);
    sum = _mm512_dpbusd_epi32(sum, w.v, _mm512_set1_epi32(four));
  }
  vi value() const { return {sum}; }
};
