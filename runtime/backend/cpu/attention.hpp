#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "runtime/backend/cpu/kernels.hpp"
#include "runtime/backend/cpu/kv_pool.hpp"
#include "runtime/backend/cpu/team.hpp"

namespace llmos::cpu {

/// Causal attention of one step over the paged pool. Queries are cut into tiles of positions
/// aligned to `tile_queries`; a work item is one tile with one KV head, so all query heads of
/// that KV head share what is read. Keys are cut into partitions of 256 counted from position 0;
/// each partition's softmax is computed on its own and partitions are joined in ascending order,
/// so the result does not depend on who computes what. When a step has few tiles (decoding),
/// partitions become items of their own, their partials are kept and joined in a second pass.
class attention {
public:
  /// Errors: out_of_memory.
  static result<std::unique_ptr<attention>> make(const kernel_table& kernels,
                                                 const hyperparameters& hp,
                                                 const backend_limits& limits, uint32_t n_workers);

  /// Cuts a step into items; by one thread, before any worker begins. Allocates nothing.
  void plan(const step_batch& batch);

  /// One worker's part of a layer. `q` is [rows][q_stride]: heads rotated and scaled; `out` is
  /// [rows][n_heads · head_dim]. Contains barriers of `workers`, the last one at its end.
  void run(uint32_t layer, const kv_pool& pool, const float* q, size_t q_stride, float* out,
           team& workers, uint32_t worker);

private:
  static constexpr uint32_t tile_queries = 8;
  static_assert(partition_keys % tile_queries == 0);  // a tile's last partition is the same for all

  /// Queries [first_row, first_row + n_queries) of the batch, at positions first_pos….
  struct tile {
    const sequence_rows* seq;
    uint32_t first_row, n_queries, first_pos;
    uint32_t first_item;  ///< Its items: KV heads, times partitions when split.
    bool is_split;
    size_t partials;  ///< Where its partials begin in split_memory_, when split.
  };
  /// A tile seen by one KV head, whose rows are (query, query head of the KV head).
  struct head_tile {
    const tile* of;
    uint32_t kv_head;
  };
  /// What one layer reads.
  struct layer_view {
    uint32_t layer;
    const kv_pool& pool;
    const float* q;
    size_t q_stride;
  };
  /// Private memory of one worker.
  struct scratch {
    float* scores;  ///< [max_attention_rows][partition_keys]
    float* fresh;   ///< [max_rows()] partials
    float* joined;  ///< [max_rows()] partials
  };

  attention(const kernel_table& kernels, const hyperparameters& hp, const backend_limits& limits,
            uint32_t n_workers);

  uint32_t group() const { return hp_.n_heads / hp_.n_kv_heads; }
  uint32_t max_rows() const { return tile_queries * group(); }
  uint32_t partial_floats() const { return padded_head_dim(hp_) + partial_extra; }
  uint32_t rows_of(const tile& t) const { return t.n_queries * group(); }
  static uint32_t partitions_of(const tile& t) {
    return (t.first_pos + t.n_queries - 1) / partition_keys + 1;
  }
  size_t scratch_floats() const;
  scratch scratch_of(uint32_t worker) const;
  float* split_partials(head_tile t, uint32_t partition) const;

  void add_tiles(const sequence_rows& seq);
  void split_tiles();
  void number_items();

  void run_item(const layer_view& v, uint32_t index, const scratch& s, float* out) const;
  void attend_partition(const layer_view& v, head_tile t, uint32_t partition, const scratch& s,
                        float* partials) const;
  void attend_all(const layer_view& v, head_tile t, const scratch& s) const;
  void join_split(head_tile t) const;
  void write_out(head_tile t, const float* partials, float* out) const;

  const kernel_table& kernels_;
  const hyperparameters hp_;
  const backend_limits limits_;
  const uint32_t n_workers_;
  mapped_memory memory_;
  float* split_memory_ = nullptr;
  size_t split_capacity_ = 0;  ///< In floats.
  std::vector<tile> tiles_;    ///< Capacity for the largest step.
  uint32_t n_items_ = 0;
  bool any_split_ = false;
  std::unique_ptr<std::atomic<uint32_t>[]> next_item_;  ///< [n_layers], reset by plan()
};

}  // namespace llmos::cpu
