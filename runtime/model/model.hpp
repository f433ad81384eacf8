#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/gguf/file.hpp"
#include "runtime/model/kv_type.hpp"

namespace llmos {

enum class architecture : uint8_t { llama, qwen2, qwen3 };
const char* to_string(architecture x);

/// Which pairs of a head's dimensions rotate together.
enum class rope_style : uint8_t {
  interleaved,  ///< (0,1), (2,3), …: llama files, whose q/k rows were permuted at conversion.
  halves,       ///< (0, n/2), (1, n/2+1), …: qwen2, qwen3.
};

/// Everything that decides a forward pass besides the weights; validated against the tensors.
struct hyperparameters {
  architecture arch = architecture::llama;
  uint32_t n_layers = 0;
  uint32_t n_embd = 0;
  uint32_t n_heads = 0;
  uint32_t n_kv_heads = 0;
  uint32_t head_dim = 0;
  uint32_t n_ff = 0;
  uint32_t n_vocab = 0;
  uint32_t n_ctx_train = 0;
  float rms_eps = 0;
  rope_style rope = rope_style::interleaved;
  uint32_t rope_dim = 0;  ///< Rotated dimensions of a head (the first ones).
  float rope_base = 10000.0f;
  float rope_scale = 1.0f;        ///< Positions are multiplied by this (linear scaling: 1/factor).
  float rope_attn_factor = 1.0f;  ///< Multiplies cos and sin.
};

/// Weights of one layer; pointers into the file, nullptr where the architecture has none.
/// Matrices are [rows = outputs, dims[0] = inputs].
struct layer_tensors {
  const tensor_info* attn_norm = nullptr;  ///< [n_embd]
  const tensor_info* wq = nullptr;         ///< [n_heads * head_dim, n_embd]
  const tensor_info* wk = nullptr;         ///< [n_kv_heads * head_dim, n_embd]
  const tensor_info* wv = nullptr;         ///< [n_kv_heads * head_dim, n_embd]
  const tensor_info* wo = nullptr;         ///< [n_embd, n_heads * head_dim]
  const tensor_info* bq = nullptr;         ///< [n_heads * head_dim], qwen2
  const tensor_info* bk = nullptr;         ///< [n_kv_heads * head_dim], qwen2
  const tensor_info* bv = nullptr;         ///< [n_kv_heads * head_dim], qwen2
  const tensor_info* bo = nullptr;         ///< [n_embd], optional
  const tensor_info* q_norm = nullptr;     ///< [head_dim], qwen3
  const tensor_info* k_norm = nullptr;     ///< [head_dim], qwen3
  const tensor_info* ffn_norm = nullptr;   ///< [n_embd]
  const tensor_info* gate = nullptr;       ///< [n_ff, n_embd]
  const tensor_info* up = nullptr;         ///< [n_ff, n_embd]
  const tensor_info* down = nullptr;       ///< [n_embd, n_ff]
};

/// A model file understood: hyperparameters, every weight found, typed and shaped as they demand.
/// Immutable and shared; backends read weights from it and keep what they repack.
struct model {
  std::shared_ptr<const gguf_file> file;
  hyperparameters hp;
  const tensor_info* token_embd = nullptr;   ///< [n_vocab, n_embd]
  const tensor_info* output_norm = nullptr;  ///< [n_embd]
  const tensor_info* output = nullptr;       ///< [n_vocab, n_embd]; == token_embd when tied
  std::vector<layer_tensors> layers;
  /// Frequency divisors of Llama 3.x rope scaling, [rope_dim / 2]; empty when absent.
  std::vector<float> rope_factors;

  bool tied() const { return output == token_embd; }
};

/// Reads architecture, hyperparameters and weight table. Errors: unsupported (names the
/// architecture, rope scaling or tensor type), bad_file (names the key or tensor and both shapes).
result<std::shared_ptr<const model>> load_model(std::shared_ptr<const gguf_file> file);

/// cos and sin of every (position, pair), computed in double and rounded once.
/// Shared by all backends, so that they rotate by the same angles.
struct rope_table {
  uint32_t n_pairs = 0;
  std::vector<float> cos;  ///< [n_positions, n_pairs]
  std::vector<float> sin;  ///< [n_positions, n_pairs]
};
rope_table make_rope_table(const model& m, uint32_t n_positions);

/// Bytes a model needs, computed before anything is loaded.
struct memory_need {
  uint64_t weights_bytes = 0;       ///< As stored in the file.
  uint64_t kv_bytes_per_token = 0;  ///< 2 · layers · kv_heads · kv_head_bytes.
};
memory_need need_of(const model& m, kv_type kv);

}  // namespace llmos
