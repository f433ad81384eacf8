#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "runtime/backend/backend.hpp"
#include "runtime/backend/cpu/kernels.hpp"
#include "runtime/backend/cpu/memory.hpp"

namespace llmos::cpu {

/// KV memory. A block is contiguous over all layers (it is what gets copied, shared and stored):
/// [layer][kv head], each as `kv_layout` says.
class kv_pool {
public:
  /// Size of the pool, or nothing when it leaves 64 bits.
  static std::optional<uint64_t> bytes_of(const hyperparameters& hp, const backend_limits& limits);

  /// Errors: out_of_memory (with the bytes).
  static result<kv_pool> make(const hyperparameters& hp, const backend_limits& limits);

  const kv_layout& layout() const { return layout_; }
  /// Where one head begins in one block.
  std::byte* head(block_id block, uint32_t layer, uint32_t kv_head) const {
    const size_t index = size_t{layer} * n_kv_heads_ + kv_head;
    return memory_.data() + block * block_bytes_ + index * layout_.bytes;
  }
  void copy(block_id from, block_id to) {
    if (from == to) return;
    std::memcpy(head(to, 0, 0), head(from, 0, 0), block_bytes_);
  }
  uint64_t size_bytes() const { return memory_.size(); }

private:
  mapped_memory memory_;
  kv_layout layout_{};
  uint32_t n_kv_heads_ = 0;
  size_t block_bytes_ = 0;
};

/// What writes and reads that type.
inline const kv_kernels& kernels_for(kv_type type, const kernel_table& table) {
  return type == kv_type::f16 ? table.kv_f16 : table.kv_q8_0;
}

/// Memory for the `factors` of a kernel that takes so many rows, in bytes.
inline size_t attention_factor_bytes(uint32_t max_attention_rows, uint32_t head_dim) {
  const size_t n_parts = (size_t{head_dim} + block_k - 1) / block_k;
  const size_t floats = n_parts * block_k * sizeof(float);
  const size_t codes = 2 * std::max<size_t>(n_parts * act_block_bytes, partition_keys);
  return max_attention_rows * std::max(floats, codes);
}

/// head_dim rounded up to whole vectors.
inline uint32_t padded_head_dim(const hyperparameters& hp) {
  return (hp.head_dim + 15) / 16 * 16;
}

}  // namespace llmos::cpu
