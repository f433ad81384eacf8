#pragma once

// Integer matmuls of many rows on AMX tiles. Included after kernels_impl.hpp, inside the same
// anonymous namespace. A tile product is the exact integer dot of one block for 16 columns; what
// is done with it in floats is add_scaled, in the order of the vector kernels: the bits are theirs.

/// Rows of a tile; what is left over goes the vector kernels' way.
constexpr uint32_t amx_rows = 16;
/// Blocks of one column group that are unpacked at a time: one super-block, so that they, the
/// activations and the dots fit the first-level cache together.
constexpr uint32_t amx_blocks = 8;
/// Rows and column groups whose sums are kept between two such stretches of k: the rows' inputs of
/// one stretch stay in the first-level cache for all of the groups.
constexpr uint32_t amx_sum_rows = 64;
constexpr uint32_t amx_sum_groups = 8;

/// A stretch of one group as tiles want it: signed codes, scales as floats, half of them unused
/// where a block has only one.
struct unpacked_group {
  alignas(64) int8_t codes[amx_blocks][group_columns * block_k];  // [quad][column][4]
  alignas(64) float scale[amx_blocks][2][group_columns];
  alignas(64) float min[amx_blocks][2][group_columns];
};

template <class F>
inline void unpack_codes(const uint8_t* w, int8_t* out) {
  const auto put = [&](wq quad, int j) {
    _mm512_store_si512(out + 64 * j,
                       _mm512_sub_epi8(quad.v, _mm512_set1_epi8(static_cast<char>(F::zero_point))));
  };
  put(load_quad<F::code, 0>(w), 0);
  put(load_quad<F::code, 1>(w), 1);
  put(load_quad<F::code, 2>(w), 2);
  put(load_quad<F::code, 3>(w), 3);
  put(load_quad<F::code, 4>(w), 4);
  put(load_quad<F::code, 5>(w), 5);
  put(load_quad<F::code, 6>(w), 6);
  put(load_quad<F::code, 7>(w), 7);
}

/// Unit by unit, so that a super-block's scales are read once.
template <class F>
inline void unpack(const uint8_t* unit, uint32_t n_blocks, unpacked_group& out) {
  for (uint32_t first = 0; first < n_blocks; first += F::blocks, unit += F::layout.unit_bytes) {
    const unit_scales<F> scales(unit);
    for (uint32_t b = 0; b < F::blocks; ++b) {
      unpack_codes<F>(unit + b * F::code_bytes, out.codes[first + b]);
      for (uint32_t half = 0; half < (F::halves ? 2 : 1); ++half) {
        fstore(out.scale[first + b][half], scales.scale(b, half));
        if constexpr (F::has_min) fstore(out.min[first + b][half], scales.min(b, half));
      }
    }
  }
}

/// The shapes of the tiles while it lives: 0–3 products, 4 and 5 activations, 6 and 7 weights, of
/// which a product sums `depth`.
class amx_session {
public:
  explicit amx_session(uint32_t depth) {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int i = 0; i < 8; ++i) {
      config.rows[i] = static_cast<uint8_t>(i < 6 ? amx_rows : depth / 4);
      config.row_bytes[i] = static_cast<uint16_t>(i == 4 || i == 5 ? depth : 4 * group_columns);
    }
    // GCC 12 does not see that the instruction reads what is behind the pointer.
    asm volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
  }
  ~amx_session() { _tile_release(); }
  amx_session(const amx_session&) = delete;
  amx_session& operator=(const amx_session&) = delete;
};

/// Part i of a stretch of blocks: a block, or half of one where halves have their own scales.
template <bool Halves>
struct part_of {
  static constexpr uint32_t most = amx_blocks * (Halves ? 2 : 1);
  uint32_t block, half;
  explicit part_of(uint32_t i) : block(Halves ? i / 2 : i), half(Halves ? i % 2 : 0) {}
  const int8_t* weights(const unpacked_group& w) const { return w.codes[block] + 256 * half; }
  /// Of an activation tile over the same blocks.
  act_block<amx_rows> acts(const std::byte* tile) const {
    return {tile + size_t{block} * amx_rows * act_block_bytes};
  }
};

/// Dots of all parts with one tile of rows: [part][row][column].
template <bool Halves>
using tile_dots = int32_t[part_of<Halves>::most][amx_rows][group_columns];

// The intrinsics want the numbers of tiles as literals.
#define LLMOS_TILE_PRODUCT(PART, ROWS, DOTS, ACTS, WEIGHTS)             \
  do {                                                                  \
    const part_of<Halves> p(PART);                                      \
    _tile_zero(DOTS);                                                   \
    _tile_loadd(WEIGHTS, p.weights(w), 64);                             \
    _tile_loadd(ACTS, p.acts(ROWS).codes_of(0) + 16 * p.half, block_k); \
    _tile_dpbssd(DOTS, ACTS, WEIGHTS);                                  \
  } while (false)

/// Begins the first four products with a tile of rows.
template <bool Halves>
inline void begin_products(const unpacked_group& w, uint32_t n_parts, const std::byte* rows) {
  // GCC 12 does not see either that loading a tile reads memory.
  asm volatile("" : : : "memory");
  LLMOS_TILE_PRODUCT(0, rows, 0, 4, 6);
  if (n_parts > 1) LLMOS_TILE_PRODUCT(1, rows, 1, 5, 7);
  if (n_parts > 2) LLMOS_TILE_PRODUCT(2, rows, 2, 4, 6);
  if (n_parts > 3) LLMOS_TILE_PRODUCT(3, rows, 3, 5, 7);
}

#define LLMOS_TILE_TURN(I, DOTS, ACTS, WEIGHTS)                           \
  if ((I) < n_parts) _tile_stored(DOTS, dots[I], sizeof dots[I][0]);      \
  if ((I) + 4 < n_parts) {                                                \
    LLMOS_TILE_PRODUCT((I) + 4, rows, DOTS, ACTS, WEIGHTS);               \
  } else if (is_last_turn && next_rows != nullptr && (I) % 4 < n_parts) { \
    LLMOS_TILE_PRODUCT((I) % 4, next_rows, DOTS, ACTS, WEIGHTS);          \
  }

/// Dots of all parts with a tile of rows, of which the first four have begun; begins those of the
/// next tile. A product takes four times as long as until the next may begin.
template <bool Halves>
inline void multiply_tiles(const unpacked_group& w, uint32_t n_parts, const std::byte* rows,
                           const std::byte* next_rows, tile_dots<Halves>& dots) {
  for (uint32_t i = 0; i < n_parts; i += 4) {
    const bool is_last_turn = i + 4 >= n_parts;
    LLMOS_TILE_TURN(i, 0, 4, 6);
    LLMOS_TILE_TURN(i + 1, 1, 5, 7);
    LLMOS_TILE_TURN(i + 2, 2, 4, 6);
    LLMOS_TILE_TURN(i + 3, 3, 5, 7);
  }
}
#undef LLMOS_TILE_PRODUCT
#undef LLMOS_TILE_TURN

/// Asks for the share of one part in the memory of a stretch: in a burst the requests would hold up
/// everything else.
template <class F>
inline void prefetch_part(const uint8_t* stretch, uint32_t part) {
  constexpr uint32_t line = 64,
                     lines = F::layout.unit_bytes / F::blocks / (F::halves ? 2 : 1) / line;
  for (uint32_t i = 0; i < lines; ++i) __builtin_prefetch(stretch + (part * lines + i) * line);
}

/// Adds one part's dots with a tile of rows.
template <class F>
inline void add_part(const unpacked_group& w, part_of<F::halves> part, const std::byte* rows,
                     const int32_t (&dots)[amx_rows][group_columns], vf (&acc)[amx_rows]) {
  const act_block<amx_rows> act = part.acts(rows);
  const vf scale = fload(w.scale[part.block][part.half]);
  const vf min = F::has_min ? fload(w.min[part.block][part.half]) : scale;
  LLMOS_UNROLL
  for (uint32_t r = 0; r < amx_rows; ++r) {
    const vf dot = to_float({_mm512_load_si512(dots[r])});
    acc[r] = add_scaled<F>(acc[r], dot, scale, min, act, r, part.half);
  }
}

/// Some blocks of every input, and the rows and groups that are computed with them.
struct stretch {
  uint32_t first_block, n_blocks;
  uint32_t first_row, end_row;
};

using group_sums = float[amx_sum_rows][group_columns];

/// Adds a stretch of one group, asking for that at `next` meanwhile. Tile and float work take
/// turns: beside tile instructions the float units of Emerald Rapids run at half speed.
template <class F>
void add_stretch(const matmul_args& x, uint32_t group, const stretch& s, const unpacked_group& w,
                 const uint8_t* next, group_sums& sums) {
  alignas(64) tile_dots<F::halves> dots;
  const bool is_first = s.first_block == 0, is_last = s.first_block + s.n_blocks == x.k / block_k;
  const uint32_t n_parts = F::halves ? 2 * s.n_blocks : s.n_blocks;
  const auto acts_of = [&](uint32_t row) {
    return x.acts + row * act_row_bytes<F>(x.k) +
           size_t{s.first_block} * amx_rows * act_block_bytes;
  };
  begin_products<F::halves>(w, n_parts, acts_of(s.first_row));
  for (uint32_t row = s.first_row; row < s.end_row; row += amx_rows) {
    const std::byte* next_rows = row + amx_rows < s.end_row ? acts_of(row + amx_rows) : nullptr;
    multiply_tiles<F::halves>(w, n_parts, acts_of(row), next_rows, dots);
    float(*const sum)[group_columns] = sums + (row - s.first_row);
    vf acc[amx_rows];
    LLMOS_UNROLL
    for (uint32_t r = 0; r < amx_rows; ++r) acc[r] = is_first ? fset(0.0f) : fload(sum[r]);
    for (uint32_t i = 0; i < n_parts; ++i) {
      if (row == s.first_row) prefetch_part<F>(next, i);
      add_part<F>(w, part_of<F::halves>(i), acts_of(row), dots[i], acc);
    }
    if (is_last) {
      write_rows<amx_rows>(x, group, row, acc);
      continue;
    }
    LLMOS_UNROLL
    for (uint32_t r = 0; r < amx_rows; ++r) fstore(sum[r], acc[r]);
  }
}

/// Length of nearly equal parts of n, each a multiple of `unit` and at most `most`.
constexpr uint32_t even_parts(uint32_t n, uint32_t most, uint32_t unit = 1) {
  const uint32_t parts = (n + most - 1) / most, units = n / unit;
  return (units + parts - 1) / parts * unit;
}

/// Rows [first_row, end_row) of some groups, a stretch of k after the other.
/// REQUIRES: whole tiles, at most amx_sum_rows and amx_sum_groups.
template <class F>
void tiled_groups(const matmul_args& x, uint32_t begin, uint32_t end, uint32_t first_row,
                  uint32_t end_row) {
  alignas(64) unpacked_group w;
  alignas(64) group_sums sums[amx_sum_groups];
  constexpr uint32_t prefetch_bytes = 4096;
  const uint32_t n_blocks = x.k / block_k, length = even_parts(n_blocks, amx_blocks, F::blocks);
  const auto units_at = [&](uint32_t group, uint32_t block) {
    const std::byte* units = x.weights + group * x.group_bytes;
    return reinterpret_cast<const uint8_t*>(units) + block / F::blocks * F::layout.unit_bytes;
  };
  for (uint32_t first = 0; first < n_blocks; first += length) {
    const stretch s{first, n_blocks - first < length ? n_blocks - first : length, first_row,
                    end_row};
    for (uint32_t group = begin; group < end; ++group) {
      const uint8_t* const units = units_at(group, first);
      const bool is_alone = begin + 1 == end;
      const uint8_t* const next = is_alone          ? units + prefetch_bytes
                                  : group + 1 < end ? units_at(group + 1, first)
                                                    : units_at(begin, first + length);
      unpack<F>(units, s.n_blocks, w);
      add_stretch<F>(x, group, s, w, next, sums[group - begin]);
    }
  }
}

template <class F>
void tiled_matmul(const matmul_args& x) {
  const uint32_t tiled = x.rows / amx_rows * amx_rows;
  if (tiled > 0 && x.group_begin < x.group_end) {
    const amx_session session(F::halves ? block_k / 2 : block_k);
    // Few rows wait for the weights, which are read forwards then.
    const uint32_t n_groups =
        tiled <= 32 ? 1 : even_parts(x.group_end - x.group_begin, amx_sum_groups);
    for (uint32_t row = 0; row < tiled; row += amx_sum_rows) {
      const uint32_t end_row = tiled - row < amx_sum_rows ? tiled : row + amx_sum_rows;
      for (uint32_t g = x.group_begin; g < x.group_end; g += n_groups) {
        const uint32_t end = x.group_end - g < n_groups ? x.group_end : g + n_groups;
        tiled_groups<F>(x, g, end, row, end_row);
      }
    }
  }
  for (uint32_t group = x.group_begin; group < x.group_end; ++group) {
    run_tiles<F, amx_rows / 2>(x, group, tiled);
  }
}

/// Floats go the vector kernels' way, in the taller tiles of activations that all share.
template <class F>
struct amx_matmul {
  static void run(const matmul_args& x) {
    if constexpr (__is_base_of(float_weights, F)) {
      matmul<F, amx_rows>(x);
    } else {
      tiled_matmul<F>(x);
    }
  }
};
