#include "runtime/backend/cpu/step.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "runtime/base/check.hpp"
#include "runtime/base/checked.hpp"

namespace llmos::cpu {

namespace {

/// Inputs of one item's rows: they should stay in the second-level cache.
size_t panel_bytes_per_item() {
  constexpr long least = 256 << 10, most = 1 << 20;
  static const long half_of_cache = ::sysconf(_SC_LEVEL2_CACHE_SIZE) / 2;  // 0 if unknown
  return static_cast<size_t>(std::clamp(half_of_cache, least, most));
}
/// Items of a stage for each worker: enough that whoever is late delays little.
constexpr uint32_t items_per_worker = 8;
constexpr uint32_t ffn_groups = block_k / group_columns;

constexpr size_t round_up_64(size_t n) {
  return (n + 63) / 64 * 64;
}

/// The first value of those rows and columns in a matrix [rows][stride].
float* corner(float* matrix, size_t stride, uint32_t first_row, share groups) {
  return matrix + first_row * stride + size_t{groups.begin} * group_columns;
}

/// Turns each pair (a, b) by its angle; pairs stand `stride` floats apart.
template <size_t stride>
void turn_pairs(float* __restrict a, float* __restrict b, const float* cos, const float* sin,
                size_t n_pairs) {
  for (size_t i = 0; i < n_pairs; ++i) {
    const float x = a[stride * i], y = b[stride * i];
    a[stride * i] = x * cos[i] - y * sin[i];
    b[stride * i] = x * sin[i] + y * cos[i];
  }
}

}  // namespace

// ---- construction ---------------------------------------------------------------------------

step::step(const parts& p)
    : p_(p),
      hp_(p.m.hp),
      kernels_(p.kernels),
      kv_kernels_(kernels_for(p.limits.kv, p.kernels)),
      rows_per_fill_(std::max(8u, p.kernels.max_rows)),
      seq_of_row_(p.limits.max_rows),
      own_filled_(p.n_workers) {
  LLMOS_CHECK(rows_per_fill_ % kernels_.max_rows == 0);
  for (const layer_weights& w : p_.weights.layers) {
    attn_in_.merge(act_panel{&w.wq, &w.wk, &w.wv});
    out_in_.merge(act_panel{&w.wo});
    ffn_in_.merge(act_panel{&w.gate, &w.up});
    down_in_.merge(act_panel{&w.down});
  }
  head_in_ = act_panel{&p_.weights.output};
  head_terms_ = head_in_.has_codes() ? 2 : 1;
  own_panel_bytes_ = round_up_64(std::max(widest_panel(1, 1), down_in_.bytes(1)));
  worker_floats_ = round_up_64(std::max(hp_.n_embd, q_width())) +
                   std::max(size_t{tile_floats}, round_up_64(hp_.n_embd));
}

uint64_t step::bytes_of(const parts& p) {
  const uint64_t rope = uint64_t{p.limits.max_context} * p.m.hp.rope_dim * sizeof(float);
  return step(p).lay_out().end + attention::bytes_of(p.kernels, p.m.hp, p.limits, p.n_workers) +
         rope;
}

result<std::unique_ptr<step>> step::make(const parts& p) {
  std::unique_ptr<step> out(new step(p));
  LLMOS_TRY(out->attention_, attention::make(p.kernels, out->hp_, p.limits, p.n_workers));
  LLMOS_TRY_VOID(out->allocate());
  out->rope_ = make_rope_table(p.m, p.limits.max_context);
  out->list_head_units();
  return out;
}

/// Bytes of any layer's widest input but down's, of `rows` rows, or `head_rows` for the head.
size_t step::widest_panel(uint32_t rows, uint32_t head_rows) const {
  return std::max(
      {attn_in_.bytes(rows), out_in_.bytes(rows), ffn_in_.bytes(rows), head_in_.bytes(head_rows)});
}

/// Each buffer is 64-byte aligned.
step::layout step::lay_out() const {
  const uint64_t rows = p_.limits.max_rows, n_logits = p_.limits.max_logits;
  layout at{};
  const auto reserve = [&](uint64_t bytes) {
    const uint64_t begin = at.end;
    at.end += round_up_64(bytes);
    return begin;
  };
  at.x = reserve(rows * hp_.n_embd * sizeof(float));
  at.last = reserve(n_logits * hp_.n_embd * sizeof(float));
  at.qkv = reserve(rows * qkv_width() * sizeof(float));
  at.attended = reserve(rows * q_width() * sizeof(float));
  at.logits = reserve(n_logits * hp_.n_vocab * sizeof(float));
  at.panel = reserve(widest_panel(p_.limits.max_rows, head_terms_ * p_.limits.max_logits));
  at.down = reserve(down_in_.bytes(p_.limits.max_rows));
  at.own = reserve(uint64_t{p_.n_workers} * own_panel_bytes_);
  at.worker_rows = reserve(uint64_t{p_.n_workers} * worker_floats_ * sizeof(float));
  return at;
}

result<void> step::allocate() {
  const layout at = lay_out();
  LLMOS_TRY(memory_, mapped_memory::make(at.end, "activations"));
  const auto floats = [&](uint64_t begin) {
    return reinterpret_cast<float*>(memory_.data() + begin);
  };
  x_ = floats(at.x);
  last_ = floats(at.last);
  qkv_ = floats(at.qkv);
  attended_ = floats(at.attended);
  logits_ = floats(at.logits);
  panel_ = memory_.data() + at.panel;
  down_panel_ = memory_.data() + at.down;
  own_panels_ = memory_.data() + at.own;
  worker_rows_ = floats(at.worker_rows);
  return {};
}

/// One head is one unit, unless heads share a group of columns: then the whole matrix is.
void step::list_head_units() {
  using of = head_unit::of;
  const bool whole = hp_.head_dim % group_columns != 0;
  for (const auto& [matrix, n] :
       {std::pair{of::q, hp_.n_heads}, {of::k, hp_.n_kv_heads}, {of::v, hp_.n_kv_heads}}) {
    const uint32_t step = whole ? n : 1;
    for (uint32_t head = 0; head < n; head += step) head_units_.push_back({matrix, head, step});
  }
}

// ---- stages ---------------------------------------------------------------------------------

void step::plan(const step_batch& batch) {
  batch_ = &batch;
  for (uint32_t i = 0; i < batch.seqs.size(); ++i) {
    const sequence_rows& seq = batch.seqs[i];
    std::fill_n(seq_of_row_.begin() + seq.first_row, seq.num_rows, i);
  }
  std::fill(own_filled_.begin(), own_filled_.end(), UINT32_MAX);
  attention_->plan(batch);
}

uint32_t step::n_stages() const {
  return 1 + hp_.n_layers * kinds_per_layer + 2;
}

step::place step::place_of(uint32_t stage) const {
  if (stage == 0) return {kind::embed, 0};
  const uint32_t layer = (stage - 1) / kinds_per_layer;
  if (layer == hp_.n_layers) {
    return {stage + 1 == n_stages() ? kind::head : kind::norm_head, layer - 1};
  }
  const uint32_t i = static_cast<uint32_t>(kind::norm_attn) + (stage - 1) % kinds_per_layer;
  return {static_cast<kind>(i), layer};
}

uint32_t step::n_items(uint32_t stage) {
  const auto [what, layer] = place_of(stage);
  const layer_weights& w = p_.weights.layers[layer];
  const uint32_t before = n_rows(), after = rows_after(layer);
  const auto fills = [this](uint32_t rows) {
    return rows > 1 ? ceil_div(rows, rows_per_fill_) : 0;
  };
  const auto matmul = [&](const act_panel& in, uint32_t rows, uint32_t units) {
    grid_ = make_grid(in, rows, units);
    return grid_.items();
  };
  switch (what) {
    case kind::embed: return ceil_div(before, rows_per_fill_);
    case kind::norm_attn: return fills(before);
    case kind::qkv: return matmul(attn_in_, before, static_cast<uint32_t>(head_units_.size()));
    case kind::attend: return attention_->open(is_last(layer));
    case kind::pack_out: return fills(after);
    case kind::out: return matmul(out_in_, after, w.wo.n_groups());
    case kind::norm_ffn: return fills(after);
    case kind::gate_up: return matmul(ffn_in_, after, ceil_div(hp_.n_ff, ffn_unit));
    case kind::down: return matmul(down_in_, after, w.down.n_groups());
    case kind::norm_head: return ceil_div(head_terms_ * after, rows_per_fill_);
    case kind::head: return matmul(head_in_, head_terms_ * after, p_.weights.output.n_groups());
  }
  return 0;
}

void step::run(uint32_t stage, uint32_t item, uint32_t worker) {
  const auto [what, layer] = place_of(stage);
  const layer_weights& w = p_.weights.layers[layer];
  const uint32_t before = n_rows(), after = rows_after(layer);
  const auto embedded = [&](uint32_t row) { return x_ + size_t{row} * hp_.n_embd; };
  const auto attn_row = [&](uint32_t row) { return normed(embedded(row), w.attn_norm, worker); };
  const auto residual_row = [&, from = residual(layer)](uint32_t row) {
    return from + size_t{row} * hp_.n_embd;
  };
  const auto ffn_row = [&](uint32_t row) { return normed(residual_row(row), w.ffn_norm, worker); };
  const auto attended_row = [&, layer = layer](uint32_t row) {
    return attended_ + size_t{source_row(layer, row)} * q_width();
  };
  switch (what) {
    case kind::embed: return embed(item);
    case kind::norm_attn: return fill(attn_in_, before, item, attn_row);
    case kind::qkv:
      return project_qkv(w, layer, input(attn_in_, before, stage, worker, attn_row), cell_of(item));
    case kind::attend:
      return attention_->run({layer, p_.pool, qkv_, qkv_width(), attended_}, item, worker);
    case kind::pack_out: return fill(out_in_, after, item, attended_row);
    case kind::out:
      return project_out(w, layer, input(out_in_, after, stage, worker, attended_row),
                         cell_of(item));
    case kind::norm_ffn: return fill(ffn_in_, after, item, ffn_row);
    case kind::gate_up:
      return gate_up(w, input(ffn_in_, after, stage, worker, ffn_row), cell_of(item), worker);
    case kind::down: {
      const auto [rows, groups] = cell_of(item);
      return multiply(w.down, panel(down_in_, down_panel_, after), rows, groups,
                      corner(residual(layer), hp_.n_embd, rows.first, groups), hp_.n_embd, {},
                      true);
    }
    case kind::norm_head: return norm_head(item, worker);
    case kind::head: return head(cell_of(item), worker);
  }
}

// ---- items ----------------------------------------------------------------------------------

/// Rows whose inputs fit the cache together: whole tiles, and all ranges about alike.
uint32_t step::rows_per_item(const act_panel& in, uint32_t rows) const {
  const size_t fit = panel_bytes_per_item() / std::max<size_t>(1, in.bytes(1));
  const auto most = static_cast<uint32_t>(std::min<size_t>(fit, max_rows_per_item));
  const uint32_t most_tiles = std::max(most / kernels_.max_rows, 1u);
  const uint32_t tiles = ceil_div(rows, kernels_.max_rows);
  return ceil_div(tiles, ceil_div(tiles, most_tiles)) * kernels_.max_rows;
}

step::grid step::make_grid(const act_panel& in, uint32_t rows, uint32_t units) const {
  grid g;
  g.rows = rows;
  g.units = units;
  if (rows == 0) return g;
  g.row_step = rows_per_item(in, rows);
  g.n_ranges = ceil_div(rows, g.row_step);
  g.n_parts = std::min(units, ceil_div(items_per_worker * p_.n_workers, g.n_ranges));
  return g;
}

step::cell step::cell_of(uint32_t item) const {
  const uint32_t first = item / grid_.n_parts * grid_.row_step;
  return {{first, std::min(grid_.row_step, grid_.rows - first)},
          share_of(grid_.units, item % grid_.n_parts, grid_.n_parts)};
}

act_panel step::panel(const act_panel& shape, std::byte* memory, uint32_t rows) const {
  act_panel out = shape;
  out.place(memory, rows);
  return out;
}

template <class RowOf>
void step::fill(const act_panel& shape, uint32_t rows, uint32_t item, RowOf row_of) const {
  const act_panel in = panel(shape, panel_, rows);
  const uint32_t end = std::min((item + 1) * rows_per_fill_, rows);
  for (uint32_t row = item * rows_per_fill_; row < end; ++row) {
    in.put_row(kernels_, row_of(row), row, rows);
  }
}

template <class RowOf>
act_panel step::input(const act_panel& shape, uint32_t rows, uint32_t stage, uint32_t worker,
                      RowOf row_of) {
  if (rows > 1) return panel(shape, panel_, rows);
  const act_panel own = panel(shape, own_panels_ + worker * own_panel_bytes_, 1);
  if (own_filled_[worker] != stage) {
    own_filled_[worker] = stage;
    own.put_row(kernels_, row_of(0), 0, 1);
  }
  return own;
}

const float* step::normed(const float* x, const std::vector<float>& norm, uint32_t worker) const {
  float* out = worker_row(worker);
  kernels_.rms_norm(x, norm.data(), hp_.n_embd, hp_.rms_eps, out);
  return out;
}

/// Those rows and columns of a product; `out` is where the first of them goes.
void step::multiply(const packed_matrix& m, const act_panel& in, row_range rows, share groups,
                    float* out, size_t out_stride, const std::vector<float>& bias,
                    bool accumulate) const {
  matmul_args x{};
  x.weights = m.data;
  x.group_bytes = m.group_bytes;
  x.k = m.k;
  x.n = m.n;
  x.group_begin = groups.begin;
  x.group_end = groups.end;
  x.acts = in.tiles(m, rows.first);
  x.rows = rows.n;
  x.out = out;
  x.out_stride = out_stride;
  x.bias = bias.empty() ? nullptr : bias.data();
  x.accumulate = accumulate;
  kernels_.matmul[static_cast<size_t>(m.format)](x);
}

void step::embed(uint32_t item) {
  const tensor_info& t = *p_.m.token_embd;
  const type_info& type = info_of(t.type);
  const size_t row_bytes = hp_.n_embd / type.block_elems * type.block_bytes;
  const uint32_t end = std::min((item + 1) * rows_per_fill_, n_rows());
  for (uint32_t row = item * rows_per_fill_; row < end; ++row) {
    dequantize(t.type, t.data + static_cast<size_t>(batch_->tokens[row]) * row_bytes,
               {x_ + size_t{row} * hp_.n_embd, hp_.n_embd});
  }
}

void step::project_qkv(const layer_weights& w, uint32_t layer, const act_panel& in, cell c) const {
  for (uint32_t i = c.units.begin; i < c.units.end; ++i) {
    const head_unit u = head_units_[i];
    const bool is_q = u.matrix == head_unit::of::q, is_k = u.matrix == head_unit::of::k;
    const packed_matrix& m = is_q ? w.wq : is_k ? w.wk : w.wv;
    const std::vector<float>& bias = is_q ? w.bq : is_k ? w.bk : w.bv;
    float* out = qkv_ + (is_q ? 0 : is_k ? q_width() : q_width() + kv_width());
    const uint32_t first = u.first_head * hp_.head_dim, last = first + u.n_heads * hp_.head_dim;
    const share groups{first / group_columns, ceil_div(last, group_columns)};
    multiply(m, in, c.rows, groups, corner(out, qkv_width(), c.rows.first, groups), qkv_width(),
             bias, false);
    place_heads(w, layer, u, c.rows);
  }
}

void step::place_heads(const layer_weights& w, uint32_t layer, head_unit u, row_range rows) const {
  for (uint32_t row = rows.first; row < rows.first + rows.n; ++row) {
    for (uint32_t i = 0; i < u.n_heads; ++i) {
      place_head(w, layer, u.matrix, u.first_head + i, row);
    }
  }
}

/// Norms and rotates a head of Q or K, scales Q, and writes K or V into its block.
void step::place_head(const layer_weights& w, uint32_t layer, head_unit::of matrix, uint32_t head,
                      uint32_t row) const {
  const sequence_rows& seq = batch_->seqs[seq_of_row_[row]];
  const uint32_t pos = seq.num_past + row - seq.first_row, dim = hp_.head_dim;
  float* x = qkv_ + row * size_t{qkv_width()} + size_t{head} * dim;
  if (matrix == head_unit::of::q) {
    if (!w.q_norm.empty()) kernels_.rms_norm(x, w.q_norm.data(), dim, hp_.rms_eps, x);
    rotate(x, pos);
    const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
    for (uint32_t d = 0; d < dim; ++d) x[d] *= scale;
    return;
  }
  const uint32_t n_slots = p_.limits.block_tokens, slot = pos % n_slots;
  std::byte* block = p_.pool.head(seq.blocks[pos / n_slots], layer, head);
  if (matrix == head_unit::of::v) {
    return kv_kernels_.append_v(x + q_width() + kv_width(), p_.pool.layout(), slot, block);
  }
  x += q_width();
  if (!w.k_norm.empty()) kernels_.rms_norm(x, w.k_norm.data(), dim, hp_.rms_eps, x);
  rotate(x, pos);
  kv_kernels_.append_k(x, p_.pool.layout(), slot, block);
}

void step::rotate(float* head, uint32_t pos) const {
  const uint32_t n = rope_.n_pairs;
  const float* cos = rope_.cos.data() + size_t{pos} * n;
  const float* sin = rope_.sin.data() + size_t{pos} * n;
  if (hp_.rope == rope_style::interleaved) {
    turn_pairs<2>(head, head + 1, cos, sin, n);
  } else {
    turn_pairs<1>(head, head + n, cos, sin, n);
  }
}

/// residual[i] = x[source of i] + wo · attended. In the last layer the rows that go on move first.
void step::project_out(const layer_weights& w, uint32_t layer, const act_panel& in, cell c) const {
  float* out = residual(layer);
  if (out != x_) {
    const size_t begin = size_t{c.units.begin} * group_columns;
    const size_t end = std::min<size_t>(size_t{c.units.end} * group_columns, hp_.n_embd);
    for (uint32_t i = c.rows.first; i < c.rows.first + c.rows.n; ++i) {
      const float* from = x_ + size_t{source_row(layer, i)} * hp_.n_embd;
      std::copy(from + begin, from + end, out + size_t{i} * hp_.n_embd + begin);
    }
  }
  multiply(w.wo, in, c.rows, c.units, corner(out, hp_.n_embd, c.rows.first, c.units), hp_.n_embd,
           w.bo, true);
}

/// silu(gate) · up, some rows and columns at a time, straight into the input panel of `down`.
void step::gate_up(const layer_weights& w, const act_panel& in, cell c, uint32_t worker) const {
  const uint32_t n_units = c.units.end - c.units.begin, n_parts = ceil_div(n_units, ffn_units);
  for (uint32_t row = 0; row < c.rows.n; row += ffn_rows) {
    const row_range rows{c.rows.first + row, std::min(ffn_rows, c.rows.n - row)};
    for (uint32_t part = 0; part < n_parts; ++part) {
      const share units = share_of(n_units, part, n_parts);
      gate_up_part(w, in, {rows, {c.units.begin + units.begin, c.units.begin + units.end}}, worker);
    }
  }
}

void step::gate_up_part(const layer_weights& w, const act_panel& in, cell c,
                        uint32_t worker) const {
  constexpr uint32_t stride = ffn_units * ffn_unit;
  float* const gate = worker_tile(worker);
  float* const up = gate + ffn_rows * stride;
  const share groups{c.units.begin * ffn_groups,
                     std::min(c.units.end * ffn_groups, w.gate.n_groups())};
  multiply(w.gate, in, c.rows, groups, gate, stride, {}, false);
  multiply(w.up, in, c.rows, groups, up, stride, {}, false);
  const act_panel activated = panel(down_in_, down_panel_, grid_.rows);
  const uint32_t first = c.units.begin * ffn_unit, end = std::min(c.units.end * ffn_unit, hp_.n_ff);
  for (uint32_t i = 0; i < c.rows.n; ++i) {
    float* const g = gate + i * stride;
    kernels_.silu_mul(g, up + i * stride, end - first, g);
    for (uint32_t u = c.units.begin; u < c.units.end; ++u) {
      const uint32_t at = u * ffn_unit;
      activated.put_block(kernels_, g + (at - first), std::min(ffn_unit, end - at), u,
                          c.rows.first + i, grid_.rows);
    }
  }
}

/// The terms of each row of logits: it normed, and what its codes miss.
void step::norm_head(uint32_t item, uint32_t worker) const {
  const uint32_t rows = head_terms_ * n_logits();
  const act_panel in = panel(head_in_, panel_, rows);
  const act_panel own = panel(head_in_, own_panels_ + worker * own_panel_bytes_, 1);
  float* const error = worker_row(worker) + round_up_64(hp_.n_embd);
  const uint32_t end = std::min((item + 1) * rows_per_fill_, rows);
  for (uint32_t row = item * rows_per_fill_; row < end; row += head_terms_) {
    const float* x =
        normed(last_ + size_t{row / head_terms_} * hp_.n_embd, p_.weights.output_norm, worker);
    in.put_row(kernels_, x, row, rows);
    if (head_terms_ == 1) continue;
    own.rounding_error(kernels_, x, error);
    in.put_row(kernels_, error, row + 1, rows);
  }
}

void step::head(cell c, uint32_t worker) const {
  constexpr uint32_t n_columns = 512, n_rows = tile_floats / n_columns;
  const packed_matrix& m = p_.weights.output;
  const act_panel in = panel(head_in_, panel_, grid_.rows);
  float* const terms = worker_tile(worker);
  for (uint32_t row = 0; row < c.rows.n; row += n_rows) {
    const row_range rows{c.rows.first + row, std::min(n_rows, c.rows.n - row)};
    for (uint32_t g = c.units.begin; g < c.units.end; g += n_columns / group_columns) {
      const share groups{g, std::min(g + n_columns / group_columns, c.units.end)};
      multiply(m, in, rows, groups, terms, n_columns, {}, false);
      add_terms(terms, n_columns, rows, groups);
    }
  }
}

/// The sum of the terms of each row goes to its logits.
void step::add_terms(const float* terms, size_t stride, row_range rows, share groups) const {
  const uint32_t first = groups.begin * group_columns;
  const uint32_t n = std::min(groups.end * group_columns, hp_.n_vocab) - first;
  for (uint32_t i = 0; i < rows.n; i += head_terms_, terms += head_terms_ * stride) {
    float* out = logits_ + size_t{(rows.first + i) / head_terms_} * hp_.n_vocab + first;
    if (head_terms_ == 1) {
      std::copy_n(terms, n, out);
    } else {
      for (uint32_t c = 0; c < n; ++c) out[c] = terms[c] + terms[stride + c];
    }
  }
}

}  // namespace llmos::cpu
