#include "runtime/backend/cpu/cpu_backend.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "runtime/backend/cpu/activations.hpp"
#include "runtime/backend/cpu/attention.hpp"
#include "runtime/backend/cpu/cpu_count.hpp"
#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/backend/cpu/kv_pool.hpp"
#include "runtime/backend/cpu/team.hpp"
#include "runtime/backend/cpu/weights.hpp"
#include "runtime/base/checked.hpp"

namespace llmos {

namespace {

using namespace cpu;

/// Rows of one matmul call: their inputs should stay in the second-level cache.
constexpr size_t panel_bytes_per_call = 256 << 10;
/// Gate and up are computed 32 columns at a time, a whole block of the next matmul's input.
constexpr uint32_t ffn_unit = block_k;
constexpr uint32_t ffn_groups = ffn_unit / group_columns;

/// Some rows of a step: those of a list, or without one the first n.
struct row_list {
  const uint32_t* list;
  uint32_t n;
  uint32_t operator[](uint32_t i) const { return list != nullptr ? list[i] : i; }
};
/// Rows [first, first + n) of `all` rows of a panel.
struct row_range {
  uint32_t first, n, all;
};

/// A step is one job of the team (run_step): all workers walk through the layers together, each
/// takes its share of every stage, and barriers stand between stages. Shares are by columns for
/// matmuls and by rows for what works on rows.
class cpu_backend final : public backend {
public:
  static result<std::unique_ptr<backend>> make(std::shared_ptr<const model> m,
                                               const backend_limits& limits);

  const backend_info& info() const override { return info_; }
  const backend_limits& limits() const override { return limits_; }
  result<std::span<const float>> forward(const step_batch& batch) override;
  result<void> copy_blocks(std::span<const block_id> from, std::span<const block_id> to) override;

private:
  cpu_backend(std::shared_ptr<const model> m, const backend_limits& limits,
              const kernel_table& kernels)
      : model_(std::move(m)), hp_(model_->hp), limits_(limits), kernels_(kernels) {}

  result<void> allocate();
  result<void> carve_buffers();
  void describe();

  uint32_t q_width() const { return hp_.n_heads * hp_.head_dim; }
  uint32_t kv_width() const { return hp_.n_kv_heads * hp_.head_dim; }
  uint32_t qkv_width() const { return q_width() + 2 * kv_width(); }

  void run_step(const step_batch& batch, uint32_t worker);
  void embed(const step_batch& batch, uint32_t worker);
  void project_qkv(const layer_weights& w, uint32_t n_rows, uint32_t worker);
  void place_in_context(const layer_weights& w, uint32_t layer, const step_batch& batch,
                        uint32_t worker);
  void place_head(const layer_weights& w, uint32_t layer, const sequence_rows& seq, uint32_t row,
                  uint32_t head);
  void rotate(float* head, uint32_t pos) const;
  void project_out(const layer_weights& w, row_list rows, uint32_t worker);
  void feed_forward(const layer_weights& w, uint32_t n_rows, uint32_t worker);
  void activate(const layer_weights& w, const act_panel& in, const act_panel& out, row_range rows,
                uint32_t unit, uint32_t worker);
  void compute_logits(uint32_t n, uint32_t worker);

  template <class RowOf>
  act_panel fill(const act_panel& shape, std::byte* memory, uint32_t rows, uint32_t worker,
                 RowOf row_of);
  template <class RowOf>
  act_panel fill_normed(const act_panel& shape, const std::vector<float>& norm, uint32_t rows,
                        uint32_t worker, RowOf row_of);
  void multiply(const packed_matrix& m, const act_panel& in, uint32_t first_row, uint32_t n_rows,
                share groups, float* out, size_t out_stride, const std::vector<float>& bias,
                bool accumulate) const;
  void multiply_all_rows(const packed_matrix& m, const act_panel& in, uint32_t n_rows, share groups,
                         float* out, size_t out_stride, const std::vector<float>& bias,
                         bool accumulate) const;
  uint32_t rows_per_call(const act_panel& in) const;

  std::shared_ptr<const model> model_;
  const hyperparameters hp_;
  const backend_limits limits_;
  const kernel_table& kernels_;
  backend_info info_;
  rope_table rope_;
  std::unique_ptr<team> team_;
  model_weights weights_;
  kv_pool pool_;
  std::unique_ptr<attention> attention_;

  // What each input of a layer must hold; the widest of all layers decides the memory.
  act_panel attn_in_, attn_out_in_, ffn_in_, down_in_, head_in_;

  mapped_memory memory_;
  float* x_ = nullptr;          // [max_rows][n_embd], the residual stream
  float* qkv_ = nullptr;        // [max_rows][qkv_width]
  float* attended_ = nullptr;   // [max_rows][q_width]
  float* logits_ = nullptr;     // [max_logits][n_vocab]
  std::byte* panel_ = nullptr;  // input of the next matmul, any but down's
  std::byte* down_panel_ = nullptr;
  float* worker_rows_ = nullptr;  // per worker: one normed row, gate and up of one ffn unit
  size_t worker_floats_ = 0;
};

constexpr uint32_t ffn_rows_per_call = 128;

// ---- construction ---------------------------------------------------------------------------

result<std::unique_ptr<backend>> cpu_backend::make(std::shared_ptr<const model> m,
                                                   const backend_limits& limits) {
  LLMOS_TRY(const kernel_table* kernels, choose_kernels());
  std::unique_ptr<cpu_backend> out(new cpu_backend(std::move(m), limits, *kernels));
  LLMOS_TRY_VOID(out->allocate());
  out->describe();
  return std::unique_ptr<backend>(std::move(out));
}

result<void> cpu_backend::allocate() {
  const uint32_t n_threads = limits_.num_threads != 0 ? limits_.num_threads : usable_cpus();
  LLMOS_TRY(team_, team::make(n_threads));
  LLMOS_TRY(pool_, kv_pool::make(hp_, limits_));
  LLMOS_TRY(weights_, pack_weights(*model_, *team_));
  LLMOS_TRY(attention_, attention::make(kernels_, hp_, limits_, n_threads));
  rope_ = make_rope_table(*model_, limits_.max_context);
  return carve_buffers();
}

/// One mapping for all scratch memory, each buffer 64-byte aligned.
result<void> cpu_backend::carve_buffers() {
  for (const layer_weights& w : weights_.layers) {
    attn_in_.merge(act_panel{&w.wq, &w.wk, &w.wv});
    attn_out_in_.merge(act_panel{&w.wo});
    ffn_in_.merge(act_panel{&w.gate, &w.up});
    down_in_.merge(act_panel{&w.down});
  }
  head_in_ = act_panel{&weights_.output};

  // A single row is prepared by every worker for itself: rows + workers.
  const uint32_t n_workers = team_->size();
  const uint32_t rows = limits_.max_rows, panel_rows = rows + n_workers;
  const uint32_t head_rows = limits_.max_logits + n_workers;
  const size_t panel_bytes = std::max({attn_in_.bytes(panel_rows), attn_out_in_.bytes(panel_rows),
                                       ffn_in_.bytes(panel_rows), head_in_.bytes(head_rows)});
  worker_floats_ = (size_t{std::max(hp_.n_embd, q_width())} + 15) / 16 * 16 +
                   2 * size_t{ffn_rows_per_call} * ffn_unit;
  uint64_t total = 0;
  const auto reserve = [&](uint64_t bytes) {
    const uint64_t at = total;
    total += (bytes + 63) / 64 * 64;
    return at;
  };
  const uint64_t x = reserve(uint64_t{rows} * hp_.n_embd * sizeof(float));
  const uint64_t qkv = reserve(uint64_t{rows} * qkv_width() * sizeof(float));
  const uint64_t attended = reserve(uint64_t{rows} * q_width() * sizeof(float));
  const uint64_t logits = reserve(uint64_t{limits_.max_logits} * hp_.n_vocab * sizeof(float));
  const uint64_t panel = reserve(panel_bytes + uint64_t{n_workers} * 64);
  const uint64_t down = reserve(down_in_.bytes(panel_rows));
  const uint64_t worker_rows = reserve(uint64_t{n_workers} * worker_floats_ * sizeof(float));
  LLMOS_TRY(memory_, mapped_memory::make(total, "activations"));
  const auto floats_at = [&](uint64_t at) { return reinterpret_cast<float*>(memory_.data() + at); };
  x_ = floats_at(x);
  qkv_ = floats_at(qkv);
  attended_ = floats_at(attended);
  logits_ = floats_at(logits);
  panel_ = memory_.data() + panel;
  down_panel_ = memory_.data() + down;
  worker_rows_ = floats_at(worker_rows);
  return {};
}

void cpu_backend::describe() {
  const uint32_t n = team_->size();
  info_.name = "cpu";
  info_.device = std::to_string(n) + (n == 1 ? " thread, " : " threads, ") + kernels_.name;
  info_.numerics = "cpu-int8-v1/f16kv";
  info_.weight_bytes = weights_.memory.size();
  info_.kv_bytes = pool_.size_bytes();
}

// ---- a step ---------------------------------------------------------------------------------

result<std::span<const float>> cpu_backend::forward(const step_batch& batch) {
  LLMOS_TRY_VOID(validate(batch, limits_, hp_.n_vocab));
  attention_->plan(batch);
  team_->run([&](uint32_t worker) { run_step(batch, worker); });
  return std::span<const float>(logits_, batch.logit_rows.size() * hp_.n_vocab);
}

result<void> cpu_backend::copy_blocks(std::span<const block_id> from,
                                      std::span<const block_id> to) {
  LLMOS_TRY_VOID(validate_copy(from, to, limits_));
  for (size_t i = 0; i < from.size(); ++i) pool_.copy(from[i], to[i]);
  return {};
}

void cpu_backend::run_step(const step_batch& batch, uint32_t worker) {
  embed(batch, worker);
  const auto all = static_cast<uint32_t>(batch.tokens.size());
  for (uint32_t layer = 0; layer < hp_.n_layers; ++layer) {
    const layer_weights& w = weights_.layers[layer];
    project_qkv(w, all, worker);
    team_->barrier();
    place_in_context(w, layer, batch, worker);
    team_->barrier();
    attention_->run(layer, pool_, qkv_, qkv_width(), attended_, *team_, worker);
    // After the last attention only the rows that become logits matter; they move to the front.
    const bool is_last = layer + 1 == hp_.n_layers;
    const row_list rows{is_last ? batch.logit_rows.data() : nullptr,
                        is_last ? static_cast<uint32_t>(batch.logit_rows.size()) : all};
    if (rows.n == 0) return;
    project_out(w, rows, worker);
    team_->barrier();
    feed_forward(w, rows.n, worker);
    team_->barrier();
  }
  compute_logits(static_cast<uint32_t>(batch.logit_rows.size()), worker);
}

void cpu_backend::embed(const step_batch& batch, uint32_t worker) {
  const tensor_info& t = *model_->token_embd;
  const type_info& type = info_of(t.type);
  const size_t row_bytes = hp_.n_embd / type.block_elems * type.block_bytes;
  const share part = share_of(static_cast<uint32_t>(batch.tokens.size()), worker, team_->size());
  for (uint32_t row = part.begin; row < part.end; ++row) {
    dequantize(t.type, t.data + static_cast<size_t>(batch.tokens[row]) * row_bytes,
               {x_ + size_t{row} * hp_.n_embd, hp_.n_embd});
  }
  team_->barrier();
}

/// Puts row_of(row) into a panel. Many rows are shared out and a barrier follows; a single one is
/// prepared by every worker for itself, which is cheaper than waiting.
template <class RowOf>
act_panel cpu_backend::fill(const act_panel& shape, std::byte* memory, uint32_t rows,
                            uint32_t worker, RowOf row_of) {
  act_panel out = shape;
  if (rows == 1) {
    const size_t stride = (shape.bytes(1) + 63) / 64 * 64;
    out.place(memory + worker * stride, 1);
    out.put_row(kernels_, row_of(0), 0, 1);
    return out;
  }
  out.place(memory, rows);
  const share part = share_of(rows, worker, team_->size());
  for (uint32_t row = part.begin; row < part.end; ++row) {
    out.put_row(kernels_, row_of(row), row, rows);
  }
  team_->barrier();
  return out;
}

template <class RowOf>
act_panel cpu_backend::fill_normed(const act_panel& shape, const std::vector<float>& norm,
                                   uint32_t rows, uint32_t worker, RowOf row_of) {
  float* normed = worker_rows_ + worker * worker_floats_;
  return fill(shape, panel_, rows, worker, [&](uint32_t row) {
    kernels_.rms_norm(row_of(row), norm.data(), hp_.n_embd, hp_.rms_eps, normed);
    return normed;
  });
}

/// Rows whose inputs fit the cache together: whole tiles.
uint32_t cpu_backend::rows_per_call(const act_panel& in) const {
  const auto rows = static_cast<uint32_t>(panel_bytes_per_call / std::max<size_t>(1, in.bytes(1)));
  return std::max(rows / kernels_.max_rows, 1u) * kernels_.max_rows;
}

/// out[row][column] for rows from `first_row`, which starts a tile, and the columns of `groups`.
void cpu_backend::multiply(const packed_matrix& m, const act_panel& in, uint32_t first_row,
                           uint32_t n_rows, share groups, float* out, size_t out_stride,
                           const std::vector<float>& bias, bool accumulate) const {
  matmul_args x{};
  x.weights = m.data;
  x.group_bytes = m.group_bytes;
  x.k = m.k;
  x.n = m.n;
  x.group_begin = groups.begin;
  x.group_end = groups.end;
  x.acts = in.tiles(m, first_row);
  x.rows = n_rows;
  x.out = out;
  x.out_stride = out_stride;
  x.bias = bias.empty() ? nullptr : bias.data();
  x.accumulate = accumulate;
  kernels_.matmul[static_cast<size_t>(m.format)](x);
}

/// `out` is column 0 of row 0.
void cpu_backend::multiply_all_rows(const packed_matrix& m, const act_panel& in, uint32_t n_rows,
                                    share groups, float* out, size_t out_stride,
                                    const std::vector<float>& bias, bool accumulate) const {
  const uint32_t step = rows_per_call(in);
  for (uint32_t row = 0; row < n_rows; row += step) {
    multiply(m, in, row, std::min(step, n_rows - row), groups,
             out + row * out_stride + size_t{groups.begin} * group_columns, out_stride, bias,
             accumulate);
  }
}

/// One share over the columns of all three, so that small ones do not leave workers idle.
void cpu_backend::project_qkv(const layer_weights& w, uint32_t n_rows, uint32_t worker) {
  const act_panel in = fill_normed(attn_in_, w.attn_norm, n_rows, worker,
                                   [&](uint32_t row) { return x_ + size_t{row} * hp_.n_embd; });
  const share all =
      share_of(w.wq.n_groups() + w.wk.n_groups() + w.wv.n_groups(), worker, team_->size());
  uint32_t first = 0;
  float* out = qkv_;
  for (const auto& [m, bias] : {std::pair{&w.wq, &w.bq}, {&w.wk, &w.bk}, {&w.wv, &w.bv}}) {
    const uint32_t n = m->n_groups();
    const share mine{std::clamp(all.begin, first, first + n) - first,
                     std::clamp(all.end, first, first + n) - first};
    if (mine.begin < mine.end) {
      multiply_all_rows(*m, in, n_rows, mine, out, qkv_width(), *bias, false);
    }
    first += n;
    out += m->n;
  }
}

/// Norms and rotates Q and K, scales Q, and writes K and V into their blocks; shared out by
/// (row, head), so that a single row also has work for everybody.
void cpu_backend::place_in_context(const layer_weights& w, uint32_t layer, const step_batch& batch,
                                   uint32_t worker) {
  const uint32_t heads = hp_.n_heads + hp_.n_kv_heads;
  const auto n_rows = static_cast<uint32_t>(batch.tokens.size());
  const share part = share_of(n_rows * heads, worker, team_->size());
  size_t seq = 0;
  for (uint32_t i = part.begin; i < part.end; ++i) {
    const uint32_t row = i / heads;
    while (row >= batch.seqs[seq].first_row + batch.seqs[seq].num_rows) ++seq;
    place_head(w, layer, batch.seqs[seq], row, i % heads);
  }
}

void cpu_backend::place_head(const layer_weights& w, uint32_t layer, const sequence_rows& seq,
                             uint32_t row, uint32_t head) {
  const uint32_t pos = seq.num_past + row - seq.first_row;
  float* x = qkv_ + row * size_t{qkv_width()} + size_t{head} * hp_.head_dim;
  const bool is_q = head < hp_.n_heads;
  const std::vector<float>& norm = is_q ? w.q_norm : w.k_norm;
  if (!norm.empty()) kernels_.rms_norm(x, norm.data(), hp_.head_dim, hp_.rms_eps, x);
  rotate(x, pos);
  if (is_q) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(hp_.head_dim));
    for (uint32_t d = 0; d < hp_.head_dim; ++d) x[d] *= scale;
    return;
  }
  const uint32_t slot = pos % limits_.block_tokens;
  uint16_t* k = pool_.head(seq.blocks[pos / limits_.block_tokens], layer, head - hp_.n_heads);
  uint16_t* v = k + size_t{hp_.head_dim} * limits_.block_tokens;
  kernels_.append_kv(x, x + kv_width(), hp_.head_dim, limits_.block_tokens, k + slot,
                     v + size_t{slot} * padded_head_dim(hp_));
}

void cpu_backend::rotate(float* head, uint32_t pos) const {
  const uint32_t n = rope_.n_pairs;
  const float* cos = rope_.cos.data() + size_t{pos} * n;
  const float* sin = rope_.sin.data() + size_t{pos} * n;
  const bool interleaved = hp_.rope == rope_style::interleaved;
  for (uint32_t i = 0; i < n; ++i) {
    float& a = head[interleaved ? 2 * i : i];
    float& b = head[interleaved ? 2 * i + 1 : i + n];
    const float turned = a * cos[i] - b * sin[i];
    b = a * sin[i] + b * cos[i];
    a = turned;
  }
}

/// x[i] = x[rows[i]] + wo · attended[rows[i]]. A worker moves the columns of x that it adds to.
void cpu_backend::project_out(const layer_weights& w, row_list rows, uint32_t worker) {
  const act_panel in = fill(attn_out_in_, panel_, rows.n, worker,
                            [&](uint32_t i) { return attended_ + rows[i] * size_t{q_width()}; });
  const share groups = share_of(w.wo.n_groups(), worker, team_->size());
  const uint32_t begin = groups.begin * group_columns;
  const uint32_t end = std::min(groups.end * group_columns, hp_.n_embd);
  for (uint32_t i = 0; i < rows.n; ++i) {
    if (rows[i] == i) continue;
    const float* from = x_ + rows[i] * size_t{hp_.n_embd};
    std::copy(from + begin, from + end, x_ + i * size_t{hp_.n_embd} + begin);
  }
  multiply_all_rows(w.wo, in, rows.n, groups, x_, hp_.n_embd, w.bo, true);
}

void cpu_backend::feed_forward(const layer_weights& w, uint32_t n_rows, uint32_t worker) {
  const act_panel in = fill_normed(ffn_in_, w.ffn_norm, n_rows, worker,
                                   [&](uint32_t row) { return x_ + size_t{row} * hp_.n_embd; });
  const share units = share_of(ceil_div(hp_.n_ff, ffn_unit), worker, team_->size());
  const uint32_t step = std::min(rows_per_call(in), ffn_rows_per_call);
  act_panel activated = down_in_;
  activated.place(down_panel_, n_rows);
  for (uint32_t row = 0; row < n_rows; row += step) {
    for (uint32_t unit = units.begin; unit < units.end; ++unit) {
      activate(w, in, activated, {row, std::min(step, n_rows - row), n_rows}, unit, worker);
    }
  }
  team_->barrier();
  multiply_all_rows(w.down, activated, n_rows, share_of(w.down.n_groups(), worker, team_->size()),
                    x_, hp_.n_embd, {}, true);
}

/// 32 columns of silu(gate) · up for some rows, straight into the input panel of `down`.
void cpu_backend::activate(const layer_weights& w, const act_panel& in, const act_panel& out,
                           row_range rows, uint32_t unit, uint32_t worker) {
  float* up = worker_rows_ + (worker + 1) * worker_floats_ - size_t{ffn_rows_per_call} * ffn_unit;
  float* gate = up - size_t{ffn_rows_per_call} * ffn_unit;
  const share groups{unit * ffn_groups, std::min((unit + 1) * ffn_groups, w.gate.n_groups())};
  multiply(w.gate, in, rows.first, rows.n, groups, gate, ffn_unit, {}, false);
  multiply(w.up, in, rows.first, rows.n, groups, up, ffn_unit, {}, false);
  const uint32_t width = std::min(ffn_unit, hp_.n_ff - unit * ffn_unit);
  for (uint32_t r = 0; r < rows.n; ++r, gate += ffn_unit, up += ffn_unit) {
    kernels_.silu_mul(gate, up, width, gate);
    out.put_block(kernels_, gate, width, unit, rows.first + r, rows.all);
  }
}

/// The head, for the rows that the last layer left in front.
void cpu_backend::compute_logits(uint32_t n, uint32_t worker) {
  const act_panel in = fill_normed(head_in_, weights_.output_norm, n, worker,
                                   [&](uint32_t row) { return x_ + size_t{row} * hp_.n_embd; });
  const packed_matrix& m = weights_.output;
  multiply_all_rows(m, in, n, share_of(m.n_groups(), worker, team_->size()), logits_, hp_.n_vocab,
                    {}, false);
}

result<void> check_block_tokens(uint32_t n) {
  for (uint32_t allowed = 16; allowed <= partition_keys; allowed *= 2) {
    if (n == allowed) return {};
  }
  return failure{ec::invalid_argument,
                 "the cpu backend cannot use KV blocks of " + std::to_string(n) + " tokens",
                 "set block_tokens to 16, 32, 64, 128 or 256"};
}

}  // namespace

result<std::unique_ptr<backend>> make_cpu_backend(std::shared_ptr<const model> m,
                                                  const backend_limits& limits) {
  LLMOS_TRY_VOID(check_block_tokens(limits.block_tokens));
  return cpu_backend::make(std::move(m), limits);
}

}  // namespace llmos
