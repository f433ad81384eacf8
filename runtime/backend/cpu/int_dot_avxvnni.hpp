#pragma once

// Dot products of 256-bit codes with AVX-VNNI. Included after vec_avx2.hpp, inside the same
// anonymous namespace.

template <int Bits>
struct int_dot {
  vi sum;
  void start(int zero_point, const int16_t* pair, bool first, bool second) {
    sum = iset(0);
    if (zero_point == 0) return;
    const uint32_t factor = static_cast<uint16_t>(-zero_point);
    const uint32_t factors = (first ? factor : 0) | (second ? factor << 16 : 0);
    int32_t sums;
    __builtin_memcpy(&sums, pair, sizeof sums);
    const __m256i x = _mm256_madd_epi16(_mm256_set1_epi32(static_cast<int32_t>(factors)),
                                        _mm256_set1_epi32(sums));
    sum = {x, x};
  }
  template <int J>
  void add(const wq& w, const int8_t* a) {
    int32_t bits;
    __builtin_memcpy(&bits, a, sizeof bits);
    const __m256i four = _mm256_set1_epi32(bits);
    sum = {_mm256_dpbusd_avx_epi32(sum.a, w.a, four), _mm256_dpbusd_avx_epi32(sum.b, w.b, four)};
  }
  vi value() const { return sum; }
};
