#pragma once

#include "gpu/device.hpp"
#include "gpu/kernels/types.hpp"
#include "gpu/kv_layout.hpp"

namespace llmos::gpu {

/// What turns a layer's projections into queries, keys and values; all pointers on the device.
struct place_heads_args {
  const float* qkv;           ///< [n_rows, (n_heads + 2 · n_kv_heads) · head_dim]: q, k, v.
  const float* bias;          ///< [(n_heads + 2 · n_kv_heads) · head_dim] or nullptr.
  const float* q_norm;        ///< [head_dim] or nullptr: RMS norm of each head.
  const float* k_norm;        ///< The same of keys.
  const float* cos;           ///< [·, n_pairs] by position.
  const float* sin;           ///< [·, n_pairs]
  const uint32_t* positions;  ///< [n_rows]
  const uint32_t* blocks;     ///< [n_rows] the KV block of each row's position.
  f16* q;                     ///< [n_rows, n_heads, kv.dim]; zeros beyond head_dim.
  f16* pool;
  kv_layout kv;
  uint32_t layer;
  uint32_t n_heads, head_dim;
  uint32_t n_pairs;  ///< Pairs of a head's first 2 · n_pairs dimensions that rotate.
  bool interleaved;  ///< Pairs are (0, 1), (2, 3), …, else (0, n_pairs), (1, n_pairs + 1), …
  float eps;
  float q_scale;  ///< Queries are multiplied by it.
};

/// Adds the bias, norms and rotates each head, writes queries to `q` and K and V to their place in
/// the pool, f16.
result<void> place_heads(const place_heads_args& a, uint32_t n_rows, stream_handle s);

}  // namespace llmos::gpu
