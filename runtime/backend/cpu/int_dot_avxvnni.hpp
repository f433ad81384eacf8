#pragma once

// Dot products of 256-bit codes with AVX-VNNI. Included after vec_avx2.hpp, inside the same
// anonymous namespace.

template <int Bits>
struct int_dot {
  vi sum;
  void start(int zero_point, const int16_t* pair, bool first, bool second) {
    sum = zero_point_sum(zero_point, pair, first, second);
  }
  template <int J>
  void add(const wq& w, const int8_t* a) {
    const __m256i four = broadcast_32_bits(a);
    sum = {_mm256_dpbusd_avx_epi32(sum.a, w.a, four), _mm256_dpbusd_avx_epi32(sum.b, w.b, four)};
  }
  vi value() const { return sum; }
};
