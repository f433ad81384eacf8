#include "runtime/backend/cpu/packed.hpp"

#include <cstring>

#include "runtime/base/check.hpp"
#include "runtime/base/checked.hpp"

namespace llmos::cpu {

namespace {

/// One column's codes and scales of one unit, decoded from the file's block.
struct column_unit {
  uint8_t code[256];
  uint16_t d = 0, m = 0;                 // f16 bits; m is the minimum (or dmin)
  uint8_t scale[16] = {}, min[16] = {};  // K-quants
};

uint16_t read_u16(const std::byte* p) {
  uint16_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
uint32_t read_u32(const void* p) {
  uint32_t x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
uint8_t byte_at(const std::byte* p, size_t i) {
  return static_cast<uint8_t>(p[i]);
}

/// Low nibbles are weights 0–15, high nibbles 16–31.
void nibbles_of(const std::byte* qs, uint8_t* code) {
  for (uint32_t i = 0; i < 16; ++i) {
    code[i] = byte_at(qs, i) & 15;
    code[16 + i] = byte_at(qs, i) >> 4;
  }
}

void decode_4bit(const std::byte* p, bool has_min, column_unit& out) {
  out.d = read_u16(p);
  if (has_min) out.m = read_u16(p + 2);
  nibbles_of(p + (has_min ? 4 : 2), out.code);
}

void decode_5bit(const std::byte* p, bool has_min, column_unit& out) {
  out.d = read_u16(p);
  if (has_min) out.m = read_u16(p + 2);
  const std::byte* rest = p + (has_min ? 4 : 2);
  const uint32_t high = read_u32(rest);
  nibbles_of(rest + 4, out.code);
  for (uint32_t i = 0; i < 32; ++i) out.code[i] |= static_cast<uint8_t>(((high >> i) & 1) << 4);
}

/// Signed bytes become unsigned by adding 128, the kernel's zero point.
void decode_q8_0(const std::byte* p, column_unit& out) {
  out.d = read_u16(p);
  for (uint32_t i = 0; i < 32; ++i) out.code[i] = byte_at(p, 2 + i) ^ 0x80;
}

/// 2-bit fields: 32 bytes hold 128 weights, 32 of them per bit pair.
void two_bit_codes(const std::byte* qs, uint8_t* code) {
  for (uint32_t i = 0; i < 256; ++i) {
    code[i] = (byte_at(qs, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2)) & 3;
  }
}

void decode_q2_k(const std::byte* p, column_unit& out) {
  for (uint32_t i = 0; i < 16; ++i) out.scale[i] = byte_at(p, i);  // scale | min << 4, as packed
  two_bit_codes(p + 16, out.code);
  out.d = read_u16(p + 80);
  out.m = read_u16(p + 82);
}

void decode_q3_k(const std::byte* p, column_unit& out) {
  const std::byte* high = p;
  const std::byte* scales = p + 96;
  two_bit_codes(p + 32, out.code);
  for (uint32_t i = 0; i < 256; ++i) {
    out.code[i] |= static_cast<uint8_t>(((byte_at(high, i % 32) >> (i / 32)) & 1) << 2);
  }
  for (uint32_t i = 0; i < 16; ++i) {
    const int low = (byte_at(scales, i % 8) >> (i / 8 * 4)) & 15;
    const int top = (byte_at(scales, 8 + i % 4) >> (i / 4 * 2)) & 3;
    out.scale[i] = static_cast<uint8_t>((low | top << 4) - 32);
  }
  out.d = read_u16(p + 108);
}

/// The eight 6-bit scales and minima that Q4_K and Q5_K keep in 12 bytes.
void decode_scales_6bit(const std::byte* s, column_unit& out) {
  for (uint32_t i = 0; i < 4; ++i) {
    out.scale[i] = byte_at(s, i) & 63;
    out.min[i] = byte_at(s, i + 4) & 63;
    out.scale[i + 4] = static_cast<uint8_t>((byte_at(s, i + 8) & 15) | (byte_at(s, i) >> 6) << 4);
    out.min[i + 4] = static_cast<uint8_t>((byte_at(s, i + 8) >> 4) | (byte_at(s, i + 4) >> 6) << 4);
  }
}

/// 32 bytes hold 64 weights: low nibbles the first 32, high nibbles the others.
void nibbles_of_super(const std::byte* qs, uint8_t* code) {
  for (uint32_t i = 0; i < 256; ++i) {
    code[i] = (byte_at(qs, i / 64 * 32 + i % 32) >> (i % 64 / 32 * 4)) & 15;
  }
}

void decode_q4_k(const std::byte* p, column_unit& out) {
  out.d = read_u16(p);
  out.m = read_u16(p + 2);
  decode_scales_6bit(p + 4, out);
  nibbles_of_super(p + 16, out.code);
}

void decode_q5_k(const std::byte* p, column_unit& out) {
  out.d = read_u16(p);
  out.m = read_u16(p + 2);
  decode_scales_6bit(p + 4, out);
  nibbles_of_super(p + 48, out.code);
  for (uint32_t i = 0; i < 256; ++i) {
    out.code[i] |= static_cast<uint8_t>(((byte_at(p + 16, i % 32) >> (i / 32)) & 1) << 4);
  }
}

void decode_q6_k(const std::byte* p, column_unit& out) {
  for (uint32_t i = 0; i < 256; ++i) {
    const uint32_t half = i / 128, j = i % 128;
    const uint8_t low = byte_at(p, half * 64 + j % 64) >> (j / 64 * 4);
    const uint8_t high = byte_at(p + 128, half * 32 + j % 32) >> (j / 32 * 2);
    out.code[i] = static_cast<uint8_t>((low & 15) | (high & 3) << 4);
  }
  for (uint32_t i = 0; i < 16; ++i) out.scale[i] = byte_at(p + 192, i);
  out.d = read_u16(p + 208);
}

void decode_iq4_xs(const std::byte* p, column_unit& out) {
  out.d = read_u16(p);
  const uint16_t high = read_u16(p + 2);
  for (uint32_t b = 0; b < 8; ++b) {
    const int low = (byte_at(p, 4 + b / 2) >> (b % 2 * 4)) & 15;
    out.scale[b] = static_cast<uint8_t>((low | ((high >> (2 * b)) & 3) << 4) - 32);
    nibbles_of(p + 8 + 16 * b, out.code + 32 * b);
  }
}

void decode(weight_format format, const std::byte* p, column_unit& out) {
  switch (format) {
    case weight_format::q4_0:
    case weight_format::iq4_nl: return decode_4bit(p, false, out);
    case weight_format::q4_1: return decode_4bit(p, true, out);
    case weight_format::q5_0: return decode_5bit(p, false, out);
    case weight_format::q5_1: return decode_5bit(p, true, out);
    case weight_format::q8_0: return decode_q8_0(p, out);
    case weight_format::q2_k: return decode_q2_k(p, out);
    case weight_format::q3_k: return decode_q3_k(p, out);
    case weight_format::q4_k: return decode_q4_k(p, out);
    case weight_format::q5_k: return decode_q5_k(p, out);
    case weight_format::q6_k: return decode_q6_k(p, out);
    case weight_format::iq4_xs: return decode_iq4_xs(p, out);
    case weight_format::f32:
    case weight_format::f16:
    case weight_format::bf16:
    case weight_format::count_: break;
  }
  LLMOS_CHECK(false);
}

/// How a format's codes and scales lie in a unit (kernels_impl.hpp reads them).
enum class code_planes { two, three, four, five, six, eight };
enum class scale_planes { d, d_m, d_s8, dmin_s8_m8, d_s16, dmin_s16 };
struct packing {
  code_planes codes;
  scale_planes scales;
};

packing packing_of(weight_format format) {
  switch (format) {
    case weight_format::q4_0:
    case weight_format::iq4_nl: return {code_planes::four, scale_planes::d};
    case weight_format::q4_1: return {code_planes::four, scale_planes::d_m};
    case weight_format::q5_0: return {code_planes::five, scale_planes::d};
    case weight_format::q5_1: return {code_planes::five, scale_planes::d_m};
    case weight_format::q8_0: return {code_planes::eight, scale_planes::d};
    case weight_format::q2_k: return {code_planes::two, scale_planes::dmin_s16};
    case weight_format::q3_k: return {code_planes::three, scale_planes::d_s16};
    case weight_format::q4_k: return {code_planes::four, scale_planes::dmin_s8_m8};
    case weight_format::q5_k: return {code_planes::five, scale_planes::dmin_s8_m8};
    case weight_format::q6_k: return {code_planes::six, scale_planes::d_s16};
    case weight_format::iq4_xs: return {code_planes::four, scale_planes::d_s8};
    case weight_format::f32:
    case weight_format::f16:
    case weight_format::bf16:
    case weight_format::count_: break;
  }
  LLMOS_CHECK(false);
  return {};
}

void write_u16(std::byte* p, uint16_t x) {
  std::memcpy(p, &x, sizeof x);
}
void write_u32(std::byte* p, uint32_t x) {
  std::memcpy(p, &x, sizeof x);
}

/// Four codes (k = 4j … 4j+3) as one word; planes are written in such words.
uint32_t quad(const uint8_t* code, uint32_t j) {
  return read_u32(code + 4 * j);
}

void write_nibble_planes(const uint8_t* code, std::byte* p) {
  for (uint32_t j = 0; j < 4; ++j) {
    const uint32_t low = quad(code, j) & 0x0f0f0f0f, high = quad(code, j + 4) & 0x0f0f0f0f;
    write_u32(p + 64 * j, low | high << 4);
  }
}
void write_two_bit_planes(const uint8_t* code, uint32_t shift, std::byte* p) {
  for (uint32_t plane = 0; plane < 2; ++plane) {
    uint32_t word = 0;
    for (uint32_t i = 0; i < 4; ++i) {
      word |= ((quad(code, plane + 2 * i) >> shift) & 0x03030303) << (2 * i);
    }
    write_u32(p + 64 * plane, word);
  }
}
/// One bit per weight, 64 bits per quad; `column` owns four of them.
void write_bit_plane(const uint8_t* code, uint32_t bit, uint32_t column, std::byte* p) {
  for (uint32_t j = 0; j < 8; ++j) {
    uint32_t four = 0;
    for (uint32_t i = 0; i < 4; ++i) four |= ((code[4 * j + i] >> bit) & 1u) << i;
    p[8 * j + column / 2] |= static_cast<std::byte>(four << (column % 2 * 4));
  }
}

/// `p` is the block's first byte.
void write_codes(code_planes planes, const uint8_t* code, uint32_t column, std::byte* p) {
  std::byte* at = p + 4 * column;
  switch (planes) {
    case code_planes::two: return write_two_bit_planes(code, 0, at);
    case code_planes::three:
      write_two_bit_planes(code, 0, at);
      return write_bit_plane(code, 2, column, p + 128);
    case code_planes::four: return write_nibble_planes(code, at);
    case code_planes::five:
      write_nibble_planes(code, at);
      return write_bit_plane(code, 4, column, p + 256);
    case code_planes::six:
      write_nibble_planes(code, at);
      return write_two_bit_planes(code, 4, at + 256);
    case code_planes::eight:
      for (uint32_t j = 0; j < 8; ++j) write_u32(at + 64 * j, quad(code, j));
      return;
  }
}

void write_bytes(const uint8_t* values, uint32_t n, uint32_t column, std::byte* p) {
  for (uint32_t i = 0; i < n; ++i) p[16 * i + column] = static_cast<std::byte>(values[i]);
}

/// `p` is the unit's first scale.
void write_scales(scale_planes planes, const column_unit& u, uint32_t column, std::byte* p) {
  write_u16(p + 2 * column, u.d);
  switch (planes) {
    case scale_planes::d: return;
    case scale_planes::d_m: return write_u16(p + 32 + 2 * column, u.m);
    case scale_planes::d_s8: return write_bytes(u.scale, 8, column, p + 32);
    case scale_planes::d_s16: return write_bytes(u.scale, 16, column, p + 32);
    case scale_planes::dmin_s8_m8:
      write_u16(p + 32 + 2 * column, u.m);
      write_bytes(u.scale, 8, column, p + 64);
      return write_bytes(u.min, 8, column, p + 64 + 128);
    case scale_planes::dmin_s16:
      write_u16(p + 32 + 2 * column, u.m);
      return write_bytes(u.scale, 16, column, p + 64);
  }
}

void pack_column(weight_format format, const std::byte* row, size_t block_bytes, uint32_t k,
                 uint32_t column, std::byte* group) {
  const weight_layout layout = layout_of[static_cast<size_t>(format)];
  const packing how = packing_of(format);
  const uint32_t n_blocks = layout.unit_k / block_k;
  column_unit unit;
  for (uint32_t u = 0; u < k / layout.unit_k; ++u, row += block_bytes) {
    decode(format, row, unit);
    std::byte* p = group + size_t{u} * layout.unit_bytes;
    for (uint32_t b = 0; b < n_blocks; ++b) {
      write_codes(how.codes, unit.code + 32 * b, column, p + b * layout.code_bytes);
    }
    write_scales(how.scales, unit, column, p + n_blocks * layout.code_bytes);
  }
}

void pack_float_column(const std::byte* row, size_t element_bytes, uint32_t k, uint32_t column,
                       std::byte* group) {
  for (uint32_t i = 0; i < k; ++i) {
    std::memcpy(group + (size_t{i} * group_columns + column) * element_bytes,
                row + i * element_bytes, element_bytes);
  }
}

}  // namespace

weight_format format_of(tensor_type type) {
  switch (type) {
    case tensor_type::f32: return weight_format::f32;
    case tensor_type::f16: return weight_format::f16;
    case tensor_type::bf16: return weight_format::bf16;
    case tensor_type::q4_0: return weight_format::q4_0;
    case tensor_type::q4_1: return weight_format::q4_1;
    case tensor_type::q5_0: return weight_format::q5_0;
    case tensor_type::q5_1: return weight_format::q5_1;
    case tensor_type::q8_0: return weight_format::q8_0;
    case tensor_type::q2_k: return weight_format::q2_k;
    case tensor_type::q3_k: return weight_format::q3_k;
    case tensor_type::q4_k: return weight_format::q4_k;
    case tensor_type::q5_k: return weight_format::q5_k;
    case tensor_type::q6_k: return weight_format::q6_k;
    case tensor_type::iq4_nl: return weight_format::iq4_nl;
    case tensor_type::iq4_xs: return weight_format::iq4_xs;
  }
  LLMOS_CHECK(false);
  return weight_format::count_;
}

std::optional<packed_matrix> plan_packing(const tensor_info& t) {
  if (t.dims[0] > UINT32_MAX || t.n_rows() > UINT32_MAX) return std::nullopt;
  packed_matrix m;
  m.format = format_of(t.type);
  m.k = static_cast<uint32_t>(t.dims[0]);
  m.n = static_cast<uint32_t>(t.n_rows());
  const weight_layout layout = layout_of[static_cast<size_t>(m.format)];
  LLMOS_CHECK(m.k % layout.unit_k == 0);
  const auto bytes =
      checked_round_up<uint64_t>(uint64_t{m.k / layout.unit_k} * layout.unit_bytes, 64);
  if (!bytes || !checked_mul<uint64_t>(*bytes, m.n_groups())) return std::nullopt;
  m.group_bytes = *bytes;
  return m;
}

void pack_groups(const tensor_info& t, const packed_matrix& m, uint32_t begin, uint32_t end) {
  const type_info& type = info_of(t.type);
  const size_t row_bytes = size_t{m.k / type.block_elems} * type.block_bytes;
  for (uint32_t group = begin; group < end; ++group) {
    std::byte* out = m.data + group * m.group_bytes;
    for (uint32_t column = 0; column < group_columns; ++column) {
      const uint64_t row = uint64_t{group} * group_columns + column;
      if (row >= m.n) break;  // stays zero: scale 0 makes every code a zero weight
      if (m.is_float()) {
        pack_float_column(t.data + row * row_bytes, type.block_bytes, m.k, column, out);
      } else {
        pack_column(m.format, t.data + row * row_bytes, type.block_bytes, m.k, column, out);
      }
    }
  }
}

}  // namespace llmos::cpu
