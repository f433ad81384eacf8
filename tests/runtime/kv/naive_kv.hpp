#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/types.hpp"

namespace llmos::test {

/// What kv_manager promises, said as slowly and plainly as possible: whole prefixes in a map,
/// every decision a scan. It does not choose free blocks; it is told which ones were handed out.
class naive_kv {
public:
  naive_kv(uint32_t num_blocks, uint32_t block_tokens)
      : block_tokens_(block_tokens), holders_(num_blocks, 0), released_at_(num_blocks, 0) {}

  std::vector<block_id> match(const std::string& tenant, const std::vector<token_id>& tokens);
  /// Evicts until n blocks are free; false when that cannot be.
  bool make_room(uint32_t n);
  /// Whether each of the blocks was free; they are held once afterwards.
  bool hand_out(const std::vector<block_id>& blocks);
  void retain(const std::vector<block_id>& blocks);
  void seal(const std::string& tenant, const std::vector<token_id>& tokens,
            const std::vector<block_id>& blocks);
  void release(const std::vector<block_id>& blocks);
  void drop_cache() { prefixes_.clear(); }

  uint32_t holders(block_id b) const { return holders_[b]; }
  uint32_t num_used() const;
  uint32_t num_cached() const;
  uint32_t num_free() const;

private:
  using prefix = std::pair<std::string, std::vector<token_id>>;  // tenant, tokens from position 0
  struct entry {
    block_id block;
    uint64_t made_at;
  };

  bool is_cached(const prefix& p) const { return holders_[prefixes_.at(p).block] == 0; }
  bool is_indexed(block_id b) const;
  bool extends(const prefix& longer, const prefix& p) const;
  bool is_leaf(const prefix& p) const;
  /// Direct children, the newest first.
  std::vector<prefix> children(const prefix& p) const;
  std::optional<prefix> oldest_cached(bool leaves_only) const;
  prefix victim() const;

  uint32_t block_tokens_;
  uint64_t clock_ = 0;
  std::vector<uint32_t> holders_;
  std::vector<uint64_t> released_at_;
  std::map<prefix, entry> prefixes_;
};

}  // namespace llmos::test
