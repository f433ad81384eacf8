#pragma once

#include <vector>

#include "runtime/backend/cpu/memory.hpp"
#include "runtime/backend/cpu/packed.hpp"
#include "runtime/backend/cpu/team.hpp"
#include "runtime/model/model.hpp"

namespace llmos::cpu {

/// One layer's weights as the kernels read them. Vectors are float32, empty where there is none.
struct layer_weights {
  packed_matrix wq, wk, wv, wo, gate, up, down;
  std::vector<float> attn_norm, ffn_norm, q_norm, k_norm, bq, bk, bv, bo;
};

/// A model repacked; owns the memory of every matrix. The token embedding stays in the file,
/// where single rows are decoded from; a tied head is packed once, as the head.
struct model_weights {
  mapped_memory memory;
  std::vector<layer_weights> layers;
  packed_matrix output;
  std::vector<float> output_norm;
  uint64_t packed_bytes = 0;  ///< Of all matrices together.
};

/// Shape and size of every matrix; the memory is still empty, the vectors are too. Errors:
/// out_of_memory when a size leaves 64 bits.
result<model_weights> plan_weights(const model& m);

/// Packs all weights with the whole team; the file's own bytes leave memory. Errors: out_of_memory
/// (with the bytes).
result<model_weights> pack_weights(const model& m, team& workers);

}  // namespace llmos::cpu
