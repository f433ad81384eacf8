#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gpu/kernels/attention.hpp"
#include "runtime/backend/backend.hpp"

namespace llmos::gpu {

/// Where each part of a step's inputs stands, in bytes from the beginning of one buffer that a step
/// copies to the device. Block tables and adjustments are as long as the step needs.
struct step_layout {
  step_layout(const backend_limits& limits, uint32_t heads_per_kv);

  size_t header = 0;
  size_t tokens = 0;       ///< int32 [max_rows]
  size_t positions = 0;    ///< uint32 [max_rows]
  size_t blocks = 0;       ///< uint32 [max_rows] the KV block that a row is written to.
  size_t logit_rows = 0;   ///< uint32 [max_logits]
  size_t choices = 0;      ///< token_choice [max_logits]
  size_t few_tiles = 0;    ///< attention_tile [max_few_tiles]
  size_t many_tiles = 0;   ///< attention_tile [max_many_tiles]
  size_t tables = 0;       ///< uint32 [num_seqs, table_stride]
  size_t adjustments = 0;  ///< token_adjustment […]
  size_t size = 0;         ///< Of all at their longest.

  uint32_t queries_per_tile = 0;
  uint32_t max_few_tiles = 0, max_many_tiles = 0;
};

/// What decides which kernels a step launches; everything else stands on the device.
struct step_shape {
  uint32_t n_rows = 0;
  uint32_t n_logits = 0;
  uint32_t n_few_tiles = 0, n_many_tiles = 0;
  uint32_t n_splits = 1;  ///< Of the few tiles.
  bool chooses = false;
  bool adjusts = false;  ///< Logits are changed before.

  auto operator<=>(const step_shape&) const = default;
};

/// Steps without long prompts are padded to one of a few sizes, so that one graph serves many.
constexpr uint32_t max_graph_rows = 256;
/// Rows that a step of n_rows is padded to: a power of two, from 32 on a multiple of 16.
uint32_t padded_rows(uint32_t n_rows);

/// Lays out a step's inputs. Allocates nothing once made; used by one thread.
class step_inputs {
public:
  step_inputs(const backend_limits& limits, const hyperparameters& hp, uint32_t n_processors);

  const step_layout& layout() const { return layout_; }

  struct prepared {
    step_shape shape;
    bool repeats = false;           ///< The shape is one of the few.
    size_t n_bytes = 0;             ///< Of the buffer that count, from its beginning
    size_t n_adjustment_bytes = 0;  ///< and from `adjustments` on.
  };
  /// Writes the inputs to `to` (layout().size bytes). Rows and logits that a padded shape has more
  /// than the batch belong to no sequence: their K and V go to block `num_blocks`, which nobody
  /// reads. `choices`: empty, or one for each logit row. REQUIRES: validate() of both passed.
  prepared write(const step_batch& batch, const step_choices& choices, std::byte* to);

private:
  step_shape plan(const step_batch& batch, const step_choices& choices);
  void write_rows(const step_batch& batch, const step_shape& shape, std::byte* to) const;
  size_t write_tables(const step_batch& batch, const step_shape& of_batch, std::byte* to) const;

  const backend_limits limits_;
  const step_layout layout_;
  const uint32_t n_kv_heads_, n_processors_;
  std::vector<attention_tile> few_, many_;
};

/// Among how many blocks attend_by_keys shares the keys of each tile: as many as keep the device
/// busy, but no more than have four chunks each. `longest` counts positions.
uint32_t splits_for(uint32_t n_tiles, uint32_t n_kv_heads, uint32_t longest, uint32_t n_processors);

/// The largest number of partial results that splits_for leads to.
size_t most_partials(uint32_t max_tiles, uint32_t n_kv_heads, uint32_t n_processors);

}  // namespace llmos::gpu
