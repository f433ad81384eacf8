#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/base/types.hpp"
#include "runtime/kv/block_pool.hpp"
#include "runtime/kv/prefix_index.hpp"

namespace llmos {

/// Blocks that already hold the K and V of a prompt's first tokens.
struct prefix_match {
  std::vector<block_id> blocks;  ///< Each retained once for the caller.
  uint32_t num_tokens = 0;       ///< blocks.size() · block_tokens
};

struct kv_stats {
  uint32_t num_blocks = 0;
  uint32_t num_used = 0;    ///< Referenced by at least one sequence or lease.
  uint32_t num_cached = 0;  ///< Unreferenced but still in the prefix index: reusable or evictable.
  uint32_t num_free = 0;    ///< Neither.
  uint64_t prefix_queries_tokens = 0;
  uint64_t prefix_hit_tokens = 0;
  uint64_t evictions = 0;
};

/// All KV memory decisions of one engine: block references, prefix reuse, LRU eviction.
/// Pure: no clock (LRU order is call order), no actor, no device memory.
class kv_manager {
public:
  /// `salt_of_model`: part of every prefix hash (model bytes, KV type, numerics id).
  kv_manager(uint32_t num_blocks, uint32_t block_tokens, std::string salt_of_model);

  /// Longest cached prefix of `tokens`, whole blocks only and never all tokens (the last one must
  /// be computed for its logits). `tenant` separates owners: prefixes are shared only within one.
  prefix_match match(std::string_view tenant, std::span<const token_id> tokens);

  /// n blocks for writing, evicting least recently used cached blocks when no free one is left.
  /// Errors: out_of_memory (asked, free, cached, total); nothing changes.
  result<std::vector<block_id>> take(uint32_t n);

  /// As many as there are, up to n (possibly none).
  std::vector<block_id> take_up_to(uint32_t n);

  /// Announces that `blocks` now hold the K and V of `tokens` from position 0 on (whole blocks;
  /// a shorter tail is ignored). Blocks already indexed are left alone; a block whose content
  /// equals an indexed one stays with its owner and is not indexed.
  void seal(std::string_view tenant, std::span<const token_id> tokens,
            std::span<const block_id> blocks);

  /// Drops one reference from each. Indexed blocks without references stay cached.
  /// Errors: invalid_argument when more is given back than is held; nothing changes.
  result<void> release(std::span<const block_id> blocks);

  /// Forgets the whole prefix index (cached blocks become free).
  void drop_cache();

  kv_stats stats() const;
  uint32_t block_tokens() const { return block_tokens_; }

  /// Verifies every invariant (reference sums, index ↔ block, LRU membership); for tests.
  void check_invariants() const;

private:
  uint32_t block_tokens_;
  block_pool pool_;
  prefix_index index_;
  // completed by the implementation
};

}  // namespace llmos
