#pragma once

#include <cstdint>
#include <memory>

#include "runtime/model/model.hpp"

namespace llmos::test {

/// Sizes of a model with random weights. Every matrix has type `type`; vectors are float32.
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
  uint64_t seed = 1;
};

/// A loaded model of that shape, in memory, without a vocabulary. The same for the same shape.
std::shared_ptr<const model> make_random_model(const random_model_shape& shape);

}  // namespace llmos::test
