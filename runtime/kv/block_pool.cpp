#include "runtime/kv/block_pool.hpp"

#include <string>

namespace llmos {

namespace {

failure not_held(block_id b, uint32_t num_blocks) {
  if (b >= num_blocks) {
    return {ec::invalid_argument,
            "block " + std::to_string(b) + " does not exist: the pool has " +
                std::to_string(num_blocks),
            "name only blocks that were taken"};
  }
  return {ec::invalid_argument, "block " + std::to_string(b) + " is not held that often",
          "give each reference back once"};
}

}  // namespace

block_pool::block_pool(uint32_t num_blocks) : refs_(num_blocks, 0) {
  free_.reserve(num_blocks);
  for (uint32_t i = num_blocks; i > 0; --i) free_.push_back(i - 1);
}

result<std::vector<block_id>> block_pool::take(uint32_t n) {
  if (n > num_free()) {
    return failure{ec::out_of_memory,
                   "asked for " + std::to_string(n) + " KV blocks, " + std::to_string(num_free()) +
                       " of " + std::to_string(size()) + " are free",
                   "wait for a sequence to end or enlarge the pool"};
  }
  std::vector<block_id> taken(free_.rbegin(), free_.rbegin() + n);
  free_.resize(free_.size() - n);
  for (block_id b : taken) refs_[b] = 1;
  return taken;
}

result<void> block_pool::retain(std::span<const block_id> blocks) {
  for (block_id b : blocks) {
    if (b >= size() || refs_[b] == 0) return not_held(b, size());
  }
  for (block_id b : blocks) ++refs_[b];
  return {};
}

result<uint32_t> block_pool::release(std::span<const block_id> blocks) {
  const size_t free_before = free_.size();
  for (size_t i = 0; i < blocks.size(); ++i) {
    const block_id b = blocks[i];
    if (b >= size() || refs_[b] == 0) {
      for (block_id done : blocks.first(i)) ++refs_[done];
      free_.resize(free_before);
      return not_held(b, size());
    }
    if (--refs_[b] == 0) free_.push_back(b);
  }
  return static_cast<uint32_t>(free_.size() - free_before);
}

void block_pool::check_invariants() const {
  std::vector<bool> is_free(refs_.size(), false);
  for (block_id b : free_) {
    LLMOS_CHECK(b < size() && !is_free[b]);
    is_free[b] = true;
  }
  for (block_id b = 0; b < size(); ++b) LLMOS_CHECK(is_free[b] == (refs_[b] == 0));
}

}  // namespace llmos
