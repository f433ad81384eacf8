#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define LLMOS_HOST_DEVICE __host__ __device__
#else
#define LLMOS_HOST_DEVICE
#endif

namespace llmos::gpu {

/// Keys that one step of the attention kernel takes; a KV block holds a whole number of them.
constexpr uint32_t chunk_keys = 16;

/// Where K and V stand in the pool, counted in f16 values. A block is contiguous (it is what gets
/// copied and moved): [layer][kv head][chunk]{K [chunk_keys][dim], V [dim][chunk_keys]}, so that
/// both are read by the tensor cores as they stand. `dim` is head_dim, padded with zeros.
struct kv_layout {
  uint32_t n_layers = 0;
  uint32_t n_heads = 0;  ///< KV heads.
  uint32_t block_tokens = 0;
  uint32_t dim = 0;

  LLMOS_HOST_DEVICE size_t chunk_values() const { return size_t{2} * chunk_keys * dim; }
  LLMOS_HOST_DEVICE size_t head_values() const { return size_t{2} * block_tokens * dim; }
  LLMOS_HOST_DEVICE size_t block_values() const { return head_values() * n_heads * n_layers; }

  /// The chunk that holds position `slot` of a block.
  LLMOS_HOST_DEVICE size_t chunk(uint32_t block, uint32_t layer, uint32_t head,
                                 uint32_t slot) const {
    return block * block_values() + (size_t{layer} * n_heads + head) * head_values() +
           slot / chunk_keys * chunk_values();
  }
  /// Within a chunk: dimension d of the key at `slot`, and of its value.
  LLMOS_HOST_DEVICE size_t key(uint32_t slot, uint32_t d) const {
    return size_t{slot % chunk_keys} * dim + d;
  }
  LLMOS_HOST_DEVICE size_t value(uint32_t slot, uint32_t d) const {
    return size_t{chunk_keys} * dim + size_t{d} * chunk_keys + slot % chunk_keys;
  }
};

}  // namespace llmos::gpu
