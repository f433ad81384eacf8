#include "gpu/weights.hpp"

#include <algorithm>
#include <initializer_list>

#include "gpu/places.hpp"
#include "runtime/base/half.hpp"
#include "runtime/gguf/tensor_type.hpp"

namespace llmos::gpu {

namespace {

constexpr uint64_t staging_bytes = uint64_t{8} << 20;

/// Walks a model's weights in the order in which they stand on the device. Without a buffer it only
/// counts.
class placer {
public:
  placer(buffer* memory, const stream* s) : memory_(memory), stream_(s) {}

  uint64_t end() const { return places_.end(); }

  /// One matrix of the rows of all parts, one after the other. REQUIRES: they have the same inputs.
  result<device_matrix> matrix(std::initializer_list<const tensor_info*> parts) {
    const auto k = static_cast<uint32_t>((*parts.begin())->dims[0]);
    device_matrix out{nullptr, 0, k, padded_inputs(k)};
    for (const tensor_info* t : parts) out.n += static_cast<uint32_t>(t->n_elements() / k);
    uint64_t at = places_.take(uint64_t{out.n} * out.stride * sizeof(uint16_t));
    if (memory_ == nullptr) return out;
    out.data = reinterpret_cast<const bf16*>(memory_->data<std::byte>() + at);
    for (const tensor_info* t : parts) {
      LLMOS_TRY(at, put_rows(*t, out, at));
    }
    return out;
  }

  struct vector_part {
    const tensor_info* tensor;  ///< nullptr: zeros.
    uint32_t n;
  };
  /// One float32 vector of all parts, one after the other; nullptr when there is none of them.
  result<const float*> vector(std::initializer_list<vector_part> parts) {
    std::vector<float> all;
    bool is_there = false;
    for (const auto& [tensor, n] : parts) {
      all.resize(all.size() + n);
      if (tensor == nullptr) continue;
      is_there = true;
      if (memory_ != nullptr) dequantize(tensor->type, tensor->data, std::span(all).last(n));
    }
    if (!is_there) return static_cast<const float*>(nullptr);
    const uint64_t at = places_.take(all.size() * sizeof(float));
    if (memory_ == nullptr) return static_cast<const float*>(nullptr);
    LLMOS_TRY_VOID(copy(at, all.data(), all.size() * sizeof(float)));
    return reinterpret_cast<const float*>(memory_->data<std::byte>() + at);
  }

private:
  result<void> copy(uint64_t at, const void* from, size_t bytes) {
    LLMOS_TRY_VOID(memory_->copy_from_host(at, from, bytes, stream_->handle()));
    return stream_->synchronize();
  }

  /// Returns where the next rows go.
  result<uint64_t> put_rows(const tensor_info& t, const device_matrix& m, uint64_t at) {
    const uint64_t n_rows = t.n_elements() / m.k, row_bytes = t.n_bytes / n_rows;
    const uint64_t out_bytes = uint64_t{m.stride} * sizeof(uint16_t);
    const uint64_t at_once = std::max<uint64_t>(1, staging_bytes / out_bytes);
    row_.resize(m.k);
    for (uint64_t first = 0; first < n_rows; first += at_once) {
      const uint64_t n = std::min(at_once, n_rows - first);
      staging_.assign(n * m.stride, 0);
      for (uint64_t r = 0; r < n; ++r) {
        dequantize(t.type, t.data + (first + r) * row_bytes, row_);
        std::transform(row_.begin(), row_.end(), staging_.begin() + r * m.stride, float_to_bf16);
      }
      LLMOS_TRY_VOID(copy(at, staging_.data(), n * out_bytes));
      at += n * out_bytes;
    }
    return at;
  }

  buffer* memory_;
  const stream* stream_;
  places places_;
  std::vector<float> row_;
  std::vector<uint16_t> staging_;
};

result<device_layer> place(const hyperparameters& hp, const layer_tensors& t, placer& p) {
  const uint32_t q_width = hp.n_heads * hp.head_dim, kv_width = hp.n_kv_heads * hp.head_dim;
  device_layer out;
  LLMOS_TRY(out.qkv, p.matrix({t.wq, t.wk, t.wv}));
  LLMOS_TRY(out.wo, p.matrix({t.wo}));
  LLMOS_TRY(out.gate_up, p.matrix({t.gate, t.up}));
  LLMOS_TRY(out.down, p.matrix({t.down}));
  LLMOS_TRY(out.attn_norm, p.vector({{t.attn_norm, hp.n_embd}}));
  LLMOS_TRY(out.ffn_norm, p.vector({{t.ffn_norm, hp.n_embd}}));
  LLMOS_TRY(out.qkv_bias, p.vector({{t.bq, q_width}, {t.bk, kv_width}, {t.bv, kv_width}}));
  LLMOS_TRY(out.wo_bias, p.vector({{t.bo, hp.n_embd}}));
  LLMOS_TRY(out.q_norm, p.vector({{t.q_norm, hp.head_dim}}));
  LLMOS_TRY(out.k_norm, p.vector({{t.k_norm, hp.head_dim}}));
  return out;
}

result<device_weights> place(const model& m, placer& p) {
  device_weights out;
  LLMOS_TRY(out.embedding, p.matrix({m.token_embd}));
  out.head = out.embedding;
  if (!m.tied()) {
    LLMOS_TRY(out.head, p.matrix({m.output}));
  }
  LLMOS_TRY(out.output_norm, p.vector({{m.output_norm, m.hp.n_embd}}));
  for (const layer_tensors& t : m.layers) {
    LLMOS_TRY(device_layer layer, place(m.hp, t, p));
    out.layers.push_back(layer);
  }
  return out;
}

}  // namespace

uint64_t weight_bytes(const model& m) {
  placer counting(nullptr, nullptr);
  const auto placed = place(m, counting);
  LLMOS_CHECK(placed.ok());  // without memory nothing can fail
  return counting.end();
}

result<device_weights> upload(const model& m, const stream& s) {
  LLMOS_TRY(buffer memory, buffer::create(weight_bytes(m)));
  placer placing(&memory, &s);
  LLMOS_TRY(device_weights out, place(m, placing));
  out.memory = std::move(memory);
  return out;
}

}  // namespace llmos::gpu
