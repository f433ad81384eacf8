#include "runtime/backend/reference/reference_backend.hpp"

#include <unistd.h>

#include <cmath>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "runtime/backend/reference/ops.hpp"
#include "runtime/base/checked.hpp"

namespace llmos {

namespace {

using reference::decode;
using reference::matrix;

/// One layer's weights in float32; vectors are one-row matrices, empty where there is none.
struct layer_weights {
  matrix attn_norm, wq, wk, wv, wo, bq, bk, bv, bo, q_norm, k_norm, ffn_norm, gate, up, down;

  explicit layer_weights(const layer_tensors& t)
      : attn_norm(decode(t.attn_norm)),
        wq(decode(t.wq)),
        wk(decode(t.wk)),
        wv(decode(t.wv)),
        wo(decode(t.wo)),
        bq(decode(t.bq)),
        bk(decode(t.bk)),
        bv(decode(t.bv)),
        bo(decode(t.bo)),
        q_norm(decode(t.q_norm)),
        k_norm(decode(t.k_norm)),
        ffn_norm(decode(t.ffn_norm)),
        gate(decode(t.gate)),
        up(decode(t.up)),
        down(decode(t.down)) {}
};

class reference_backend final : public backend {
public:
  reference_backend(std::shared_ptr<const model> m, const backend_limits& limits);

  const backend_info& info() const override { return info_; }
  const backend_limits& limits() const override { return limits_; }
  result<std::span<const float>> forward(const step_batch& batch) override;
  result<void> copy_blocks(std::span<const block_id> from, std::span<const block_id> to) override;

private:
  size_t kv_width() const { return size_t{hp_.n_kv_heads} * hp_.head_dim; }
  size_t layer_kv_size() const {
    return size_t{limits_.num_blocks} * limits_.block_tokens * kv_width();
  }
  /// Where position `pos` of a sequence keeps its K or V: an offset into k_ and v_.
  size_t kv_offset(size_t layer, const sequence_rows& seq, size_t pos) const;

  void embed(const step_batch& batch);
  void norm_rows(std::span<float> out, const matrix& weight, size_t n_rows);
  void attention(const layer_weights& w, size_t layer, const step_batch& batch);
  void place_in_context(const layer_weights& w, size_t layer, const sequence_rows& seq, size_t i);
  void attend_row(size_t layer, const sequence_rows& seq, size_t i);
  void feed_forward(const layer_weights& w, size_t n_rows);
  void add_to_residual(std::span<const float> delta, size_t n_rows);

  std::shared_ptr<const model> model_;
  hyperparameters hp_;
  backend_limits limits_;
  backend_info info_;
  uint32_t n_threads_;
  rope_table rope_;
  matrix token_embd_;
  matrix output_norm_;
  matrix untied_output_;  ///< Empty when the embedding serves as the head.
  std::vector<layer_weights> layers_;
  std::vector<float> k_, v_;         ///< [n_layers, num_blocks, block_tokens, n_kv_heads, head_dim]
  std::vector<float> x_;             ///< [max_rows, n_embd] residual stream
  std::vector<float> h_;             ///< [max_rows, n_embd] its norm, then what is added to it
  std::vector<float> q_, attended_;  ///< [max_rows, n_heads, head_dim]
  std::vector<float> new_k_, new_v_;  ///< [max_rows, n_kv_heads, head_dim]
  std::vector<float> gate_, up_;      ///< [max_rows, n_ff]
  std::vector<float> last_, logits_;  ///< [max_logits, n_embd] and [max_logits, n_vocab]
};

uint32_t thread_count(uint32_t wanted) {
  return wanted != 0 ? wanted : std::max(1u, std::thread::hardware_concurrency());
}

reference_backend::reference_backend(std::shared_ptr<const model> m, const backend_limits& limits)
    : model_(std::move(m)),
      hp_(model_->hp),
      limits_(limits),
      n_threads_(thread_count(limits.num_threads)),
      rope_(make_rope_table(*model_, limits.max_context)),
      token_embd_(decode(model_->token_embd)),
      output_norm_(decode(model_->output_norm)),
      untied_output_(model_->tied() ? matrix{} : decode(model_->output)) {
  for (const layer_tensors& t : model_->layers) layers_.emplace_back(t);
  k_.resize(hp_.n_layers * layer_kv_size());
  v_.resize(k_.size());
  const size_t rows = limits_.max_rows;
  x_.resize(rows * hp_.n_embd);
  h_.resize(x_.size());
  q_.resize(rows * hp_.n_heads * hp_.head_dim);
  attended_.resize(q_.size());
  new_k_.resize(rows * kv_width());
  new_v_.resize(new_k_.size());
  gate_.resize(rows * hp_.n_ff);
  up_.resize(gate_.size());
  last_.resize(size_t{limits_.max_logits} * hp_.n_embd);
  logits_.resize(size_t{limits_.max_logits} * hp_.n_vocab);

  info_.name = "reference";
  info_.device = std::to_string(n_threads_) + " threads, scalar float32";
  info_.numerics = "reference-f32";
  if (limits_.kv != kv_type::f16) info_.numerics += "/" + std::string(name_of(limits_.kv)) + "kv";
  for (const tensor_info& t : model_->file->tensors()) {
    info_.weight_bytes += t.n_elements() * sizeof(float);
  }
  info_.kv_bytes = 2 * k_.size() * sizeof(float);
}

size_t reference_backend::kv_offset(size_t layer, const sequence_rows& seq, size_t pos) const {
  const size_t block = seq.blocks[pos / limits_.block_tokens];
  const size_t slot = block * limits_.block_tokens + pos % limits_.block_tokens;
  return layer * layer_kv_size() + slot * kv_width();
}

result<std::span<const float>> reference_backend::forward(const step_batch& batch) {
  LLMOS_TRY_VOID(validate(batch, limits_, hp_.n_vocab));
  const size_t n_rows = batch.tokens.size();
  embed(batch);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    attention(layers_[layer], layer, batch);
    feed_forward(layers_[layer], n_rows);
  }
  const size_t width = hp_.n_embd;
  for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
    reference::rms_norm(std::span(last_).subspan(i * width, width),
                        std::span(x_).subspan(batch.logit_rows[i] * width, width), output_norm_.w,
                        hp_.rms_eps);
  }
  const size_t n_logits = batch.logit_rows.size();
  reference::matmul(logits_, last_, model_->tied() ? token_embd_ : untied_output_, {}, n_logits,
                    n_threads_);
  return std::span<const float>(logits_).first(n_logits * hp_.n_vocab);
}

void reference_backend::embed(const step_batch& batch) {
  for (size_t r = 0; r < batch.tokens.size(); ++r) {
    const auto row = token_embd_.row(static_cast<size_t>(batch.tokens[r]));
    std::copy(row.begin(), row.end(), x_.begin() + static_cast<ptrdiff_t>(r * hp_.n_embd));
  }
}

void reference_backend::norm_rows(std::span<float> out, const matrix& weight, size_t n_rows) {
  const size_t width = hp_.n_embd;
  for (size_t r = 0; r < n_rows; ++r) {
    reference::rms_norm(out.subspan(r * width, width), std::span(x_).subspan(r * width, width),
                        weight.w, hp_.rms_eps);
  }
}

void reference_backend::attention(const layer_weights& w, size_t layer, const step_batch& batch) {
  const size_t n_rows = batch.tokens.size();
  norm_rows(h_, w.attn_norm, n_rows);
  reference::matmul(q_, h_, w.wq, w.bq.w, n_rows, n_threads_);
  reference::matmul(new_k_, h_, w.wk, w.bk.w, n_rows, n_threads_);
  reference::matmul(new_v_, h_, w.wv, w.bv.w, n_rows, n_threads_);
  for (const sequence_rows& seq : batch.seqs) {
    for (size_t i = 0; i < seq.num_rows; ++i) place_in_context(w, layer, seq, i);
  }
  for (const sequence_rows& seq : batch.seqs) {
    const uint32_t n_threads = seq.num_rows == 1 ? 1 : n_threads_;
    reference::parallel_for(n_threads, seq.num_rows, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) attend_row(layer, seq, i);
    });
  }
  reference::matmul(h_, attended_, w.wo, w.bo.w, n_rows, n_threads_);
  add_to_residual(h_, n_rows);
}

/// Norms (qwen3) and rotates one row's Q and K, and writes its K and V into their block, as floats
/// of the values that the KV type can hold; for f16 all of them.
void reference_backend::place_in_context(const layer_weights& w, size_t layer,
                                         const sequence_rows& seq, size_t i) {
  const size_t row = seq.first_row + i;
  const size_t pos = seq.num_past + i;
  const size_t dim = hp_.head_dim;
  const auto finish = [&](std::span<float> heads, const matrix& norm) {
    for (size_t at = 0; at < heads.size(); at += dim) {
      const auto head = heads.subspan(at, dim);
      if (norm.rows != 0) reference::rms_norm(head, head, norm.w, hp_.rms_eps);
      reference::rotate(head, rope_, pos, hp_.rope);
    }
  };
  const size_t q_width = hp_.n_heads * dim;
  const auto k = std::span(new_k_).subspan(row * kv_width(), kv_width());
  const auto v = std::span(new_v_).subspan(row * kv_width(), kv_width());
  finish(std::span(q_).subspan(row * q_width, q_width), w.q_norm);
  finish(k, w.k_norm);
  if (limits_.kv == kv_type::q8_0) {
    for (size_t at = 0; at < kv_width(); at += dim) {
      reference::round_to_q8_0(k.subspan(at, dim));
      reference::round_to_q8_0(v.subspan(at, dim));
    }
  }
  const auto slot = static_cast<ptrdiff_t>(kv_offset(layer, seq, pos));
  std::copy(k.begin(), k.end(), k_.begin() + slot);
  std::copy(v.begin(), v.end(), v_.begin() + slot);
}

/// attended[row][head] = Σ_p softmax_p(q · k_p / sqrt(head_dim)) · v_p over positions 0 to its own.
void reference_backend::attend_row(size_t layer, const sequence_rows& seq, size_t i) {
  const size_t dim = hp_.head_dim;
  const size_t heads_per_kv = hp_.n_heads / hp_.n_kv_heads;
  const size_t n_positions = seq.num_past + i + 1;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::vector<float> weights(n_positions);
  for (size_t head = 0; head < hp_.n_heads; ++head) {
    const size_t at = ((seq.first_row + i) * hp_.n_heads + head) * dim;
    const size_t kv_at = head / heads_per_kv * dim;
    const auto q = std::span<const float>(q_).subspan(at, dim);
    for (size_t p = 0; p < n_positions; ++p) {
      const size_t slot = kv_offset(layer, seq, p) + kv_at;
      weights[p] = reference::dot(q, std::span<const float>(k_).subspan(slot, dim)) * scale;
    }
    reference::softmax(weights);
    const auto out = std::span(attended_).subspan(at, dim);
    std::fill(out.begin(), out.end(), 0.0f);
    for (size_t p = 0; p < n_positions; ++p) {
      const float* v = v_.data() + kv_offset(layer, seq, p) + kv_at;
      for (size_t d = 0; d < dim; ++d) out[d] += weights[p] * v[d];
    }
  }
}

void reference_backend::feed_forward(const layer_weights& w, size_t n_rows) {
  norm_rows(h_, w.ffn_norm, n_rows);
  reference::matmul(gate_, h_, w.gate, {}, n_rows, n_threads_);
  reference::matmul(up_, h_, w.up, {}, n_rows, n_threads_);
  reference::swiglu(std::span(gate_).first(n_rows * hp_.n_ff), up_);
  reference::matmul(h_, gate_, w.down, {}, n_rows, n_threads_);
  add_to_residual(h_, n_rows);
}

void reference_backend::add_to_residual(std::span<const float> delta, size_t n_rows) {
  for (size_t i = 0; i < n_rows * hp_.n_embd; ++i) x_[i] += delta[i];
}

result<void> reference_backend::copy_blocks(std::span<const block_id> from,
                                            std::span<const block_id> to) {
  LLMOS_TRY_VOID(validate_copy(from, to, limits_));
  const size_t block_size = limits_.block_tokens * kv_width();
  for (std::vector<float>* pool : {&k_, &v_}) {
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
      for (size_t i = 0; i < from.size(); ++i) {
        if (from[i] == to[i]) continue;
        float* base = pool->data() + layer * layer_kv_size();
        std::copy_n(base + from[i] * block_size, block_size, base + to[i] * block_size);
      }
    }
  }
  return {};
}

/// A sum of products, as bytes of floats; the largest number when it leaves 64 bits.
class float_count {
public:
  void add(uint64_t count, uint64_t width) {
    const auto product = checked_mul<uint64_t>(count, width);
    floats_ = floats_ && product ? checked_add<uint64_t>(*floats_, *product) : std::nullopt;
  }
  uint64_t bytes() const {
    const auto bytes = floats_ ? checked_mul<uint64_t>(*floats_, sizeof(float)) : std::nullopt;
    return bytes.value_or(UINT64_MAX);
  }

private:
  std::optional<uint64_t> floats_ = 0;
};

backend_memory memory_needed(const model& m, const backend_limits& l) {
  const hyperparameters& hp = m.hp;
  const uint64_t kv_width = uint64_t{hp.n_kv_heads} * hp.head_dim;
  float_count weights, kv, rest;
  for (const tensor_info& t : m.file->tensors()) weights.add(t.n_elements(), 1);
  kv.add(uint64_t{l.num_blocks} * l.block_tokens, 2 * hp.n_layers * kv_width);
  rest.add(l.max_context, hp.rope_dim);
  rest.add(l.max_rows, 2 * (hp.n_embd + uint64_t{hp.n_heads} * hp.head_dim + kv_width + hp.n_ff));
  rest.add(l.max_logits, uint64_t{hp.n_embd} + hp.n_vocab);
  return {weights.bytes(), kv.bytes(), rest.bytes()};
}

uint64_t physical_memory_bytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

result<backend_memory> memory_of_reference_backend(const model& m, const backend_limits& limits) {
  const backend_memory need = memory_needed(m, limits);
  const uint64_t bytes = need.total(), there = physical_memory_bytes();
  if (bytes <= there) return need;
  const bool counted = bytes != UINT64_MAX;
  return failure{ec::out_of_memory,
                 "reference backend needs " +
                     (counted ? std::to_string(bytes) : std::string("more than 2^64")) +
                     " bytes, this machine has " + std::to_string(there),
                 "lower num_blocks, max_rows or max_context"};
}

result<std::unique_ptr<backend>> make_reference_backend(std::shared_ptr<const model> m,
                                                        const backend_limits& limits) {
  LLMOS_TRY(const backend_memory need, memory_of_reference_backend(*m, limits));
  try {
    return std::unique_ptr<backend>(std::make_unique<reference_backend>(std::move(m), limits));
  } catch (const std::bad_alloc&) {
    return failure{
        ec::out_of_memory,
        "cannot reserve " + std::to_string(need.total()) + " bytes for the reference backend",
        "use a smaller model, fewer KV blocks or a smaller context"};
  }
}

}  // namespace llmos
