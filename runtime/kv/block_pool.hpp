#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/base/types.hpp"

namespace llmos {

/// Reference counts of a fixed number of KV blocks. Holds no memory of a device: only ids.
class block_pool {
public:
  explicit block_pool(uint32_t num_blocks);

  /// n free blocks, each with one reference; never blocks, all or nothing.
  /// Errors: out_of_memory (asked, free, total); nothing is taken.
  result<std::vector<block_id>> take(uint32_t n);

  /// One more reference to each block. Errors: invalid_argument when one is free or no block;
  /// nothing changes.
  result<void> retain(std::span<const block_id> blocks);

  /// Drops one reference from each (a block may be named as often as it has references).
  /// Errors: invalid_argument when more is given back than is held; nothing changes.
  /// Returns the number of blocks that became free.
  result<uint32_t> release(std::span<const block_id> blocks);

  /// REQUIRES: b < size().
  uint32_t ref_count(block_id b) const { return refs_[b]; }
  uint32_t size() const { return static_cast<uint32_t>(refs_.size()); }
  uint32_t num_free() const { return static_cast<uint32_t>(free_.size()); }
  uint32_t num_used() const { return size() - num_free(); }

  /// Verifies that the free list names each unreferenced block once and no other; for tests.
  void check_invariants() const;

private:
  std::vector<uint32_t> refs_;  // [num_blocks]
  std::vector<block_id> free_;  // taken from the back: the block given back last is still warm
};

}  // namespace llmos
