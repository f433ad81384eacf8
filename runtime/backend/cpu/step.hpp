#pragma once

#include <memory>
#include <vector>

#include "runtime/backend/backend.hpp"
#include "runtime/backend/cpu/activations.hpp"
#include "runtime/backend/cpu/attention.hpp"
#include "runtime/backend/cpu/kernels.hpp"
#include "runtime/backend/cpu/kv_pool.hpp"
#include "runtime/backend/cpu/team.hpp"
#include "runtime/backend/cpu/weights.hpp"

namespace llmos::cpu {

/// One step of a model as work for a team. Stages of a layer, of which a single row needs five:
///
///   norm_attn   x → normed, quantised panel            many rows only
///   qkv         panel → Q, K, V; norms, rotates, writes K and V into their blocks
///   attend      Q, blocks → attended
///   pack_out    attended → panel                       many rows only
///   out         x += wo · panel
///   norm_ffn    x → normed, quantised panel            many rows only
///   gate_up     panel → silu(gate) · up, quantised for down
///   down        x += down · panel
///
/// A single row is normed and quantised by every worker for itself, which costs less than a stage.
/// After the last attention only rows that become logits go on. The head reads each of them twice,
/// as codes and as what those codes miss: what is lost there goes straight into the logits, and a
/// second row costs next to nothing where the weights must come from memory anyway. Items of a
/// matmul are parts of the columns times ranges of rows whose inputs fit the second-level cache.
class step final : public staged_work {
public:
  /// What all steps of a backend read. Outlives the step.
  struct parts {
    const model& m;
    const model_weights& weights;
    const kv_pool& pool;
    const kernel_table& kernels;
    const backend_limits& limits;
    uint32_t n_workers;
  };
  /// Bytes of memory that `make` would take. Reads of the weights only what is planned, of the pool
  /// nothing.
  static uint64_t bytes_of(const parts& p);

  /// Errors: out_of_memory.
  static result<std::unique_ptr<step>> make(const parts& p);

  /// Takes up a batch, which must outlive the run. Allocates nothing.
  void plan(const step_batch& batch);
  /// [num_logits, n_vocab] of the batch that was run last.
  const float* logits() const { return logits_; }

  uint32_t n_stages() const override;
  uint32_t n_items(uint32_t stage) override;
  void run(uint32_t stage, uint32_t item, uint32_t worker) override;

private:
  enum class kind : uint8_t {
    embed,  // once, before the layers
    norm_attn,
    qkv,
    attend,
    pack_out,
    out,
    norm_ffn,
    gate_up,
    down,
    norm_head,  // once, after them
    head,
  };
  static constexpr uint32_t kinds_per_layer = 8;
  static constexpr uint32_t max_rows_per_item = 256;
  /// The columns of gate and up come in whole blocks of the next matmul's input; so many of them
  /// and rows are computed before they are passed on.
  static constexpr uint32_t ffn_unit = block_k, ffn_units = 4, ffn_rows = 64;
  /// A worker's room for results that it passes on at once.
  static constexpr uint32_t tile_floats = 2 * ffn_rows * ffn_units * ffn_unit;
  struct place {
    kind what;
    uint32_t layer;
  };

  /// The items of a matmul stage: `n_ranges` ranges of rows times `n_parts` parts of the units.
  struct grid {
    uint32_t rows = 0, row_step = 1, n_ranges = 0;
    uint32_t units = 0, n_parts = 0;
    uint32_t items() const { return n_ranges * n_parts; }
  };
  struct row_range {
    uint32_t first, n;
  };
  struct cell {
    row_range rows;
    share units;
  };
  /// Some heads of Q, K or V whose columns are whole groups: the unit of the qkv stage.
  struct head_unit {
    enum class of : uint8_t { q, k, v } matrix;
    uint32_t first_head, n_heads;
  };

  /// Where each buffer begins in the mapping of all scratch memory, in bytes.
  struct layout {
    uint64_t x, last, qkv, attended, logits, panel, down, own, worker_rows, end;
  };

  explicit step(const parts& p);
  size_t widest_panel(uint32_t rows, uint32_t head_rows) const;
  layout lay_out() const;
  result<void> allocate();
  void list_head_units();

  uint32_t q_width() const { return hp_.n_heads * hp_.head_dim; }
  uint32_t kv_width() const { return hp_.n_kv_heads * hp_.head_dim; }
  uint32_t qkv_width() const { return q_width() + 2 * kv_width(); }
  uint32_t n_rows() const { return static_cast<uint32_t>(batch_->tokens.size()); }
  uint32_t n_logits() const { return static_cast<uint32_t>(batch_->logit_rows.size()); }
  bool is_last(uint32_t layer) const { return layer + 1 == hp_.n_layers; }
  /// Rows after the attention of a layer: all, or those that become logits.
  uint32_t rows_after(uint32_t layer) const { return is_last(layer) ? n_logits() : n_rows(); }
  uint32_t source_row(uint32_t layer, uint32_t row) const {
    return is_last(layer) ? batch_->logit_rows[row] : row;
  }
  /// Where a layer leaves its result, [rows_after(layer)][n_embd].
  float* residual(uint32_t layer) const { return is_last(layer) ? last_ : x_; }

  place place_of(uint32_t stage) const;
  grid make_grid(const act_panel& in, uint32_t rows, uint32_t units) const;
  cell cell_of(uint32_t item) const;
  uint32_t rows_per_item(const act_panel& in, uint32_t rows) const;

  void embed(uint32_t item);
  void project_qkv(const layer_weights& w, uint32_t layer, const act_panel& in, cell c) const;
  void place_heads(const layer_weights& w, uint32_t layer, head_unit u, row_range rows) const;
  void place_head(const layer_weights& w, uint32_t layer, head_unit::of matrix, uint32_t head,
                  uint32_t row) const;
  void rotate(float* head, uint32_t pos) const;
  void project_out(const layer_weights& w, uint32_t layer, const act_panel& in, cell c) const;
  void gate_up(const layer_weights& w, const act_panel& in, cell c, uint32_t worker) const;
  void gate_up_part(const layer_weights& w, const act_panel& in, cell c, uint32_t worker) const;
  void norm_head(uint32_t item, uint32_t worker) const;
  void head(cell c, uint32_t worker) const;
  void add_terms(const float* terms, size_t stride, row_range rows, share groups) const;

  act_panel panel(const act_panel& shape, std::byte* memory, uint32_t rows) const;
  /// Puts the rows of item `item` into a panel of `rows` rows.
  template <class RowOf>
  void fill(const act_panel& in, uint32_t rows, uint32_t item, RowOf row_of) const;
  /// The panel of a stage's input: filled by the stage before, or a single row by each worker.
  template <class RowOf>
  act_panel input(const act_panel& shape, uint32_t rows, uint32_t stage, uint32_t worker,
                  RowOf row_of);
  float* worker_row(uint32_t worker) const { return worker_rows_ + worker * worker_floats_; }
  float* worker_tile(uint32_t worker) const { return worker_row(worker + 1) - tile_floats; }
  const float* normed(const float* x, const std::vector<float>& norm, uint32_t worker) const;

  void multiply(const packed_matrix& m, const act_panel& in, row_range rows, share groups,
                float* out, size_t out_stride, const std::vector<float>& bias,
                bool accumulate) const;

  const parts p_;
  const hyperparameters hp_;
  const kernel_table& kernels_;
  const kv_kernels& kv_kernels_;
  /// Rows that one item norms or quantises; whole tiles, so that no cache line has two writers.
  const uint32_t rows_per_fill_;
  rope_table rope_;
  std::unique_ptr<attention> attention_;
  std::vector<head_unit> head_units_;

  // What each input of a layer must hold; the widest of all layers decides the memory.
  act_panel attn_in_, out_in_, ffn_in_, down_in_, head_in_;
  uint32_t head_terms_ = 1;  // rows of the head's input for each row of logits

  mapped_memory memory_;
  float* x_ = nullptr;          // [max_rows][n_embd], the residual stream
  float* last_ = nullptr;       // [max_logits][n_embd], what is left of it after the last attention
  float* qkv_ = nullptr;        // [max_rows][qkv_width]
  float* attended_ = nullptr;   // [max_rows][q_width]
  float* logits_ = nullptr;     // [max_logits][n_vocab]
  std::byte* panel_ = nullptr;  // input of the next matmul, any but down's
  std::byte* down_panel_ = nullptr;
  std::byte* own_panels_ = nullptr;  // one row of the same for each worker
  size_t own_panel_bytes_ = 0;
  // Per worker: a row, then the results of a tile (gate and up of an ffn unit, or logits), or
  // what the codes of a row miss.
  float* worker_rows_ = nullptr;
  size_t worker_floats_ = 0;

  // The batch being run.
  const step_batch* batch_ = nullptr;
  std::vector<uint32_t> seq_of_row_;
  grid grid_;                         // of the open stage
  std::vector<uint32_t> own_filled_;  // per worker: the stage that its own panel was filled for
};

}  // namespace llmos::cpu
