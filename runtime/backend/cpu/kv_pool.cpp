#include "runtime/backend/cpu/kv_pool.hpp"

#include "runtime/base/checked.hpp"

namespace llmos::cpu {

namespace {

/// K and V of one head in one block.
size_t halves_of_head(const hyperparameters& hp, const backend_limits& limits) {
  return size_t{limits.block_tokens} * (size_t{hp.head_dim} + padded_head_dim(hp));
}

}  // namespace

std::optional<uint64_t> kv_pool::bytes_of(const hyperparameters& hp, const backend_limits& limits) {
  std::optional<uint64_t> bytes = halves_of_head(hp, limits) * sizeof(uint16_t);
  for (const uint64_t factor : {hp.n_kv_heads, hp.n_layers, limits.num_blocks}) {
    if (bytes) bytes = checked_mul<uint64_t>(*bytes, factor);
  }
  return bytes;
}

result<kv_pool> kv_pool::make(const hyperparameters& hp, const backend_limits& limits) {
  const auto bytes = bytes_of(hp, limits);
  if (!bytes) return memory_failure(UINT64_MAX, "the KV pool");
  kv_pool out;
  out.n_kv_heads_ = hp.n_kv_heads;
  out.head_halves_ = halves_of_head(hp, limits);
  out.block_halves_ = out.head_halves_ * hp.n_kv_heads * hp.n_layers;
  LLMOS_TRY(out.memory_, mapped_memory::make(*bytes, "the KV pool"));
  return out;
}

}  // namespace llmos::cpu
