#include "runtime/backend/cpu/kv_pool.hpp"

#include "runtime/base/checked.hpp"

namespace llmos::cpu {

result<kv_pool> kv_pool::make(const hyperparameters& hp, const backend_limits& limits) {
  kv_pool out;
  out.n_kv_heads_ = hp.n_kv_heads;
  out.head_halves_ = size_t{limits.block_tokens} * (size_t{hp.head_dim} + padded_head_dim(hp));
  std::optional<uint64_t> bytes = out.head_halves_ * sizeof(uint16_t);
  for (const uint64_t factor : {hp.n_kv_heads, hp.n_layers, limits.num_blocks}) {
    if (bytes) bytes = checked_mul<uint64_t>(*bytes, factor);
  }
  if (!bytes) return memory_failure(UINT64_MAX, "the KV pool");
  out.block_halves_ = out.head_halves_ * hp.n_kv_heads * hp.n_layers;
  LLMOS_TRY(out.memory_, mapped_memory::make(*bytes, "the KV pool"));
  return out;
}

}  // namespace llmos::cpu
