#include "gpu/backend.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <numbers>
#include <string>
#include <utility>

#include "gpu/gemm.hpp"
#include "gpu/kernels/add_bias.hpp"
#include "gpu/kernels/adjust.hpp"
#include "gpu/kernels/attention.hpp"
#include "gpu/kernels/choose.hpp"
#include "gpu/kernels/embed.hpp"
#include "gpu/kernels/place_heads.hpp"
#include "gpu/kernels/rms_norm.hpp"
#include "gpu/kernels/silu_mul.hpp"
#include "gpu/places.hpp"
#include "gpu/step_inputs.hpp"
#include "gpu/weights.hpp"

namespace llmos::gpu {

namespace {

constexpr uint64_t half_bytes = 2;
constexpr uint64_t spare_blocks = 1;  // what a padded step writes goes there

kv_layout layout_of(const model& m, const backend_limits& limits) {
  return {m.hp.n_layers, m.hp.n_kv_heads, limits.block_tokens, attention_dim(m.hp.head_dim)};
}

uint64_t block_bytes(const model& m, const backend_limits& limits) {
  return layout_of(m, limits).block_values() * half_bytes;
}

result<void> check_supported(const model& m, const backend_limits& limits) {
  const hyperparameters& hp = m.hp;
  if (limits.kv != kv_type::f16) {
    return failure{ec::unsupported, "the cuda backend keeps K and V as f16 only",
                   "set engine.kv_type to f16"};
  }
  if (attention_dim(hp.head_dim) == 0 || hp.n_heads / hp.n_kv_heads > attention_tile_rows) {
    return failure{ec::unsupported,
                   "the cuda backend has no kernel for heads of " + std::to_string(hp.head_dim) +
                       " dimensions, " + std::to_string(hp.n_heads / hp.n_kv_heads) +
                       " for each KV head",
                   "use the cpu backend"};
  }
  if (limits.block_tokens % chunk_keys != 0) {
    return failure{ec::invalid_argument,
                   "the cuda backend takes KV blocks of a multiple of 16 positions, not " +
                       std::to_string(limits.block_tokens),
                   "set engine.block_tokens to 16, 32, 64, 128 or 256"};
  }
  return {};
}

/// Device memory for one step, each part at its offset in one allocation.
struct work_layout {
  work_layout(const model& m, const backend_limits& l, uint32_t n_processors) {
    const hyperparameters& hp = m.hp;
    const uint64_t rows = l.max_rows, q_width = uint64_t{hp.n_heads} * hp.head_dim;
    const uint64_t kv_width = uint64_t{hp.n_kv_heads} * hp.head_dim;
    const uint32_t dim = attention_dim(hp.head_dim);
    const step_layout inputs_of(l, hp.n_heads / hp.n_kv_heads);
    places p;
    inputs = p.take(inputs_of.size);
    x = p.take(rows * hp.n_embd * sizeof(float));
    h = p.take(std::max<uint64_t>(rows, l.max_logits) * padded_inputs(hp.n_embd) * half_bytes);
    qkv = p.take(rows * (q_width + 2 * kv_width) * sizeof(float));
    q = p.take(rows * hp.n_heads * dim * half_bytes);
    attended = p.take(rows * padded_inputs(static_cast<uint32_t>(q_width)) * half_bytes);
    gate_up = p.take(rows * 2 * hp.n_ff * half_bytes);
    activated = p.take(rows * padded_inputs(hp.n_ff) * half_bytes);
    logits = p.take(uint64_t{l.max_logits} * hp.n_vocab * sizeof(float));
    tokens = p.take(l.max_logits * sizeof(token_id));
    partials = p.take(most_partials(inputs_of.max_few_tiles, hp.n_kv_heads, n_processors) *
                      attention_partial_values(dim) * sizeof(float));
    const uint64_t angle_bytes = uint64_t{l.max_context} * (hp.rope_dim / 2) * sizeof(float);
    cos = p.take(angle_bytes);
    sin = p.take(angle_bytes);
    size = p.end();
  }

  uint64_t inputs, x, h, qkv, q, attended, gate_up, activated, logits, tokens, partials, cos, sin;
  uint64_t size;
};

class cuda_backend final : public backend {
public:
  static result<std::unique_ptr<backend>> make(int device, std::shared_ptr<const model> m,
                                               const backend_limits& limits);

  /// What is on the streams still uses the rest.
  ~cuda_backend() override {
    static_cast<void>(use(p_.number));
    static_cast<void>(p_.compute.synchronize());
    static_cast<void>(p_.copies.synchronize());
  }

  const backend_info& info() const override { return info_; }
  const backend_limits& limits() const override { return limits_; }
  result<std::span<const float>> forward(const step_batch& batch) override;
  bool chooses() const override { return true; }
  result<std::span<const token_id>> forward_and_choose(const step_batch& batch,
                                                       const step_choices& choices) override;
  bool runs_ahead() const override { return true; }
  result<void> begin(const step_batch& batch, const step_choices& choices) override;
  void wait() override;
  result<std::span<const token_id>> finish() override;
  result<void> copy_blocks(std::span<const block_id> from, std::span<const block_id> to) override;
  bool moves_blocks() const override { return true; }
  result<void> move_blocks(std::span<const block_move> moves) override;

private:
  /// What the host writes and reads of one step, while another one runs.
  struct host_side {
    pinned inputs, tokens;
    event ended;
  };
  struct parts {
    int number;
    device_info device;
    stream compute, copies;
    gemm products;
    device_weights weights;
    buffer pool, work;
    pinned logits, host_blocks;
    std::array<host_side, 2> sides;
  };
  /// A step that was begun.
  struct flight {
    host_side* side;
    size_t n_tokens;
  };
  static result<host_side> make_side(const model& m, const backend_limits& limits);
  cuda_backend(std::shared_ptr<const model> m, const backend_limits& limits,
               const work_layout& layout, parts p);

  template <class T>
  T* at(uint64_t offset) const {
    return reinterpret_cast<T*>(p_.work.data<std::byte>() + offset);
  }
  template <class T>
  T* input(size_t offset) const {
    return at<T>(layout_.inputs + offset);
  }
  stream_handle s() const { return p_.compute.handle(); }

  result<void> fill_tables();
  result<void> multiply(const device_matrix& w, const bf16* x, void* out, product_output output,
                        uint32_t n_rows);
  result<void> run(const step_batch& batch, const step_choices& choices, host_side& side,
                   uint32_t n_before);
  result<void> send(const step_inputs::prepared& step, host_side& side);
  result<void> launch_step(const step_shape& shape);
  result<void> run_layer(const device_layer& w, uint32_t layer, const step_shape& shape);
  result<void> place(const device_layer& w, uint32_t layer, uint32_t n_rows);
  result<void> attend(uint32_t layer, const step_shape& shape);
  result<void> make_logits(uint32_t n_logits);
  result<void> choose_tokens(const step_shape& shape);

  std::shared_ptr<const model> model_;
  const hyperparameters hp_;
  const backend_limits limits_;
  const kv_layout kv_;
  const work_layout layout_;
  parts p_;
  step_inputs step_;
  std::map<step_shape, graph> graphs_;
  std::deque<flight> flights_;  ///< Steps that are not finished, oldest first.
  uint64_t n_begun_ = 0;
  uint64_t n_waited_ = 0;  ///< Of the thread that waits.
  backend_info info_;
};

/// Zeros: padding is never written, and what no row wrote yet must not be NaN.
result<buffer> make_zeroed(uint64_t size_bytes, const stream& s) {
  LLMOS_TRY(buffer out, buffer::create(size_bytes));
  LLMOS_TRY_VOID(out.clear(s.handle()));
  return out;
}

result<cuda_backend::host_side> cuda_backend::make_side(const model& m,
                                                        const backend_limits& limits) {
  const step_layout layout(limits, m.hp.n_heads / m.hp.n_kv_heads);
  LLMOS_TRY(pinned inputs, pinned::create(layout.size));
  LLMOS_TRY(pinned tokens, pinned::create(limits.max_logits * sizeof(token_id)));
  LLMOS_TRY(event ended, event::create());
  return host_side{std::move(inputs), std::move(tokens), std::move(ended)};
}

result<std::unique_ptr<backend>> cuda_backend::make(int device, std::shared_ptr<const model> m,
                                                    const backend_limits& limits) {
  LLMOS_TRY_VOID(check_supported(*m, limits));
  LLMOS_TRY(device_info found, describe(device));
  LLMOS_TRY_VOID(use(device));
  const work_layout layout(*m, limits, found.n_processors);
  const uint64_t pool_bytes = block_bytes(*m, limits) * (limits.num_blocks + spare_blocks);
  LLMOS_TRY(stream compute, stream::create());
  LLMOS_TRY(stream copies, stream::create());
  LLMOS_TRY(gemm products, gemm::create());
  LLMOS_TRY(buffer pool, make_zeroed(pool_bytes, compute));
  LLMOS_TRY(buffer work, make_zeroed(layout.size, compute));
  LLMOS_TRY(device_weights weights, upload(*m, compute));
  LLMOS_TRY(pinned logits,
            pinned::create(uint64_t{limits.max_logits} * m->hp.n_vocab * sizeof(float)));
  LLMOS_TRY(pinned host_blocks, pinned::create(block_bytes(*m, limits) * limits.num_host_blocks));
  LLMOS_TRY(host_side one, make_side(*m, limits));
  LLMOS_TRY(host_side other, make_side(*m, limits));
  std::unique_ptr<cuda_backend> out(new cuda_backend(std::move(m), limits, layout,
                                                     {device,
                                                      std::move(found),
                                                      std::move(compute),
                                                      std::move(copies),
                                                      std::move(products),
                                                      std::move(weights),
                                                      std::move(pool),
                                                      std::move(work),
                                                      std::move(logits),
                                                      std::move(host_blocks),
                                                      {std::move(one), std::move(other)}}));
  LLMOS_TRY_VOID(out->fill_tables());
  return std::unique_ptr<backend>(std::move(out));
}

cuda_backend::cuda_backend(std::shared_ptr<const model> m, const backend_limits& limits,
                           const work_layout& layout, parts p)
    : model_(std::move(m)),
      hp_(model_->hp),
      limits_(limits),
      kv_(layout_of(*model_, limits)),
      layout_(layout),
      p_(std::move(p)),
      step_(limits, hp_, p_.device.n_processors) {
  info_.name = "cuda";
  info_.device = p_.device.name + ", compute capability " + p_.device.compute;
  info_.numerics = "cuda-bf16/f16kv";
  info_.weight_bytes = p_.weights.memory->size_bytes();
  info_.kv_bytes = block_bytes(*model_, limits_) * limits_.num_blocks;
}

/// The angles of every position.
result<void> cuda_backend::fill_tables() {
  const rope_table table = make_rope_table(*model_, limits_.max_context);
  const size_t bytes = table.cos.size() * sizeof(float);
  LLMOS_TRY_VOID(p_.work.copy_from_host(layout_.cos, table.cos.data(), bytes, s()));
  LLMOS_TRY_VOID(p_.work.copy_from_host(layout_.sin, table.sin.data(), bytes, s()));
  return p_.compute.synchronize();
}

/// Everything up to the logits or tokens, which stay on the device; does not wait. A shape that
/// comes again and again is recorded when it comes first.
result<void> cuda_backend::run(const step_batch& batch, const step_choices& choices,
                               host_side& side, uint32_t n_before) {
  LLMOS_TRY_VOID(validate(batch, limits_, hp_.n_vocab, n_before));
  const auto step = step_.write(batch, choices, side.inputs.data<std::byte>());
  LLMOS_TRY_VOID(send(step, side));
  const step_shape& shape = step.shape;
  if (!step.repeats) return launch_step(shape);
  auto known = graphs_.find(shape);
  if (known == graphs_.end()) {
    LLMOS_TRY(graph made, graph::record(p_.compute, [&] { return launch_step(shape); }));
    known = graphs_.emplace(shape, std::move(made)).first;
  }
  return known->second.launch(s());
}

result<void> cuda_backend::send(const step_inputs::prepared& step, host_side& side) {
  const auto* from = side.inputs.data<std::byte>();
  const size_t adjustments = step_.layout().adjustments;
  LLMOS_TRY_VOID(p_.work.copy_from_host(layout_.inputs, from, step.n_bytes, s()));
  if (step.n_adjustment_bytes == 0) return {};
  return p_.work.copy_from_host(layout_.inputs + adjustments, from + adjustments,
                                step.n_adjustment_bytes, s());
}

result<std::span<const float>> cuda_backend::forward(const step_batch& batch) {
  LLMOS_CHECK(flights_.empty());
  LLMOS_TRY_VOID(run(batch, {}, p_.sides[0], 0));
  const size_t n_values = batch.logit_rows.size() * hp_.n_vocab;
  LLMOS_TRY_VOID(
      p_.work.copy_to_host(layout_.logits, p_.logits.data<void>(), n_values * sizeof(float), s()));
  LLMOS_TRY_VOID(p_.compute.synchronize());
  return std::span<const float>(p_.logits.data<float>(), n_values);
}

result<std::span<const token_id>> cuda_backend::forward_and_choose(const step_batch& batch,
                                                                   const step_choices& choices) {
  LLMOS_CHECK(flights_.empty());
  LLMOS_TRY_VOID(begin(batch, choices));
  ++n_waited_;  // finish() waits
  return finish();
}

/// The stream keeps the order: the step before has chosen its tokens when this one looks them up,
/// and they are on their way to the host when this one chooses.
result<void> cuda_backend::begin(const step_batch& batch, const step_choices& choices) {
  LLMOS_CHECK(flights_.size() < p_.sides.size());
  host_side& side = p_.sides[n_begun_ % p_.sides.size()];
  const auto n_before = static_cast<uint32_t>(flights_.empty() ? 0 : flights_.back().n_tokens);
  const auto n_logits = static_cast<uint32_t>(batch.logit_rows.size());
  LLMOS_TRY_VOID(validate(choices, n_logits, hp_.n_vocab, n_before));
  LLMOS_TRY_VOID(run(batch, choices, side, n_before));
  LLMOS_TRY_VOID(p_.work.copy_to_host(layout_.tokens, side.tokens.data<void>(),
                                      choices.rows.size() * sizeof(token_id), s()));
  LLMOS_TRY_VOID(side.ended.record(p_.compute));
  flights_.push_back({&side, choices.rows.size()});
  ++n_begun_;
  return {};
}

/// What failed is told by finish().
void cuda_backend::wait() {
  static_cast<void>(use(p_.number));
  static_cast<void>(p_.sides[n_waited_++ % p_.sides.size()].ended.synchronize());
}

result<std::span<const token_id>> cuda_backend::finish() {
  LLMOS_CHECK(!flights_.empty());
  const flight f = flights_.front();
  flights_.pop_front();
  LLMOS_TRY_VOID(f.side->ended.synchronize());
  return std::span<const token_id>(f.side->tokens.data<token_id>(), f.n_tokens);
}

result<void> cuda_backend::launch_step(const step_shape& shape) {
  const device_matrix& table = p_.weights.embedding;
  LLMOS_TRY_VOID(embed(at<float>(layout_.x), table.data, table.stride,
                       input<int32_t>(step_.layout().tokens), at<int32_t>(layout_.tokens),
                       shape.n_rows, hp_.n_embd, s()));
  for (uint32_t layer = 0; layer < hp_.n_layers; ++layer) {
    LLMOS_TRY_VOID(run_layer(p_.weights.layers[layer], layer, shape));
  }
  LLMOS_TRY_VOID(make_logits(shape.n_logits));
  return shape.chooses ? choose_tokens(shape) : result<void>{};
}

result<void> cuda_backend::multiply(const device_matrix& w, const bf16* x, void* out,
                                    product_output output, uint32_t n_rows) {
  const product_args a{x, w.data, out, output, n_rows, w.n, w.stride};
  return n_rows <= multiply_few_rows ? multiply_few(a, s()) : p_.products.multiply(a, s());
}

result<void> cuda_backend::run_layer(const device_layer& w, uint32_t layer,
                                     const step_shape& shape) {
  const uint32_t n_rows = shape.n_rows;
  float* x = at<float>(layout_.x);
  bf16 *h = at<bf16>(layout_.h), *activated = at<bf16>(layout_.activated);
  LLMOS_TRY_VOID(
      rms_norm(h, w.qkv.stride, x, w.attn_norm, nullptr, n_rows, hp_.n_embd, hp_.rms_eps, s()));
  LLMOS_TRY_VOID(multiply(w.qkv, h, at<float>(layout_.qkv), product_output::f32, n_rows));
  LLMOS_TRY_VOID(place(w, layer, n_rows));
  LLMOS_TRY_VOID(attend(layer, shape));
  LLMOS_TRY_VOID(multiply(w.wo, at<bf16>(layout_.attended), x, product_output::add_f32, n_rows));
  if (w.wo_bias != nullptr) LLMOS_TRY_VOID(add_bias(x, w.wo_bias, n_rows, hp_.n_embd, s()));
  LLMOS_TRY_VOID(
      rms_norm(h, w.gate_up.stride, x, w.ffn_norm, nullptr, n_rows, hp_.n_embd, hp_.rms_eps, s()));
  LLMOS_TRY_VOID(multiply(w.gate_up, h, at<bf16>(layout_.gate_up), product_output::bf16, n_rows));
  LLMOS_TRY_VOID(
      silu_mul(activated, w.down.stride, at<bf16>(layout_.gate_up), n_rows, hp_.n_ff, s()));
  return multiply(w.down, activated, x, product_output::add_f32, n_rows);
}

/// Queries to their buffer, keys and values into the pool.
result<void> cuda_backend::place(const device_layer& w, uint32_t layer, uint32_t n_rows) {
  place_heads_args a{};
  a.qkv = at<float>(layout_.qkv);
  a.bias = w.qkv_bias;
  a.q_norm = w.q_norm;
  a.k_norm = w.k_norm;
  a.cos = at<float>(layout_.cos);
  a.sin = at<float>(layout_.sin);
  a.positions = input<uint32_t>(step_.layout().positions);
  a.blocks = input<uint32_t>(step_.layout().blocks);
  a.q = at<f16>(layout_.q);
  a.pool = p_.pool.data<f16>();
  a.kv = kv_;
  a.layer = layer;
  a.n_heads = hp_.n_heads;
  a.head_dim = hp_.head_dim;
  a.n_pairs = hp_.rope_dim / 2;
  a.interleaved = hp_.rope == rope_style::interleaved;
  a.eps = hp_.rms_eps;
  a.q_scale = std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(hp_.head_dim));
  return place_heads(a, n_rows, s());
}

result<void> cuda_backend::attend(uint32_t layer, const step_shape& shape) {
  attention_args a{};
  a.tiles = input<attention_tile>(step_.layout().few_tiles);
  a.header = input<step_header>(step_.layout().header);
  a.block_tables = input<uint32_t>(step_.layout().tables);
  a.q = at<f16>(layout_.q);
  a.pool = p_.pool.data<f16>();
  a.kv = kv_;
  a.layer = layer;
  a.n_heads = hp_.n_heads;
  a.head_dim = hp_.head_dim;
  a.out = at<bf16>(layout_.attended);
  a.out_stride = padded_inputs(hp_.n_heads * hp_.head_dim);
  a.partials = at<float>(layout_.partials);
  LLMOS_TRY_VOID(attend_by_keys(a, shape.n_few_tiles, shape.n_splits, s()));
  a.tiles = input<attention_tile>(step_.layout().many_tiles);
  return attend_by_tiles(a, shape.n_many_tiles, s());
}

result<void> cuda_backend::make_logits(uint32_t n_logits) {
  if (n_logits == 0) return {};
  const device_matrix& head = p_.weights.head;
  bf16* h = at<bf16>(layout_.h);
  LLMOS_TRY_VOID(rms_norm(h, head.stride, at<float>(layout_.x), p_.weights.output_norm,
                          input<uint32_t>(step_.layout().logit_rows), n_logits, hp_.n_embd,
                          hp_.rms_eps, s()));
  return multiply(head, h, at<float>(layout_.logits), product_output::f32, n_logits);
}

result<void> cuda_backend::choose_tokens(const step_shape& shape) {
  const auto* choices = input<token_choice>(step_.layout().choices);
  auto* tokens = at<int32_t>(layout_.tokens);
  auto* logits = at<float>(layout_.logits);
  if (shape.adjusts) {
    LLMOS_TRY_VOID(adjust(logits, choices, input<token_adjustment>(step_.layout().adjustments),
                          tokens, shape.n_logits, hp_.n_vocab, s()));
  }
  return choose(tokens, logits, choices, shape.n_logits, hp_.n_vocab, s());
}

/// On a stream of its own, from a thread of its own.
result<void> cuda_backend::move_blocks(std::span<const block_move> moves) {
  LLMOS_TRY_VOID(validate_moves(moves, limits_));
  LLMOS_TRY_VOID(use(p_.number));
  const uint64_t bytes = kv_.block_values() * half_bytes;
  const auto on_host = [&](block_id b) {
    return p_.host_blocks.data<std::byte>() + (b - limits_.num_blocks) * bytes;
  };
  const stream_handle s = p_.copies.handle();
  for (const block_move& m : moves) {
    if (m.from < limits_.num_blocks) {
      LLMOS_TRY_VOID(p_.pool.copy_to_host(m.from * bytes, on_host(m.to), bytes, s));
    } else {
      LLMOS_TRY_VOID(p_.pool.copy_from_host(m.to * bytes, on_host(m.from), bytes, s));
    }
  }
  return p_.copies.synchronize();
}

result<void> cuda_backend::copy_blocks(std::span<const block_id> from,
                                       std::span<const block_id> to) {
  LLMOS_TRY_VOID(validate_copy(from, to, limits_));
  const uint64_t bytes = kv_.block_values() * half_bytes;
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == to[i]) continue;
    LLMOS_TRY_VOID(p_.pool.copy_within(to[i] * bytes, from[i] * bytes, bytes, s()));
  }
  return p_.compute.synchronize();
}

}  // namespace

result<std::unique_ptr<backend>> make_cuda_backend(int device, std::shared_ptr<const model> m,
                                                   const backend_limits& limits) {
  return cuda_backend::make(device, std::move(m), limits);
}

result<backend_memory> memory_of_cuda_backend(int device, const model& m,
                                              const backend_limits& limits) {
  LLMOS_TRY_VOID(check_supported(m, limits));
  LLMOS_TRY(const device_info found, describe(device));
  const uint64_t block = block_bytes(m, limits);
  return backend_memory{
      weight_bytes(m), block * limits.num_blocks,
      work_layout(m, limits, found.n_processors).size + gemm::workspace_size + spare_blocks * block,
      block * limits.num_host_blocks};
}

}  // namespace llmos::gpu
