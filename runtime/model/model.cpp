#include "runtime/model/model.hpp"

#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "runtime/gguf/printable.hpp"
#include "runtime/model/hyperparameters.hpp"

namespace llmos {

namespace {

bool is_float(tensor_type type) {
  return type == tensor_type::f32 || type == tensor_type::f16 || type == tensor_type::bf16;
}

std::string shape_text(std::span<const uint64_t> dims) {
  std::string out = "[";
  for (size_t i = 0; i < dims.size(); ++i) out += (i ? ", " : "") + std::to_string(dims[i]);
  return out + "]";
}

/// Finds, types and shapes the tensors of one file, and remembers which were taken.
class weight_finder {
public:
  explicit weight_finder(const gguf_file& file) : file_(file) {}

  failure bad(std::string_view name, const std::string& says) const {
    return {ec::bad_file, file_.path() + ": tensor '" + printable(name, 80) + "' " + says,
            "get another copy of the file"};
  }

  result<const tensor_info*> matrix(const std::string& name, uint64_t inputs, uint64_t outputs) {
    const tensor_info* t = take(name);
    if (t == nullptr) return bad(name, "is missing");
    return checked(t, {inputs, outputs});
  }
  result<const tensor_info*> vector(const std::string& name, uint64_t n) {
    const tensor_info* t = take(name);
    if (t == nullptr) return bad(name, "is missing");
    if (!is_float(t->type)) {
      return bad(name,
                 "has type " + std::string(info_of(t->type).name) + ", expected F32, F16 or BF16");
    }
    return checked(t, {n, 1});
  }
  result<const tensor_info*> optional_vector(const std::string& name, uint64_t n) {
    if (file_.find_tensor(name) == nullptr) return static_cast<const tensor_info*>(nullptr);
    return vector(name, n);
  }
  const tensor_info* take(const std::string& name) {
    const tensor_info* t = file_.find_tensor(name);
    if (t != nullptr) taken_.insert(t);
    return t;
  }

  /// A weight nobody took would be left out of the forward pass in silence.
  result<void> refuse_leftovers(architecture arch) const {
    for (const tensor_info& t : file_.tensors()) {
      if (taken_.contains(&t) || is_harmless(t.name)) continue;
      return failure{ec::unsupported,
                     file_.path() + ": tensor '" + printable(t.name, 80) +
                         "' has no place in architecture " + to_string(arch),
                     "the model has a feature that llmos does not compute; use another one"};
    }
    return {};
  }

private:
  /// Rotation tables that old converters stored; they follow from the hyperparameters.
  static bool is_harmless(std::string_view name) {
    return name.ends_with(".attn_rot_embd.weight") || name.ends_with(".rot_embd.inv_freq");
  }

  result<const tensor_info*> checked(const tensor_info* t, std::pair<uint64_t, uint64_t> want) {
    const uint64_t wanted[4] = {want.first, want.second, 1, 1};
    for (int i = 0; i < 4; ++i) {
      if (t->dims[i] == wanted[i]) continue;
      const size_t n_wanted = want.second == 1 ? 1 : 2;
      return bad(t->name, "has shape " + shape_text({t->dims, t->n_dims}) + ", expected " +
                              shape_text({wanted, n_wanted}));
    }
    return t;
  }

  const gguf_file& file_;
  std::unordered_set<const tensor_info*> taken_;
};

result<layer_tensors> find_layer(weight_finder& find, const hyperparameters& hp, uint32_t index) {
  const std::string blk = "blk." + std::to_string(index) + ".";
  const uint64_t q_width = uint64_t{hp.n_heads} * hp.head_dim;
  const uint64_t kv_width = uint64_t{hp.n_kv_heads} * hp.head_dim;
  const auto bias = [&](const char* name, uint64_t n) {
    return hp.arch == architecture::qwen2 ? find.vector(blk + name, n)
                                          : find.optional_vector(blk + name, n);
  };
  layer_tensors l;
  LLMOS_TRY(l.attn_norm, find.vector(blk + "attn_norm.weight", hp.n_embd));
  LLMOS_TRY(l.wq, find.matrix(blk + "attn_q.weight", hp.n_embd, q_width));
  LLMOS_TRY(l.wk, find.matrix(blk + "attn_k.weight", hp.n_embd, kv_width));
  LLMOS_TRY(l.wv, find.matrix(blk + "attn_v.weight", hp.n_embd, kv_width));
  LLMOS_TRY(l.wo, find.matrix(blk + "attn_output.weight", q_width, hp.n_embd));
  LLMOS_TRY(l.bq, bias("attn_q.bias", q_width));
  LLMOS_TRY(l.bk, bias("attn_k.bias", kv_width));
  LLMOS_TRY(l.bv, bias("attn_v.bias", kv_width));
  LLMOS_TRY(l.bo, find.optional_vector(blk + "attn_output.bias", hp.n_embd));
  if (hp.arch == architecture::qwen3) {
    LLMOS_TRY(l.q_norm, find.vector(blk + "attn_q_norm.weight", hp.head_dim));
    LLMOS_TRY(l.k_norm, find.vector(blk + "attn_k_norm.weight", hp.head_dim));
  }
  LLMOS_TRY(l.ffn_norm, find.vector(blk + "ffn_norm.weight", hp.n_embd));
  LLMOS_TRY(l.gate, find.matrix(blk + "ffn_gate.weight", hp.n_embd, hp.n_ff));
  LLMOS_TRY(l.up, find.matrix(blk + "ffn_up.weight", hp.n_embd, hp.n_ff));
  LLMOS_TRY(l.down, find.matrix(blk + "ffn_down.weight", hp.n_ff, hp.n_embd));
  return l;
}

/// The embedding decides the vocabulary; what the metadata says about it must agree.
result<uint32_t> vocabulary_size(const gguf_file& file, const weight_finder& find,
                                 const tensor_info* embd, architecture arch) {
  constexpr uint64_t vocab_max = 1u << 24;
  const uint64_t rows = embd->dims[1];
  if (rows == 0 || rows > vocab_max) {
    return find.bad(embd->name, "has " + std::to_string(rows) + " rows, expected 1 to " +
                                    std::to_string(vocab_max));
  }
  const auto disagrees = [&](const std::string& key, uint64_t says) {
    return find.bad(embd->name, "has " + std::to_string(rows) + " rows, but '" + key + "' says " +
                                    std::to_string(says));
  };
  const std::string key = std::string(to_string(arch)) + ".vocab_size";
  LLMOS_TRY(const uint64_t said, file.get_uint_or(key, rows));
  if (said != rows) return disagrees(key, said);
  if (const gguf_entry* tokens = file.find("tokenizer.ggml.tokens")) {
    const auto* list = std::get_if<gguf_array>(&tokens->value);
    if (list != nullptr && list->count != rows)
      return disagrees("tokenizer.ggml.tokens", list->count);
  }
  return static_cast<uint32_t>(rows);
}

/// Llama 3.x stores its frequency divisors as a tensor.
result<void> read_rope_factors(weight_finder& find, model& m) {
  constexpr const char* name = "rope_freqs.weight";
  if (m.hp.arch != architecture::llama || m.file->find_tensor(name) == nullptr) return {};
  LLMOS_TRY(const tensor_info* t, find.vector(name, m.hp.rope_dim / 2));
  std::vector<float> factors(m.hp.rope_dim / 2);
  dequantize(t->type, t->data, factors);
  for (const float x : factors) {
    if (!std::isfinite(x) || x <= 0) {
      return find.bad(name, "holds " + std::to_string(x) + ", expected finite divisors above 0");
    }
  }
  if (!m.rope_factors.empty()) {
    return failure{ec::unsupported,
                   m.file->path() + ": YaRN scaling and tensor 'rope_freqs.weight' together",
                   "use a model with one kind of rope scaling"};
  }
  m.rope_factors = std::move(factors);
  return {};
}

}  // namespace

const char* to_string(architecture x) {
  switch (x) {
    case architecture::llama: return "llama";
    case architecture::qwen2: return "qwen2";
    case architecture::qwen3: return "qwen3";
  }
  return "unknown";
}

result<std::shared_ptr<const model>> load_model(std::shared_ptr<const gguf_file> file) {
  LLMOS_CHECK(file != nullptr);
  LLMOS_TRY(model_metadata meta, read_metadata(*file));
  auto m = std::make_shared<model>();
  m->file = file;
  m->hp = meta.hp;
  m->rope_factors = std::move(meta.rope_factors);
  weight_finder find(*file);

  const tensor_info* embd = file->find_tensor("token_embd.weight");
  if (embd == nullptr) return find.bad("token_embd.weight", "is missing");
  LLMOS_TRY(m->hp.n_vocab, vocabulary_size(*file, find, embd, m->hp.arch));
  LLMOS_TRY(m->token_embd, find.matrix("token_embd.weight", m->hp.n_embd, m->hp.n_vocab));
  LLMOS_TRY(m->output_norm, find.vector("output_norm.weight", m->hp.n_embd));
  m->output = m->token_embd;
  if (file->find_tensor("output.weight") != nullptr) {
    LLMOS_TRY(m->output, find.matrix("output.weight", m->hp.n_embd, m->hp.n_vocab));
  }
  LLMOS_TRY_VOID(read_rope_factors(find, *m));
  for (uint32_t i = 0; i < m->hp.n_layers; ++i) {
    LLMOS_TRY(layer_tensors layer, find_layer(find, m->hp, i));
    m->layers.push_back(layer);
  }
  LLMOS_TRY_VOID(find.refuse_leftovers(m->hp.arch));
  return std::shared_ptr<const model>(std::move(m));
}

memory_need need_of(const model& m, kv_type kv) {
  memory_need need;
  for (const tensor_info& t : m.file->tensors()) need.weights_bytes += t.n_bytes;
  need.kv_bytes_per_token =
      uint64_t{2} * m.hp.n_layers * m.hp.n_kv_heads * kv_head_bytes(kv, m.hp.head_dim);
  return need;
}

}  // namespace llmos
