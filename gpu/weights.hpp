#pragma once

#include <optional>
#include <vector>

#include "gpu/device.hpp"
#include "gpu/kernels/types.hpp"
#include "runtime/model/model.hpp"

namespace llmos::gpu {

/// A weight matrix in bf16 on the device: [n, stride], zeros from k to stride.
struct device_matrix {
  const bf16* data = nullptr;
  uint32_t n = 0, k = 0, stride = 0;
};

/// One layer's weights; vectors are float32, nullptr where the architecture has none.
struct device_layer {
  device_matrix qkv, wo, gate_up, down;
  const float *attn_norm = nullptr, *ffn_norm = nullptr;
  const float *qkv_bias = nullptr, *wo_bias = nullptr;
  const float *q_norm = nullptr, *k_norm = nullptr;
};

/// A model's weights on the device in use, in one allocation.
struct device_weights {
  std::optional<buffer> memory;
  device_matrix embedding;
  device_matrix head;  ///< The embedding itself when tied.
  const float* output_norm = nullptr;
  std::vector<device_layer> layers;
};

/// Inputs of a matrix row, padded so that rows begin at multiples of 64 bytes.
constexpr uint32_t padded_inputs(uint32_t k) {
  return (k + 31) / 32 * 32;
}

/// Bytes that upload() allocates.
uint64_t weight_bytes(const model& m);

/// Decodes the weights of every type to bf16, copies them to the device, and waits. Errors:
/// out_of_memory, internal.
result<device_weights> upload(const model& m, const stream& s);

}  // namespace llmos::gpu
