#include "runtime/backend/cpu/kv_pool.hpp"

#include <bit>

#include "runtime/base/checked.hpp"

namespace llmos::cpu {

namespace {

constexpr uint32_t half_bytes = sizeof(uint16_t);

/// Offsets of what holds K and V.
void place(kv_type type, kv_layout& l) {
  if (type == kv_type::f16) {
    l.v = l.block_tokens * l.head_dim * half_bytes;
    l.bytes = l.v + l.block_tokens * l.head_dim_padded * half_bytes;
    return;
  }
  l.parts = ceil_div(l.head_dim, block_k);
  l.k_scales = l.block_tokens * l.head_dim_padded;
  l.v = l.k_scales + l.block_tokens * l.parts * half_bytes;
  l.v_scales = l.v + l.block_tokens * l.head_dim_padded;
  const uint32_t end = l.v_scales + l.block_tokens * l.parts * half_bytes;
  l.bytes = ceil_div(end, 64u) * 64;  // codes of K begin a cache line
}

kv_layout layout_for(const hyperparameters& hp, const backend_limits& limits) {
  kv_layout l{};
  l.block_tokens = limits.block_tokens;
  l.block_shift = static_cast<uint32_t>(std::countr_zero(limits.block_tokens));
  l.head_dim = hp.head_dim;
  l.head_dim_padded = padded_head_dim(hp);
  place(limits.kv, l);
  l.k_token_bytes = l.v / l.block_tokens;
  l.v_token_bytes = (l.bytes - l.v) / l.block_tokens;
  return l;
}

}  // namespace

std::optional<uint64_t> kv_pool::bytes_of(const hyperparameters& hp, const backend_limits& limits) {
  std::optional<uint64_t> bytes = layout_for(hp, limits).bytes;
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
  out.layout_ = layout_for(hp, limits);
  out.block_bytes_ = size_t{out.layout_.bytes} * hp.n_kv_heads * hp.n_layers;
  LLMOS_TRY(out.memory_, mapped_memory::make(*bytes, "the KV pool"));
  return out;
}

}  // namespace llmos::cpu
