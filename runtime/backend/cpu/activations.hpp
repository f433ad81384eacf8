#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "runtime/backend/cpu/kernels.hpp"
#include "runtime/backend/cpu/packed.hpp"

namespace llmos::cpu {

/// The rows of one matmul input, in the form that the matrices reading it want: integer codes
/// (`act_block_bytes`), plain floats [k][tile rows], or both. Rows stand in tiles as the kernels
/// take them: full tiles of `max_rows`, a power of two, then at most one of each smaller power. A
/// panel is a view into scratch memory.
class act_panel {
public:
  act_panel() = default;
  /// An input of `readers`, which agree on k.
  explicit act_panel(std::initializer_list<const packed_matrix*> readers);

  /// Widens the panel to what `other` needs too, so that layers can share memory.
  void merge(const act_panel& other);

  uint32_t k() const { return k_; }
  bool has_codes() const { return has_codes_; }
  size_t bytes(uint32_t rows) const { return rows * (int_row_bytes() + float_row_bytes()); }
  /// Sets where the rows lie: bytes(rows) at `memory`, 64-byte aligned.
  void place(std::byte* memory, uint32_t rows);

  /// Fills row `row` of `rows` from x[k].
  void put_row(const kernel_table& kernels, const float* x, uint32_t row, uint32_t rows) const;
  /// Fills x[n] = inputs [32·block, 32·block + n) of one row. REQUIRES: n ≤ 32; n = 32 for codes.
  void put_block(const kernel_table& kernels, const float* x, uint32_t n, uint32_t block,
                 uint32_t row, uint32_t rows) const;

  /// What quantising loses: error = x - d · codes, [k]. REQUIRES: a panel of codes placed for one
  /// row, which is filled on the way.
  void rounding_error(const kernel_table& kernels, const float* x, float* error) const;

  /// Tiles from row `row` on, for a matrix of that kind. REQUIRES: `row` starts a tile.
  const std::byte* tiles(const packed_matrix& reader, uint32_t row) const;

private:
  size_t int_row_bytes() const { return has_codes_ ? size_t{k_ / block_k} * act_block_bytes : 0; }
  size_t float_row_bytes() const { return has_floats_ ? size_t{k_} * sizeof(float) : 0; }

  uint32_t k_ = 0;
  bool has_codes_ = false;
  bool has_floats_ = false;
  std::byte* codes_ = nullptr;
  std::byte* floats_ = nullptr;
};

/// The tile that row `row` of `rows` falls into.
struct act_tile {
  uint32_t first, rows;
};
act_tile tile_of(uint32_t row, uint32_t rows, uint32_t max_rows);

}  // namespace llmos::cpu
