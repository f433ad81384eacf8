#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/base/types.hpp"
#include "runtime/kv/siphash.hpp"

namespace llmos {

/// Which cached block holds which tokens: chained hashes find a candidate, the tokens (and the
/// parent block) decide. Knows nothing of references or eviction.
///
/// The indexed blocks form one tree per tenant: a block's parent holds the tokens just before its
/// own. No two blocks of one parent hold the same tokens, and an indexed block's whole chain of
/// parents is indexed too.
///
///   tenant root ── [t0 … t15] ──┬── [t16 … t31]
///                               └── [u16 … u31]
class prefix_index {
public:
  /// A place in a tenant's tree: its root, or below an indexed block.
  class place {
    friend class prefix_index;
    uint64_t hash_ = 0;
    std::optional<block_id> parent_;
    std::string_view tenant_;  // of a root only; a parent's tenant is its chain's
  };

  /// The hash is keyed by `salt`. Fewer `hash_bits` than 64 make collisions common: for tests,
  /// which show that collisions cost time and nothing else. REQUIRES: block_tokens > 0.
  prefix_index(uint32_t num_blocks, uint32_t block_tokens, std::string_view salt,
               uint32_t hash_bits = 64);

  /// `tenant` must outlive the place.
  place root(std::string_view tenant) const;
  /// REQUIRES: contains(parent).
  place below(block_id parent) const;

  /// The block at `at` that holds `tokens` [block_tokens].
  std::optional<block_id> find(const place& at, std::span<const token_id> tokens) const;

  /// REQUIRES: !contains(b), !find(at, tokens).
  void insert(const place& at, std::span<const token_id> tokens, block_id b);

  /// b and everything below it, each block after its parent, level by level.
  /// REQUIRES: contains(b).
  std::vector<block_id> subtree(block_id b) const;

  /// Removes b and everything below it. Returns what was removed, each block before its parent.
  /// REQUIRES: contains(b).
  std::vector<block_id> erase(block_id b);

  /// Block `to` takes the place of `from`, which leaves the index: parent, children and tokens.
  /// REQUIRES: contains(from), !contains(to).
  void move(block_id from, block_id to);

  bool contains(block_id b) const { return nodes_[b].indexed; }
  /// REQUIRES: contains(b). Nothing for a block at the start of its sequence.
  std::optional<block_id> parent(block_id b) const;
  bool has_children(block_id b) const { return nodes_[b].first_child != none; }
  /// [block_tokens]. REQUIRES: contains(b).
  std::span<const token_id> tokens_of(block_id b) const;
  uint32_t size() const { return static_cast<uint32_t>(by_hash_.size()); }

  /// Verifies tree, table and tokens against each other; for tests.
  void check_invariants() const;

private:
  static constexpr block_id none = UINT32_MAX;

  struct node {
    bool indexed = false;
    uint64_t hash = 0;
    block_id parent = none;
    block_id first_child = none;
    block_id next_sibling = none;
    block_id prev_sibling = none;
    std::string tenant;  // of roots only
  };

  uint64_t hash_of(const place& at, std::span<const token_id> tokens) const;
  void forget_hash(block_id b);
  void link(block_id b);
  void unlink(block_id b);

  uint32_t block_tokens_;
  siphash_key key_;
  uint64_t hash_mask_;
  std::vector<node> nodes_;       // [num_blocks]
  std::vector<token_id> tokens_;  // [num_blocks, block_tokens]
  std::unordered_multimap<uint64_t, block_id> by_hash_;
};

}  // namespace llmos
