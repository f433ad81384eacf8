#include "tests/support/random_model.hpp"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/check.hpp"
#include "tests/support/gguf_writer.hpp"
#include "tests/support/splitmix64.hpp"

namespace llmos::test {

namespace {

class model_writer {
public:
  explicit model_writer(const random_model_shape& s) : s_(s), seed_(s.seed * 1000) {}

  gguf_writer file() {
    add_hyperparameters();
    // Small where tied, or each token would mostly predict itself.
    matrix("token_embd.weight", s_.n_embd, s_.n_vocab, s_.tied ? head_scale : 1.0f);
    if (!s_.tied) matrix("output.weight", s_.n_embd, s_.n_vocab, head_scale);
    vector("output_norm.weight", s_.n_embd, 1.0f);
    if (s_.rope_factors) add_rope_factors();
    for (uint32_t i = 0; i < s_.n_layers; ++i) add_layer("blk." + std::to_string(i) + ".");
    return std::move(writer_);
  }

private:
  static constexpr float head_scale = 0.25f;  // logits of a deviation of about 4, as real ones

  void add_hyperparameters() {
    const std::string arch = to_string(s_.arch);
    writer_.add_kv("general.architecture", arch);
    const auto add = [&](const char* key, auto value) { writer_.add_kv(arch + "." + key, value); };
    add("block_count", s_.n_layers);
    add("context_length", 8192u);
    add("embedding_length", s_.n_embd);
    add("feed_forward_length", s_.n_ff);
    add("attention.head_count", s_.n_heads);
    add("attention.head_count_kv", s_.n_kv_heads);
    add("attention.key_length", s_.head_dim);
    add("attention.value_length", s_.head_dim);
    add("attention.layer_norm_rms_epsilon", 1e-5f);
    add("rope.freq_base", 10000.0f);
    add("rope.dimension_count", s_.head_dim);
    add("vocab_size", s_.n_vocab);
    writer_.add_kv("tokenizer.ggml.model", "no_vocab");
    if (s_.rope_scaling.empty()) return;
    add("rope.scaling.type", s_.rope_scaling);
    add("rope.scaling.factor", 4.0f);
    if (s_.rope_scaling == "yarn") add("rope.scaling.original_context_length", 128u);
  }

  void add_rope_factors() {
    std::vector<float> factors(s_.head_dim / 2);
    for (size_t i = 0; i < factors.size(); ++i) factors[i] = 1.0f + 0.25f * static_cast<float>(i);
    writer_.add_tensor("rope_freqs.weight", {factors.size()}, factors);
  }

  void add_layer(const std::string& blk) {
    const uint32_t q = s_.n_heads * s_.head_dim, kv = s_.n_kv_heads * s_.head_dim;
    vector(blk + "attn_norm.weight", s_.n_embd, 1.0f);
    vector(blk + "ffn_norm.weight", s_.n_embd, 1.0f);
    matrix(blk + "attn_q.weight", s_.n_embd, q);
    matrix(blk + "attn_k.weight", s_.n_embd, kv);
    matrix(blk + "attn_v.weight", s_.n_embd, kv);
    matrix(blk + "attn_output.weight", q, s_.n_embd);
    matrix(blk + "ffn_gate.weight", s_.n_embd, s_.n_ff);
    matrix(blk + "ffn_up.weight", s_.n_embd, s_.n_ff);
    matrix(blk + "ffn_down.weight", s_.n_ff, s_.n_embd);
    if (s_.arch == architecture::qwen2 || s_.biases) {
      vector(blk + "attn_q.bias", q, 0.0f);
      vector(blk + "attn_k.bias", kv, 0.0f);
      vector(blk + "attn_v.bias", kv, 0.0f);
    }
    if (s_.biases) vector(blk + "attn_output.bias", s_.n_embd, 0.0f);
    if (s_.arch == architecture::qwen3) {
      vector(blk + "attn_q_norm.weight", s_.head_dim, 1.0f);
      vector(blk + "attn_k_norm.weight", s_.head_dim, 1.0f);
    }
  }

  /// Outputs keep the inputs' size: the deviation is 1 / sqrt(inputs).
  void matrix(const std::string& name, uint64_t in, uint64_t out) {
    matrix(name, in, out, 1.0f / std::sqrt(static_cast<float>(in)));
  }
  void matrix(const std::string& name, uint64_t in, uint64_t out, float scale) {
    writer_.add_tensor(name, s_.type, {in, out}, random_blocks(s_.type, in * out, ++seed_, scale));
  }
  /// Values within 0.5 of `center`.
  void vector(const std::string& name, uint64_t n, float center) {
    splitmix64 random(++seed_);
    std::vector<float> values(n);
    for (float& x : values) x = center + random.uniform() - 0.5f;
    writer_.add_tensor(name, {n}, values);
  }

  const random_model_shape& s_;
  gguf_writer writer_;
  uint64_t seed_;
};

/// Keeps the bytes that a model's file and tensors point into.
struct owned_model {
  std::vector<std::byte> bytes;
  std::shared_ptr<const model> m;
};

random_model_shape usual_shape(architecture arch, tensor_type type) {
  random_model_shape shape{.arch = arch, .type = type, .n_vocab = 320};
  shape.tied = arch == architecture::qwen2;
  if (arch == architecture::qwen3) shape.head_dim = 128;  // wider than n_embd / n_heads
  return shape;
}

}  // namespace

gguf_writer random_model_file(const random_model_shape& shape) {
  return model_writer(shape).file();
}

std::shared_ptr<const model> make_random_model(const random_model_shape& shape) {
  auto owned = std::make_shared<owned_model>();
  owned->bytes = random_model_file(shape).bytes();
  auto file = gguf_file::parse(owned->bytes, "random model");
  LLMOS_CHECK(file.ok());
  auto m = load_model(*std::move(file));
  LLMOS_CHECK(m.ok());
  owned->m = *std::move(m);
  return {owned, owned->m.get()};
}

std::vector<random_model> random_models() {
  std::vector<random_model> models;
  const auto add = [&](architecture arch, tensor_type type,
                       const std::string& name) -> random_model_shape& {
    models.push_back({to_string(arch) + ("-" + name), usual_shape(arch, type)});
    models.back().shape.seed = models.size();
    return models.back().shape;
  };
  for (const auto arch : {architecture::llama, architecture::qwen2, architecture::qwen3}) {
    for (const type_info& t : all_tensor_types()) add(arch, t.type, std::string(t.name));
  }
  // Float weights from here, so that a small error of an angle stands out.
  add(architecture::llama, tensor_type::f16, "tied").tied = true;
  add(architecture::llama, tensor_type::f16, "biases").biases = true;
  add(architecture::llama, tensor_type::f16, "rope-factors").rope_factors = true;
  add(architecture::llama, tensor_type::f16, "linear").rope_scaling = "linear";
  add(architecture::llama, tensor_type::f16, "yarn").rope_scaling = "yarn";
  add(architecture::qwen2, tensor_type::f16, "untied").tied = false;
  add(architecture::qwen2, tensor_type::f16, "yarn").rope_scaling = "yarn";
  add(architecture::qwen3, tensor_type::f16, "tied").tied = true;
  return models;
}

}  // namespace llmos::test
