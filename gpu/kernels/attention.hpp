#pragma once

#include "gpu/device.hpp"
#include "gpu/kernels/types.hpp"
#include "gpu/kv_layout.hpp"

namespace llmos::gpu {

/// Rows (query, head) that one step of the tensor cores takes.
constexpr uint32_t attention_tile_rows = 16;

/// Queries of one sequence that are computed together, for each KV head: rows (query, head of the
/// group), query by query.
struct attention_tile {
  uint32_t first_row;  ///< Of the batch.
  uint32_t n_queries;  ///< Times heads per KV head at most attention_tile_rows.
  uint32_t first_position;
  uint32_t sequence;  ///< Row of the block tables.
};

/// Numbers of a step that kernels read on the device, so that a graph can be run again with others.
struct step_header {
  uint32_t n_few_tiles;   ///< Tiles of sequences with few queries: attend_by_keys.
  uint32_t n_many_tiles;  ///< Those of the others: attend_by_tiles.
  uint32_t table_stride;  ///< Entries of a block table.
};

/// Attention over pages; all pointers on the device.
struct attention_args {
  const attention_tile* tiles;
  const step_header* header;
  const uint32_t* block_tables;  ///< [·, header->table_stride]
  const f16* q;                  ///< [n_rows, n_heads, kv.dim], scaled by log2(e) / sqrt(head_dim).
  const f16* pool;
  kv_layout kv;
  uint32_t layer;
  uint32_t n_heads, head_dim;
  bf16* out;  ///< [n_rows, out_stride], of which n_heads · head_dim are written.
  uint32_t out_stride;
  float* partials;  ///< [max_tiles, kv heads, n_splits] of attention_partial_values(kv.dim).
};

/// A part of the keys: the rows' outputs [16][dim], maxima [16] and sums [16].
LLMOS_HOST_DEVICE constexpr uint32_t attention_partial_values(uint32_t dim) {
  return attention_tile_rows * (dim + 2);
}

/// dim that the kernels are compiled for, for a head_dim; 0 when it is larger than all of them.
constexpr uint32_t attention_dim(uint32_t head_dim) {
  for (const uint32_t dim : {32u, 64u, 96u, 128u, 192u, 256u}) {
    if (head_dim <= dim) return dim;
  }
  return 0;
}

/// Each tile by one warp, four tiles a block: for prompts, whose tiles are many.
result<void> attend_by_tiles(const attention_args& a, uint32_t max_tiles, stream_handle s);

/// Each tile by n_splits blocks, which share its keys: for single queries with long pasts.
result<void> attend_by_keys(const attention_args& a, uint32_t max_tiles, uint32_t n_splits,
                            stream_handle s);

}  // namespace llmos::gpu
