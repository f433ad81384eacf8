#pragma once

// 16 floats, 16 ints and 64 codes in plain C++: what the other vector headers are measured by.
// Included inside an anonymous namespace by one kernel file.

constexpr uint32_t max_rows = 2;
constexpr uint32_t max_attention_rows = 2;
constexpr uint32_t score_vectors = 4;  // accumulators of the score loop
constexpr uint32_t value_vectors = 4;  // accumulators of the value loop

struct vf {
  float x[16];
};
struct vi {
  int32_t x[16];
};
/// Four consecutive codes of each of 16 columns: byte 4·column + i.
struct wq {
  uint8_t x[64];
};

template <class F>
inline vf each(F f) {
  vf out;
  for (int i = 0; i < 16; ++i) out.x[i] = f(i);
  return out;
}
template <class T>
inline T load_raw(const void* p) {
  T out;
  __builtin_memcpy(&out, p, sizeof out);
  return out;
}
inline float bits_to_float(uint32_t x) {
  return load_raw<float>(&x);
}
inline uint32_t float_to_bits(float x) {
  return load_raw<uint32_t>(&x);
}

inline float half_bits_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 0x1fu;
  const uint32_t mantissa = h & 0x3ffu;
  if (exponent == 0x1f) {
    const uint32_t quiet = mantissa != 0 ? 0x400000u : 0;
    return bits_to_float(sign | 0x7f800000u | quiet | (mantissa << 13));
  }
  if (exponent != 0) return bits_to_float(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float subnormal = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -subnormal : subnormal;
}
inline uint16_t float_to_half_bits(float f) {
  const uint32_t bits = float_to_bits(f);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude < 0x38800000u) {
    const uint32_t aligned = float_to_bits(bits_to_float(magnitude) + 0.5f);
    return sign | static_cast<uint16_t>(aligned - 0x3f000000u);
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return sign | static_cast<uint16_t>((magnitude + 0xfffu + odd - 0x38000000u) >> 13);
}

inline vf fset(float x) {
  return each([&](int) { return x; });
}
inline vf fload(const float* p) {
  return load_raw<vf>(p);
}
inline void fstore(float* p, vf v) {
  __builtin_memcpy(p, &v, sizeof v);
}
/// The first n floats of a vector; the others are zero and are not touched.
inline vf fload_n(const float* p, uint32_t n) {
  return each([&](int i) { return i < static_cast<int>(n) ? p[i] : 0.0f; });
}
inline void fstore_n(float* p, vf v, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) p[i] = v.x[i];
}
inline vf fload_f16(const void* p) {
  return each([&](int i) {
    return half_bits_to_float(load_raw<uint16_t>(static_cast<const uint8_t*>(p) + 2 * i));
  });
}
inline vf fload_bf16(const void* p) {
  return each([&](int i) {
    const auto h = load_raw<uint16_t>(static_cast<const uint8_t*>(p) + 2 * i);
    return bits_to_float(static_cast<uint32_t>(h) << 16);
  });
}
inline vf fload_u8(const uint8_t* p) {
  return each([&](int i) { return static_cast<float>(p[i]); });
}
inline vf fload_s8(const uint8_t* p) {
  return each([&](int i) { return static_cast<float>(static_cast<int8_t>(p[i])); });
}
inline vf fload_low_nibbles(const uint8_t* p) {
  return each([&](int i) { return static_cast<float>(p[i] & 15); });
}
inline vf fload_high_nibbles(const uint8_t* p) {
  return each([&](int i) { return static_cast<float>(p[i] >> 4); });
}
inline void fstore_f16(uint16_t* p, vf v) {
  for (int i = 0; i < 16; ++i) p[i] = float_to_half_bits(v.x[i]);
}
inline vf ffma(vf a, vf b, vf c) {
  return each([&](int i) { return __builtin_fmaf(a.x[i], b.x[i], c.x[i]); });
}
inline vf fadd(vf a, vf b) {
  return each([&](int i) { return a.x[i] + b.x[i]; });
}
inline vf fsub(vf a, vf b) {
  return each([&](int i) { return a.x[i] - b.x[i]; });
}
inline vf fmul(vf a, vf b) {
  return each([&](int i) { return a.x[i] * b.x[i]; });
}
inline vf fdiv(vf a, vf b) {
  return each([&](int i) { return a.x[i] / b.x[i]; });
}
inline vf fneg(vf a) {
  return each([&](int i) { return -a.x[i]; });
}
inline vf fmax(vf a, vf b) {
  return each([&](int i) { return a.x[i] > b.x[i] ? a.x[i] : b.x[i]; });
}
/// a < b ? x : y; false when a or b is NaN.
inline vf fselect_lt(vf a, vf b, vf x, vf y) {
  return each([&](int i) { return a.x[i] < b.x[i] ? x.x[i] : y.x[i]; });
}
/// The first n lanes of x, the others of y.
inline vf fselect_n(uint32_t n, vf x, vf y) {
  return each([&](int i) { return i < static_cast<int>(n) ? x.x[i] : y.x[i]; });
}
inline float reduce_add(vf v) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) v.x[i] = v.x[i] + v.x[i + width];
  }
  return v.x[0];
}
inline float reduce_max(vf v) {
  float out = v.x[0];
  for (int i = 1; i < 16; ++i) out = out > v.x[i] ? out : v.x[i];
  return out;
}

/// Lane by lane: of one copy of all lanes GCC 12 forgets, for aarch64 at -O3, that they were just
/// written as floats, and moves it up.
inline vi bits_of(vf v) {
  vi out;
  for (int i = 0; i < 16; ++i) out.x[i] = static_cast<int32_t>(float_to_bits(v.x[i]));
  return out;
}
inline vf from_bits(vi v) {
  return each([&](int i) { return bits_to_float(static_cast<uint32_t>(v.x[i])); });
}
inline vi iset(int32_t x) {
  vi out;
  for (int32_t& y : out.x) y = x;
  return out;
}
inline vi iadd(vi a, vi b) {
  for (int i = 0; i < 16; ++i) {
    a.x[i] = static_cast<int32_t>(static_cast<uint32_t>(a.x[i]) + static_cast<uint32_t>(b.x[i]));
  }
  return a;
}
inline vi iand(vi a, vi b) {
  for (int i = 0; i < 16; ++i) a.x[i] &= b.x[i];
  return a;
}
inline vi imax(vi a, vi b) {
  for (int i = 0; i < 16; ++i) a.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i];
  return a;
}
inline vi ishift_left_23(vi a) {
  for (int32_t& x : a.x) x = static_cast<int32_t>(static_cast<uint32_t>(x) << 23);
  return a;
}
inline vf to_float(vi v) {
  return each([&](int i) { return static_cast<float>(v.x[i]); });
}
inline int32_t ireduce_max(vi v) {
  int32_t out = v.x[0];
  for (int32_t x : v.x) out = out > x ? out : x;
  return out;
}
/// Stores the low byte of each lane and returns the sum of these signed bytes.
inline int16_t istore_codes(int8_t* p, vi v) {
  int16_t sum = 0;
  for (int i = 0; i < 16; ++i) {
    p[i] = static_cast<int8_t>(v.x[i] & 0xff);
    sum = static_cast<int16_t>(sum + p[i]);
  }
  return sum;
}

inline wq wload(const uint8_t* p) {
  return load_raw<wq>(p);
}
/// (codes >> Shift) & Mask of every byte.
template <int Shift, int Mask>
inline wq wfield(wq w) {
  for (uint8_t& x : w.x) x = static_cast<uint8_t>((x >> Shift) & Mask);
  return w;
}
/// a | b << Shift; b << Shift fits a byte.
template <int Shift>
inline wq wor_shifted(wq a, wq b) {
  for (int i = 0; i < 64; ++i) a.x[i] = static_cast<uint8_t>(a.x[i] | (b.x[i] << Shift));
  return a;
}
/// Adds Value to the codes whose bit is set in the 64-bit plane at p.
template <int Value>
inline wq wadd_bits(wq a, const uint8_t* p) {
  const auto bits = load_raw<uint64_t>(p);
  for (int i = 0; i < 64; ++i) {
    if ((bits >> i) & 1) a.x[i] = static_cast<uint8_t>(a.x[i] + Value);
  }
  return a;
}
inline wq wlookup(wq w, const int8_t* table) {
  for (uint8_t& x : w.x) x = static_cast<uint8_t>(table[x] + 128);
  return w;
}

/// Exact integer dot products of 16 columns with one row; Bits says how large the codes are.
template <int Bits>
struct int_dot {
  vi sum;
  /// Starts at -zero_point · (the sums that `weights` picks of a pair).
  void start(int zero_point, const int16_t* pair, bool first, bool second) {
    const int32_t total = (first ? pair[0] : 0) + (second ? pair[1] : 0);
    sum = iset(-zero_point * total);
  }
  template <int J>
  void add(const wq& w, const int8_t* a) {
    for (int c = 0; c < 16; ++c) {
      for (int i = 0; i < 4; ++i) sum.x[c] += int32_t{w.x[4 * c + i]} * int32_t{a[i]};
    }
  }
  vi value() const { return sum; }
};
