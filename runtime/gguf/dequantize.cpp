// The scalar definition of every storage format, one function per block layout. All multi-byte
// fields are little-endian and unaligned. "d" is a block's float16 scale; the order of the float
// operations is part of the definition, because kernels and goldens are compared bit for bit.
#include <bit>
#include <cstring>

#include "runtime/base/check.hpp"
#include "runtime/base/half.hpp"
#include "runtime/gguf/tensor_type.hpp"

static_assert(std::endian::native == std::endian::little, "weights are used where they lie");

namespace llmos {

namespace {

uint8_t byte_at(const std::byte* p, size_t i) {
  return std::to_integer<uint8_t>(p[i]);
}
int8_t signed_at(const std::byte* p, size_t i) {
  return static_cast<int8_t>(byte_at(p, i));
}
int low_nibble(uint8_t x) {
  return x & 0xf;
}
int high_nibble(uint8_t x) {
  return x >> 4;
}

template <class T>
T load(const std::byte* p) {
  T out;
  std::memcpy(&out, p, sizeof out);
  return out;
}

float half_at(const std::byte* p) {
  return half_to_float(load<uint16_t>(p));
}

/// F32: one float32.
void decode_f32(const std::byte* in, float* out) {
  *out = load<float>(in);
}

/// F16: one IEEE binary16.
void decode_f16(const std::byte* in, float* out) {
  *out = half_at(in);
}

/// BF16: the upper half of one float32.
void decode_bf16(const std::byte* in, float* out) {
  *out = bf16_to_float(load<uint16_t>(in));
}

/// Q4_0: d | 16 bytes; low nibbles are weights 0..15, high nibbles 16..31. w = d (q - 8).
void decode_q4_0(const std::byte* in, float* out) {
  const float d = half_at(in);
  const std::byte* quants = in + 2;
  for (size_t i = 0; i < 16; ++i) {
    const uint8_t pair = byte_at(quants, i);
    out[i] = d * static_cast<float>(low_nibble(pair) - 8);
    out[i + 16] = d * static_cast<float>(high_nibble(pair) - 8);
  }
}

/// Q4_1: d | m (float16) | 16 bytes as in Q4_0. w = d q + m.
void decode_q4_1(const std::byte* in, float* out) {
  const float d = half_at(in);
  const float m = half_at(in + 2);
  const std::byte* quants = in + 4;
  for (size_t i = 0; i < 16; ++i) {
    const uint8_t pair = byte_at(quants, i);
    out[i] = d * static_cast<float>(low_nibble(pair)) + m;
    out[i + 16] = d * static_cast<float>(high_nibble(pair)) + m;
  }
}

/// Q5_0: d | u32 of fifth bits, bit i for weight i | 16 bytes as in Q4_0. w = d (q - 16).
void decode_q5_0(const std::byte* in, float* out) {
  const float d = half_at(in);
  const auto fifths = load<uint32_t>(in + 2);
  const std::byte* quants = in + 6;
  for (size_t i = 0; i < 16; ++i) {
    const uint8_t pair = byte_at(quants, i);
    const int lower = low_nibble(pair) | static_cast<int>(fifths >> i & 1) << 4;
    const int upper = high_nibble(pair) | static_cast<int>(fifths >> (i + 16) & 1) << 4;
    out[i] = d * static_cast<float>(lower - 16);
    out[i + 16] = d * static_cast<float>(upper - 16);
  }
}

/// Q5_1: d | m (float16) | fifth bits and 16 bytes as in Q5_0. w = d q + m.
void decode_q5_1(const std::byte* in, float* out) {
  const float d = half_at(in);
  const float m = half_at(in + 2);
  const auto fifths = load<uint32_t>(in + 4);
  const std::byte* quants = in + 8;
  for (size_t i = 0; i < 16; ++i) {
    const uint8_t pair = byte_at(quants, i);
    const int lower = low_nibble(pair) | static_cast<int>(fifths >> i & 1) << 4;
    const int upper = high_nibble(pair) | static_cast<int>(fifths >> (i + 16) & 1) << 4;
    out[i] = d * static_cast<float>(lower) + m;
    out[i + 16] = d * static_cast<float>(upper) + m;
  }
}

/// Q8_0: d | 32 int8. w = d q.
void decode_q8_0(const std::byte* in, float* out) {
  const float d = half_at(in);
  for (size_t i = 0; i < 32; ++i) out[i] = d * static_cast<float>(signed_at(in + 2, i));
}

/// Q2_K: 16 bytes (scale low nibble, minimum high nibble) | 64 bytes of 2-bit weights | d | dmin.
/// 16 groups of 16 weights. Each half of 128 weights owns 32 bytes; its k-th 32 weights are bits
/// 2k..2k+1 of those. w = (d scale) q - dmin minimum.
void decode_q2_k(const std::byte* in, float* out) {
  const std::byte* quants = in + 16;
  const float d = half_at(in + 80);
  const float d_min = half_at(in + 82);
  for (size_t group = 0; group < 16; ++group) {
    const uint8_t packed = byte_at(in, group);
    const float scale = d * static_cast<float>(low_nibble(packed));
    const float minimum = d_min * static_cast<float>(high_nibble(packed));
    const std::byte* bytes = quants + 32 * (group / 8) + 16 * (group % 2);
    const size_t shift = 2 * (group % 8 / 2);
    for (size_t i = 0; i < 16; ++i) {
      const int q = byte_at(bytes, i) >> shift & 3;
      out[16 * group + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

/// The 6-bit scale of a group in Q3_K's 12 bytes: nibbles of bytes 0..7 hold the low four bits
/// (groups 8..15 in the high nibbles), bit pairs of bytes 8..11 the high two.
int q3_k_scale(const std::byte* packed, size_t group) {
  const int low = byte_at(packed, group % 8) >> (4 * (group / 8)) & 0xf;
  const int high = byte_at(packed, 8 + group % 4) >> (2 * (group / 4)) & 3;
  return (low | high << 4) - 32;
}

/// Q3_K: 32 bytes of third bits | 64 bytes of 2-bit weights as in Q2_K | 12 bytes of scales | d.
/// Bit k of third-bit byte j belongs to weight 32 k + j. w = (d scale) (q - 4).
void decode_q3_k(const std::byte* in, float* out) {
  const std::byte* quants = in + 32;
  const std::byte* scales = in + 96;
  const float d = half_at(in + 108);
  for (size_t group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(q3_k_scale(scales, group));
    const std::byte* thirds = in + 16 * (group % 2);
    const std::byte* bytes = quants + 32 * (group / 8) + 16 * (group % 2);
    const size_t shift = 2 * (group % 8 / 2);
    for (size_t i = 0; i < 16; ++i) {
      const int low = byte_at(bytes, i) >> shift & 3;
      const int high = byte_at(thirds, i) >> (group / 2) & 1;
      out[16 * group + i] = scale * static_cast<float>((low | high << 2) - 4);
    }
  }
}

struct scale_and_min {
  float scale;
  float minimum;
};

/// The 6-bit scale and minimum of a group of 32 in the 12 bytes that Q4_K and Q5_K share.
/// Groups 0..3: low six bits of bytes g and g + 4. Groups 4..7: low bits in the nibbles of byte
/// g + 4, high bits in the top two bits of bytes g - 4 and g.
scale_and_min k_scale_min(const std::byte* packed, size_t group) {
  const uint8_t a = byte_at(packed, group);
  const uint8_t b = byte_at(packed, group + 4);
  if (group < 4) return {static_cast<float>(a & 63), static_cast<float>(b & 63)};
  const uint8_t top = byte_at(packed, group - 4);
  return {static_cast<float>(low_nibble(b) | top >> 6 << 4),
          static_cast<float>(high_nibble(b) | a >> 6 << 4)};
}

/// Q4_K: d | dmin | 12 bytes of scales and minima | 128 bytes. 8 groups of 32 weights; groups 2k
/// and 2k+1 are the low and high nibbles of bytes 32k..32k+31. w = (d scale) q - dmin minimum.
void decode_q4_k(const std::byte* in, float* out) {
  const float d = half_at(in);
  const float d_min = half_at(in + 2);
  for (size_t group = 0; group < 8; ++group) {
    const auto packed = k_scale_min(in + 4, group);
    const float scale = d * packed.scale;
    const float minimum = d_min * packed.minimum;
    const std::byte* bytes = in + 16 + 32 * (group / 2);
    const size_t shift = 4 * (group % 2);
    for (size_t i = 0; i < 32; ++i) {
      const int q = byte_at(bytes, i) >> shift & 0xf;
      out[32 * group + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

/// Q5_K: as Q4_K, with 32 bytes of fifth bits before the nibbles: bit g of byte i belongs to
/// weight i of group g.
void decode_q5_k(const std::byte* in, float* out) {
  const float d = half_at(in);
  const float d_min = half_at(in + 2);
  const std::byte* fifths = in + 16;
  for (size_t group = 0; group < 8; ++group) {
    const auto packed = k_scale_min(in + 4, group);
    const float scale = d * packed.scale;
    const float minimum = d_min * packed.minimum;
    const std::byte* bytes = in + 48 + 32 * (group / 2);
    const size_t shift = 4 * (group % 2);
    for (size_t i = 0; i < 32; ++i) {
      const int q = (byte_at(bytes, i) >> shift & 0xf) | (byte_at(fifths, i) >> group & 1) << 4;
      out[32 * group + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

/// Q6_K: 128 bytes of low nibbles | 64 bytes of high bit pairs | 16 int8 scales | d.
/// Each half of 128 weights owns 64 + 32 bytes; its k-th 32 weights take the low (k < 2) or high
/// nibbles of its bytes 32 (k mod 2).. and bit pair k of its high bytes. w = (d scale) (q - 32).
void decode_q6_k(const std::byte* in, float* out) {
  const float d = half_at(in + 208);
  for (size_t group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(signed_at(in + 192, group));
    const size_t half = group / 8;
    const size_t k = group % 8 / 2;
    const size_t first = 16 * (group % 2);
    const std::byte* lows = in + 64 * half + 32 * (k % 2) + first;
    const std::byte* highs = in + 128 + 32 * half + first;
    for (size_t i = 0; i < 16; ++i) {
      const int low = byte_at(lows, i) >> (4 * (k / 2)) & 0xf;
      const int high = byte_at(highs, i) >> (2 * k) & 3;
      out[16 * group + i] = scale * static_cast<float>((low | high << 4) - 32);
    }
  }
}

/// The 16 levels of IQ4_NL and IQ4_XS, part of the formats.
constexpr float iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

/// 16 bytes of level numbers for 32 weights, nibbles as in Q4_0.
void decode_iq4_levels(const std::byte* in, float scale, float* out) {
  for (size_t i = 0; i < 16; ++i) {
    const uint8_t pair = byte_at(in, i);
    out[i] = scale * iq4_levels[low_nibble(pair)];
    out[i + 16] = scale * iq4_levels[high_nibble(pair)];
  }
}

/// IQ4_NL: d | 16 bytes. w = d level[q].
void decode_iq4_nl(const std::byte* in, float* out) {
  decode_iq4_levels(in + 2, half_at(in), out);
}

/// IQ4_XS: d | u16 of high scale bit pairs | 4 bytes of low scale nibbles | 128 bytes.
/// 8 groups of 32 weights. w = (d (scale - 32)) level[q].
void decode_iq4_xs(const std::byte* in, float* out) {
  const float d = half_at(in);
  const int scale_highs = load<uint16_t>(in + 2);
  for (size_t group = 0; group < 8; ++group) {
    const int low = byte_at(in + 4, group / 2) >> (4 * (group % 2)) & 0xf;
    const int high = scale_highs >> (2 * group) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    decode_iq4_levels(in + 8 + 16 * group, scale, out + 32 * group);
  }
}

template <void (*decode_block)(const std::byte*, float*)>
void decode_all(const type_info& info, const std::byte* data, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += info.block_elems, data += info.block_bytes) {
    decode_block(data, out.data() + i);
  }
}

}  // namespace

void dequantize(tensor_type type, const std::byte* data, std::span<float> out) {
  const type_info& info = info_of(type);
  LLMOS_CHECK(out.size() % info.block_elems == 0);
  switch (type) {
    case tensor_type::f32: return decode_all<decode_f32>(info, data, out);
    case tensor_type::f16: return decode_all<decode_f16>(info, data, out);
    case tensor_type::q4_0: return decode_all<decode_q4_0>(info, data, out);
    case tensor_type::q4_1: return decode_all<decode_q4_1>(info, data, out);
    case tensor_type::q5_0: return decode_all<decode_q5_0>(info, data, out);
    case tensor_type::q5_1: return decode_all<decode_q5_1>(info, data, out);
    case tensor_type::q8_0: return decode_all<decode_q8_0>(info, data, out);
    case tensor_type::q2_k: return decode_all<decode_q2_k>(info, data, out);
    case tensor_type::q3_k: return decode_all<decode_q3_k>(info, data, out);
    case tensor_type::q4_k: return decode_all<decode_q4_k>(info, data, out);
    case tensor_type::q5_k: return decode_all<decode_q5_k>(info, data, out);
    case tensor_type::q6_k: return decode_all<decode_q6_k>(info, data, out);
    case tensor_type::iq4_nl: return decode_all<decode_iq4_nl>(info, data, out);
    case tensor_type::iq4_xs: return decode_all<decode_iq4_xs>(info, data, out);
    case tensor_type::bf16: return decode_all<decode_bf16>(info, data, out);
  }
}

}  // namespace llmos
