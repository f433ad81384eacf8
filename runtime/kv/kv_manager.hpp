#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>
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

/// Blocks for a whole sequence, each with one reference for the caller.
struct kv_reservation {
  std::vector<block_id> blocks;
  uint32_t num_tokens = 0;  ///< What the first blocks hold already, once the moves are done.
};

struct kv_stats {
  uint32_t num_blocks = 0;
  uint32_t num_used = 0;    ///< Referenced by at least one sequence or lease.
  uint32_t num_cached = 0;  ///< Unreferenced but still in the prefix index: reusable or evictable.
  uint32_t num_free = 0;    ///< Neither.
  uint64_t prefix_queries_tokens = 0;
  uint64_t prefix_hit_tokens = 0;
  uint64_t evictions = 0;
  uint32_t num_host_cached = 0;  ///< Blocks of the host that hold what was evicted.
  uint64_t moved_out = 0, moved_in = 0;
};

/// All KV memory decisions of one engine: block references, prefix reuse, LRU eviction.
/// Pure: no clock (LRU order is call order), no actor, no device memory. A bug of the caller
/// (sealing blocks it does not hold, or other tokens into a sealed block) ends the program.
///
/// Where the host has blocks too, what is evicted goes there first and comes back when it is asked
/// for. The parent of a device's block in the index is a device's block.
///
///            take                    release
///   free ───────────▶ used ──────────────────────────▶ free    (not indexed)
///                      │ seal ▲ match
///                      ▼      │      release
///                 used, indexed ─────────────────────▶ cached ──evict──▶ free
///                             ▲                               move │ out
///                             └──────────── move in ───────── host ◀
class kv_manager {
public:
  /// `salt_of_model`: part of every prefix hash (model bytes, KV type, numerics id).
  /// `hash_bits`: see prefix_index. `num_host_blocks`: further ids, from num_blocks on.
  /// REQUIRES: block_tokens > 0.
  kv_manager(uint32_t num_blocks, uint32_t block_tokens, std::string_view salt_of_model,
             uint32_t hash_bits = 64, uint32_t num_host_blocks = 0);

  /// n blocks for a sequence that begins with `tokens`: its cached prefix, that on the host
  /// included, and fresh ones behind it. REQUIRES: n blocks hold the tokens. Errors: those of
  /// take(); no reference changes.
  result<kv_reservation> reserve(std::string_view tenant, std::span<const token_id> tokens,
                                 uint32_t n);

  /// What must be moved, in this order, before any block that was given out since the last call is
  /// written or read; empties itself.
  std::vector<block_move> take_moves() { return std::exchange(moves_, {}); }

  /// Longest prefix of `tokens` cached on the device, whole blocks only and never all tokens (the
  /// last one must be computed for its logits). `tenant` separates owners: prefixes are shared only
  /// within one.
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

  bool is_of_host(block_id b) const { return b >= pool_.size(); }
  block_id in_host(block_id b) const { return b - pool_.size(); }
  bool is_cached(block_id b) const {
    return !is_of_host(b) && index_.contains(b) && num_holders(b) == 0;
  }
  bool is_evictable(block_id b) const;
  std::vector<block_id> chain(std::string_view tenant, std::span<const token_id> tokens) const;
  void hold(std::span<const block_id> of_device);
  void refresh(block_id b);
  void refresh_parent(block_id b);
  void forget(block_id b);
  void evict_one();
  bool move_out(block_id b);
  void move_in(block_id from, block_id to);
  std::optional<block_id> take_host_block();
  void move_in_index(block_id from, block_id to);
  void count_child(block_id b, int by);
  void check_host_invariants() const;
  result<void> check_held(std::span<const block_id> blocks) const;

  uint32_t block_tokens_;
  block_pool pool_;       // the index holds one reference to each indexed block
  block_pool host_pool_;  // the same; only a reservation that is being made holds another
  prefix_index index_;
  uint64_t num_releases_ = 0;                       // the clock of the LRU order
  std::vector<uint64_t> released_at_;               // [num_blocks + num_host_blocks]
  std::vector<uint32_t> num_device_children_;       // the same
  std::vector<std::optional<eviction_rank>> rank_;  // the same; set while evictable
  std::set<eviction_rank> cached_, cached_by_host_;
  std::vector<block_move> moves_;
  uint64_t moved_out_ = 0, moved_in_ = 0;
  uint64_t prefix_queries_tokens_ = 0;
  uint64_t prefix_hit_tokens_ = 0;
  uint64_t evictions_ = 0;
};

}  // namespace llmos
