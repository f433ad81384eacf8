#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "runtime/backend/backend.hpp"
#include "runtime/backend/cpu/kernels.hpp"
#include "runtime/backend/cpu/memory.hpp"

namespace llmos::cpu {

/// KV memory in f16. A block is contiguous over all layers (it is what gets copied, shared and
/// stored): [layer][kv head]{ K [head_dim][block_tokens], V [block_tokens][head_dim padded to 16]
/// }. K is transposed so that the lanes of a score vector are keys.
class kv_pool {
public:
  /// Size of the pool, or nothing when it leaves 64 bits.
  static std::optional<uint64_t> bytes_of(const hyperparameters& hp, const backend_limits& limits);

  /// Errors: out_of_memory (with the bytes).
  static result<kv_pool> make(const hyperparameters& hp, const backend_limits& limits);

  /// K of one head in one block; V begins at + head_dim · block_tokens.
  uint16_t* head(block_id block, uint32_t layer, uint32_t kv_head) const {
    return base() + block * block_halves_ + (size_t{layer} * n_kv_heads_ + kv_head) * head_halves_;
  }
  void copy(block_id from, block_id to) {
    if (from == to) return;
    std::memcpy(base() + to * block_halves_, base() + from * block_halves_, block_halves_ * 2);
  }
  uint64_t size_bytes() const { return memory_.size(); }

private:
  uint16_t* base() const { return reinterpret_cast<uint16_t*>(memory_.data()); }

  mapped_memory memory_;
  uint32_t n_kv_heads_ = 0;
  size_t head_halves_ = 0;
  size_t block_halves_ = 0;
};

/// head_dim rounded up to whole vectors.
inline uint32_t padded_head_dim(const hyperparameters& hp) {
  return (hp.head_dim + 15) / 16 * 16;
}

}  // namespace llmos::cpu
