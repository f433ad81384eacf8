#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gpu/kernels/attention.hpp"
#include "runtime/backend/backend.hpp"

namespace llmos::gpu {

/// Where each part of a step's inputs stands, in bytes from the beginning of one buffer that a step
/// copies to the device at once. Block tables come last and are as long as the step needs.
struct step_layout {
  step_layout(const backend_limits& limits, uint32_t heads_per_kv);

  size_t header = 0;
  size_t tokens = 0;      ///< int32 [max_rows]
  size_t positions = 0;   ///< uint32 [max_rows]
  size_t blocks = 0;      ///< uint32 [max_rows] the KV block that a row is written to.
  size_t logit_rows = 0;  ///< uint32 [max_logits]
  size_t few_tiles = 0;   ///< attention_tile [max_few_tiles]
  size_t many_tiles = 0;  ///< attention_tile [max_many_tiles]
  size_t tables = 0;      ///< uint32 [num_seqs, table_stride]
  size_t size = 0;        ///< Of all with the longest tables.

  uint32_t queries_per_tile = 0;
  uint32_t max_few_tiles = 0, max_many_tiles = 0;
};

/// Writes a step's inputs to `to` (layout.size bytes) and returns how many bytes count.
/// REQUIRES: validate(batch, limits, …) passed.
size_t write_inputs(const step_batch& batch, const step_layout& layout, uint32_t block_tokens,
                    std::byte* to);

/// Among how many blocks attend_by_keys shares the keys of each tile: as many as keep the device
/// busy, but no more than have four chunks each. `longest` counts positions.
uint32_t splits_for(uint32_t n_tiles, uint32_t n_kv_heads, uint32_t longest, uint32_t n_processors);

/// The largest number of partial results that splits_for leads to.
size_t most_partials(uint32_t max_tiles, uint32_t n_kv_heads, uint32_t n_processors);

}  // namespace llmos::gpu
