#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string_view>
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
/// Pure: no clock (LRU order is call order), no actor, no device memory. A bug of the caller
/// (sealing blocks it does not hold, or other tokens into a sealed block) ends the program.
///
///            take                    release
///   free ───────────▶ used ──────────────────────────▶ free    (not indexed)
///                      │ seal ▲ match
///                      ▼      │      release
///                 used, indexed ─────────────────────▶ cached ──evict──▶ free
class kv_manager {
public:
  /// `salt_of_model`: part of every prefix hash (model bytes, KV type, numerics id).
  /// `hash_bits`: see prefix_index. REQUIRES: block_tokens > 0.
  kv_manager(uint32_t num_blocks, uint32_t block_tokens, std::string_view salt_of_model,
             uint32_t hash_bits = 64);

  /// Longest cached prefix of `tokens`, whole blocks only and never all tokens (the last one must
  /// be computed for its logits). `tenant` separates owners: prefixes are shared only within one.
  prefix_match match(std::string_view tenant, std::span<const token_id> tokens);

  /// n blocks for writing, evicting least recently used cached blocks when no free one is left:
  /// succeeds whenever n <= free + cached.
  /// Errors: out_of_memory (asked, free, cached, total); nothing changes.
  result<std::vector<block_id>> take(uint32_t n);

  /// As many as there are, up to n (possibly none).
  std::vector<block_id> take_up_to(uint32_t n);

  /// One more reference to each (a fork shares its parent's blocks). Errors: invalid_argument when
  /// nobody holds one of them; nothing changes.
  result<void> retain(std::span<const block_id> blocks);

  /// Copy on write: b itself when the caller's is the only reference and b is not indexed;
  /// otherwise a new block, into which the caller copies b before it releases b.
  /// REQUIRES: the caller holds b. Errors: out_of_memory; nothing changes.
  result<block_id> writable(block_id b);

  /// Announces that `blocks` now hold the K and V of `tokens` from position 0 on (whole blocks;
  /// a shorter tail is ignored). Blocks already indexed are left alone; a block whose content
  /// equals an indexed one stays with its owner and is not indexed. Costs the blocks since the
  /// last one indexed. REQUIRES: the caller holds the blocks and they cover all whole blocks.
  void seal(std::string_view tenant, std::span<const token_id> tokens,
            std::span<const block_id> blocks);

  /// Drops one reference from each. Indexed blocks without references stay cached.
  /// Errors: invalid_argument when more is given back than is held; nothing changes.
  result<void> release(std::span<const block_id> blocks);

  /// Forgets the whole prefix index (cached blocks become free).
  void drop_cache();

  kv_stats stats() const;
  uint32_t block_tokens() const { return block_tokens_; }
  /// References that callers hold. REQUIRES: b < num_blocks.
  uint32_t num_holders(block_id b) const;

  /// Verifies every invariant (reference sums, index ↔ block, LRU membership); for tests.
  void check_invariants() const;

private:
  /// Order of eviction: leaves of the prefix tree before inner blocks, then the least recently
  /// released. An inner block comes first only when every cached block has one in use below it
  /// (whose owner computed the same prefix in blocks of its own).
  struct eviction_rank {
    bool is_inner = false;
    uint64_t released_at = 0;
    block_id block = 0;
    auto operator<=>(const eviction_rank&) const = default;
  };

  bool is_cached(block_id b) const { return index_.contains(b) && num_holders(b) == 0; }
  void refresh(block_id b);
  void forget(block_id b);
  void evict_one();
  result<void> check_held(std::span<const block_id> blocks) const;

  uint32_t block_tokens_;
  block_pool pool_;  // the index holds one reference to each indexed block
  prefix_index index_;
  uint64_t num_releases_ = 0;                       // the clock of the LRU order
  std::vector<uint64_t> released_at_;               // [num_blocks]
  std::vector<std::optional<eviction_rank>> rank_;  // [num_blocks]; set while cached
  std::set<eviction_rank> cached_;
  uint64_t prefix_queries_tokens_ = 0;
  uint64_t prefix_hit_tokens_ = 0;
  uint64_t evictions_ = 0;
};

}  // namespace llmos
