#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
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
/// partitions become items of their own, and whoever finishes the last of a tile joins them. A
/// partition that several sequences hold in the same blocks is read once for as many of them as a
/// kernel call takes rows: sums are the same, row by row.
class attention {
public:
  /// Bytes of scratch memory that `make` reserves.
  static uint64_t bytes_of(const kernel_table& kernels, const hyperparameters& hp,
                           const backend_limits& limits, uint32_t n_workers);

  /// Errors: out_of_memory.
  static result<std::unique_ptr<attention>> make(const kernel_table& kernels,
                                                 const hyperparameters& hp,
                                                 const backend_limits& limits, uint32_t n_workers);

  /// What one layer reads and writes.
  struct layer_view {
    uint32_t layer;
    const kv_pool& pool;
    const float* q;  ///< [rows][q_stride]: heads rotated and scaled.
    size_t q_stride;
    float* out;  ///< [rows][n_heads · head_dim]
  };

  /// Cuts a step into items. The last layer leaves out the tiles of which no logits are wanted.
  /// Allocates nothing.
  void plan(const step_batch& batch);

  /// Items of a layer, at most staged_work::max_items; called once before they are run.
  uint32_t open(bool is_last_layer);

  /// Runs one item of the layer that was opened.
  void run(const layer_view& v, uint32_t item, uint32_t worker);

private:
  static constexpr uint32_t tile_queries = 8;
  static_assert(partition_keys % tile_queries == 0);  // a tile's last partition is the same for all

  /// Queries [first_row, first_row + n_queries) of the batch, at positions first_pos….
  struct tile {
    const sequence_rows* seq;
    uint32_t first_row, n_queries, first_pos;
    uint32_t first_item = 0;  ///< Its items: KV heads, times its own partitions when split.
    bool is_split = false;
    size_t partials = 0;      ///< Where its partials begin in split_memory_, when split.
    uint32_t num_shared = 0;  ///< Leading partitions that are computed with others'.
  };
  /// Tiles `members[first, end)` of a list, which all hold a partition in the same blocks.
  struct family {
    uint32_t first, end, partition;
  };
  /// A tile seen by one KV head, whose rows are (query, query head of the KV head).
  struct head_tile {
    const tile* of;
    uint32_t kv_head;
  };
  /// Private memory of one worker.
  struct scratch {
    float* scores;       ///< [max_attention_rows][partition_keys]
    std::byte* factors;  ///< As `attention_args` says.
    float* fresh;        ///< [max_rows()] partials
    float* joined;       ///< [max_rows()] partials
  };

  attention(const kernel_table& kernels, const hyperparameters& hp, const backend_limits& limits,
            uint32_t n_workers);
  void reserve();

  /// The tiles of a layer and the items they make.
  struct tile_list {
    // Capacity for the largest step.
    std::vector<tile> tiles;
    std::vector<uint32_t> members;  ///< Tiles by number: those that may share, then of families.
    std::vector<family> families;   ///< As large as they are.
    /// Parts of families whose rows are computed at once. Their items, one for each KV head, come
    /// before those of the tiles.
    std::vector<family> calls;
    uint32_t n_items = 0;
    size_t split_used = 0;  ///< Floats of split_memory_.
    bool any_split = false;
  };

  uint32_t group() const { return hp_.n_heads / hp_.n_kv_heads; }
  uint32_t max_rows() const { return tile_queries * group(); }
  uint32_t max_partitions() const { return (limits_.max_context - 1) / partition_keys + 1; }
  uint32_t partial_floats() const { return padded_head_dim(hp_) + partial_extra; }
  uint32_t rows_of(const tile& t) const { return t.n_queries * group(); }
  static uint32_t partitions_of(const tile& t) {
    return (t.first_pos + t.n_queries - 1) / partition_keys + 1;
  }
  size_t score_floats() const { return size_t{kernels_.max_attention_rows} * partition_keys; }
  size_t factor_floats() const;
  size_t scratch_floats() const;
  size_t split_floats() const;
  uint64_t bytes() const {
    return (scratch_floats() * n_workers_ + split_floats()) * sizeof(float);
  }
  scratch scratch_of(uint32_t worker) const;
  float* split_partials(head_tile t, uint32_t partition) const;

  void add_tiles(const sequence_rows& seq);
  void keep_for_logits(std::span<const uint32_t> logit_rows);
  uint32_t max_call_rows() const { return std::min(kernels_.max_attention_rows, max_rows()); }
  bool can_share(const tile& t, uint32_t partition) const;
  bool same_blocks(const tile& a, const tile& b, uint32_t partition) const;
  bool split(tile_list& list, tile& t) const;
  void share_partitions(tile_list& list) const;
  void find_families(tile_list& list, family among) const;
  void keep_with_memory(tile_list& list, uint32_t first) const;
  void add_calls(tile_list& list, uint32_t first, uint32_t partition) const;
  void split_tiles(tile_list& list) const;
  void number_items(tile_list& list) const;

  void run_part(const layer_view& v, uint32_t part, const scratch& s);
  void run_shared(const layer_view& v, uint32_t part, const scratch& s);
  void end_partition(const layer_view& v, head_tile t);
  attention_args args_for(const layer_view& v, head_tile t, uint32_t partition, const scratch& s,
                          const std::byte** blocks) const;
  const float* query_of(const layer_view& v, head_tile t, uint32_t row) const;
  void attend_partition(const layer_view& v, head_tile t, uint32_t partition, const scratch& s,
                        float* partials) const;
  void attend_shared(const layer_view& v, const family& call, uint32_t kv_head,
                     const scratch& s) const;
  void attend_all(const layer_view& v, head_tile t, const scratch& s) const;
  void join_split(head_tile t) const;
  void write_out(head_tile t, const float* partials, float* out) const;

  const kernel_table& kernels_;
  const kv_kernels& kv_kernels_;
  const hyperparameters hp_;
  const backend_limits limits_;
  const uint32_t n_workers_;
  mapped_memory memory_;
  float* split_memory_ = nullptr;  ///< [split_floats()]
  tile_list all_, for_logits_;
  const tile_list* open_ = nullptr;  ///< Of the layer being run.
  /// Partitions of a split tile that are still to do, [tile][kv head].
  std::unique_ptr<std::atomic<uint32_t>[]> pending_;
};

}  // namespace llmos::cpu
