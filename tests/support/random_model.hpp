#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/model/model.hpp"
#include "tests/support/gguf_writer.hpp"

namespace llmos::test {

/// A model with random weights. Every matrix has type `type`; vectors are float32.
struct random_model_shape {
  architecture arch = architecture::llama;
  tensor_type type = tensor_type::q4_0;
  uint32_t n_layers = 2;
  uint32_t n_embd = 256;
  uint32_t n_heads = 4;
  uint32_t n_kv_heads = 2;
  uint32_t head_dim = 64;
  uint32_t n_ff = 512;
  uint32_t n_vocab = 300;
  bool tied = true;
  bool biases = false;  ///< A llama with biases of q, k, v and output; qwen2 always has three.
  bool rope_factors = false;      ///< A tensor of divisors, as Llama 3.x has.
  std::string rope_scaling = {};  ///< "", "linear" or "yarn": a context four times as long.
  uint64_t seed = 1;
};

/// A loaded model of that shape, in memory, without a vocabulary. The same for the same shape.
std::shared_ptr<const model> make_random_model(const random_model_shape& shape);

/// The file of that model.
gguf_writer random_model_file(const random_model_shape& shape);

struct random_model {
  std::string name;
  random_model_shape shape;
};

/// The models that goldens are made of: every architecture with every tensor type, named like
/// "qwen2-Q4_K", then one for each further feature ("llama-yarn").
std::vector<random_model> random_models();

}  // namespace llmos::test
