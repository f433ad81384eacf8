#pragma once

// Dot products of 256-bit codes without VNNI. Included after vec_avx2.hpp, inside the same
// anonymous namespace.

/// vpmaddubsw adds two products in 16 bits and saturates there. Codes of up to five bits leave
/// room for a sum of four (31·127·2·4 = 31,496), six bits for two (63·127·2·2 = 32,004); eight-bit
/// codes become signed and give the sign to the activation (128·127·2 = 32,512).
template <int Bits>
struct int_dot {
  static constexpr int sums = Bits <= 5 ? 4 : Bits == 6 ? 2 : 1;
  vi sum;
  vi narrow;  // 16-bit partial sums

  void start(int zero_point, const int16_t* pair, bool first, bool second) {
    const bool is_signed = Bits == 8;  // needs no zero point
    sum = is_signed ? iset(0) : zero_point_sum(zero_point, pair, first, second);
  }
  template <int J>
  void add(const wq& w, const int8_t* four) {
    const vi product = multiply(w, broadcast_32_bits(four));
    if constexpr (J % sums == 0) {
      narrow = product;
    } else {
      narrow = {_mm256_add_epi16(narrow.a, product.a), _mm256_add_epi16(narrow.b, product.b)};
    }
    if constexpr (J % sums == sums - 1) {
      const __m256i ones = _mm256_set1_epi16(1);
      sum = iadd(sum, {_mm256_madd_epi16(narrow.a, ones), _mm256_madd_epi16(narrow.b, ones)});
    }
  }
  vi value() const { return sum; }

private:
  static vi multiply(const wq& w, __m256i a) {
    if constexpr (Bits < 8) {
      return {_mm256_maddubs_epi16(w.a, a), _mm256_maddubs_epi16(w.b, a)};
    } else {
      const __m256i flip = _mm256_set1_epi8(INT8_MIN);
      const __m256i wa = _mm256_xor_si256(w.a, flip);
      const __m256i wb = _mm256_xor_si256(w.b, flip);
      return {_mm256_maddubs_epi16(_mm256_abs_epi8(wa), _mm256_sign_epi8(a, wa)),
              _mm256_maddubs_epi16(_mm256_abs_epi8(wb), _mm256_sign_epi8(a, wb))};
    }
  }
};
