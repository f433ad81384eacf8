#include "runtime/backend/cpu/activations.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/base/check.hpp"

namespace llmos::cpu {

act_tile tile_of(uint32_t row, uint32_t rows, uint32_t max_rows) {
  const uint32_t full = rows / max_rows * max_rows;
  if (row < full) return {row / max_rows * max_rows, max_rows};
  uint32_t first = full;
  for (uint32_t size = max_rows / 2; size > 1; size /= 2) {
    if (first + size > rows) continue;
    if (row < first + size) return {first, size};
    first += size;
  }
  return {row, 1};
}

act_panel::act_panel(std::initializer_list<const packed_matrix*> readers) {
  for (const packed_matrix* m : readers) {
    LLMOS_CHECK(k_ == 0 || k_ == m->k);
    k_ = m->k;
    (m->is_float() ? has_floats_ : has_codes_) = true;
  }
}

void act_panel::merge(const act_panel& other) {
  LLMOS_CHECK(k_ == 0 || k_ == other.k_);
  k_ = other.k_;
  has_codes_ |= other.has_codes_;
  has_floats_ |= other.has_floats_;
}

void act_panel::place(std::byte* memory, uint32_t rows) {
  codes_ = memory;
  floats_ = memory + rows * int_row_bytes();
}

void act_panel::put_row(const kernel_table& kernels, const float* x, uint32_t row,
                        uint32_t rows) const {
  const act_tile tile = tile_of(row, rows, kernels.max_rows);
  if (has_codes_) {
    kernels.quantize(x, k_ / block_k, codes_ + tile.first * int_row_bytes(), tile.rows,
                     row - tile.first);
  }
  if (has_floats_) {
    auto* out = reinterpret_cast<float*>(floats_ + tile.first * float_row_bytes());
    for (uint32_t i = 0; i < k_; ++i) out[size_t{i} * tile.rows + row - tile.first] = x[i];
  }
}

void act_panel::put_block(const kernel_table& kernels, const float* x, uint32_t n, uint32_t block,
                          uint32_t row, uint32_t rows) const {
  const act_tile tile = tile_of(row, rows, kernels.max_rows);
  if (has_codes_) {
    kernels.quantize(
        x, 1, codes_ + tile.first * int_row_bytes() + size_t{block} * tile.rows * act_block_bytes,
        tile.rows, row - tile.first);
  }
  if (has_floats_) {
    auto* out = reinterpret_cast<float*>(floats_ + tile.first * float_row_bytes());
    out += size_t{block} * block_k * tile.rows + row - tile.first;
    for (uint32_t i = 0; i < n; ++i) out[size_t{i} * tile.rows] = x[i];
  }
}

void act_panel::rounding_error(const kernel_table& kernels, const float* x, float* error) const {
  LLMOS_CHECK(has_codes_);
  put_row(kernels, x, 0, 1);
  for (uint32_t block = 0; block < k_ / block_k; ++block, x += block_k, error += block_k) {
    const std::byte* p = codes_ + size_t{block} * act_block_bytes;
    const auto* codes = reinterpret_cast<const int8_t*>(p);
    float d;
    std::memcpy(&d, p + block_k, sizeof d);
    for (uint32_t i = 0; i < block_k; ++i) error[i] = x[i] - d * static_cast<float>(codes[i]);
  }
}

const std::byte* act_panel::tiles(const packed_matrix& reader, uint32_t row) const {
  if (reader.is_float()) return floats_ + row * float_row_bytes();
  return codes_ + row * int_row_bytes();
}

}  // namespace llmos::cpu
