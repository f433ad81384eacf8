#include "runtime/kv/kv_manager.hpp"

#include <algorithm>
#include <string>

#include "runtime/base/check.hpp"

namespace llmos {

kv_manager::kv_manager(uint32_t num_blocks, uint32_t block_tokens, std::string_view salt_of_model,
                       uint32_t hash_bits)
    : block_tokens_(block_tokens),
      pool_(num_blocks),
      index_(num_blocks, block_tokens, salt_of_model, hash_bits),
      released_at_(num_blocks, 0),
      rank_(num_blocks) {}

prefix_match kv_manager::match(std::string_view tenant, std::span<const token_id> tokens) {
  prefix_match found;
  const size_t limit = tokens.empty() ? 0 : (tokens.size() - 1) / block_tokens_;
  prefix_index::place at = index_.root(tenant);
  while (found.blocks.size() < limit) {
    const auto b = index_.find(at, tokens.subspan(found.num_tokens, block_tokens_));
    if (!b) break;
    found.blocks.push_back(*b);
    found.num_tokens += block_tokens_;
    at = index_.below(*b);
  }
  LLMOS_CHECK(pool_.retain(found.blocks).ok());
  for (block_id b : found.blocks) refresh(b);
  prefix_queries_tokens_ += tokens.size();
  prefix_hit_tokens_ += found.num_tokens;
  return found;
}

result<std::vector<block_id>> kv_manager::take(uint32_t n) {
  if (n > pool_.num_free() + cached_.size()) {
    return failure{ec::out_of_memory,
                   "asked for " + std::to_string(n) + " KV blocks, " +
                       std::to_string(pool_.num_free()) + " free and " +
                       std::to_string(cached_.size()) + " cached of " +
                       std::to_string(pool_.size()),
                   "wait for a sequence to end or enlarge the pool"};
  }
  while (pool_.num_free() < n) evict_one();
  return pool_.take(n);
}

std::vector<block_id> kv_manager::take_up_to(uint32_t n) {
  const auto available = static_cast<uint32_t>(pool_.num_free() + cached_.size());
  return take(std::min(n, available)).value();
}

result<void> kv_manager::retain(std::span<const block_id> blocks) {
  for (block_id b : blocks) {
    if (b < pool_.size() && is_cached(b)) {
      return failure{ec::invalid_argument, "block " + std::to_string(b) + " is cached, not held",
                     "get cached blocks through match"};
    }
  }
  return pool_.retain(blocks);
}

result<block_id> kv_manager::writable(block_id b) {
  LLMOS_CHECK(num_holders(b) > 0);
  if (pool_.ref_count(b) == 1) return b;
  LLMOS_TRY(const std::vector<block_id> fresh, take(1));
  return fresh.front();
}

void kv_manager::seal(std::string_view tenant, std::span<const token_id> tokens,
                      std::span<const block_id> blocks) {
  const size_t num_whole = tokens.size() / block_tokens_;
  LLMOS_CHECK(blocks.size() >= num_whole);
  // An indexed block stands for its whole chain, so what lies before the last one is known.
  size_t i = num_whole;
  while (i > 0 && !index_.contains(blocks[i - 1])) --i;
  prefix_index::place at = index_.root(tenant);
  if (i > 0) {
    const auto known = tokens.subspan((i - 1) * block_tokens_, block_tokens_);
    LLMOS_CHECK(std::ranges::equal(index_.tokens_of(blocks[i - 1]), known));
    at = index_.below(blocks[i - 1]);
  }
  for (; i < num_whole; ++i) {
    const auto content = tokens.subspan(i * block_tokens_, block_tokens_);
    const auto twin = index_.find(at, content);
    if (!twin) {
      LLMOS_CHECK(num_holders(blocks[i]) > 0);
      index_.insert(at, content, blocks[i]);
      LLMOS_CHECK(pool_.retain(blocks.subspan(i, 1)).ok());
      if (const auto up = index_.parent(blocks[i])) refresh(*up);
    }
    at = index_.below(twin.value_or(blocks[i]));
  }
}

result<void> kv_manager::release(std::span<const block_id> blocks) {
  LLMOS_TRY_VOID(check_held(blocks));
  LLMOS_CHECK(pool_.release(blocks).ok());
  ++num_releases_;
  for (block_id b : blocks) {
    released_at_[b] = num_releases_;
    refresh(b);
  }
  return {};
}

void kv_manager::drop_cache() {
  for (block_id b = 0; b < pool_.size(); ++b) {
    if (index_.contains(b)) forget(b);
  }
}

kv_stats kv_manager::stats() const {
  const auto num_cached = static_cast<uint32_t>(cached_.size());
  return {.num_blocks = pool_.size(),
          .num_used = pool_.num_used() - num_cached,
          .num_cached = num_cached,
          .num_free = pool_.num_free(),
          .prefix_queries_tokens = prefix_queries_tokens_,
          .prefix_hit_tokens = prefix_hit_tokens_,
          .evictions = evictions_};
}

uint32_t kv_manager::num_holders(block_id b) const {
  LLMOS_CHECK(b < pool_.size());
  return pool_.ref_count(b) - (index_.contains(b) ? 1 : 0);
}

/// Brings b's place in the eviction order up to date after its references or children changed.
void kv_manager::refresh(block_id b) {
  std::optional<eviction_rank> want;
  if (is_cached(b)) want = eviction_rank{index_.has_children(b), released_at_[b], b};
  if (want == rank_[b]) return;
  if (rank_[b]) cached_.erase(*rank_[b]);
  if (want) cached_.insert(*want);
  rank_[b] = want;
}

/// Takes b and all below it out of the index; those without holders become free.
void kv_manager::forget(block_id b) {
  const auto up = index_.parent(b);
  const std::vector<block_id> removed = index_.erase(b);
  LLMOS_CHECK(pool_.release(removed).ok());
  for (block_id r : removed) refresh(r);
  if (up) refresh(*up);
}

void kv_manager::evict_one() {
  LLMOS_CHECK(!cached_.empty());
  const size_t before = cached_.size();
  block_id victim = cached_.begin()->block;
  for (block_id b : index_.subtree(victim)) {
    if (is_cached(b)) victim = b;  // the last one has no cached block below it
  }
  forget(victim);
  evictions_ += before - cached_.size();
}

/// The references of the index are not the callers' to give back, so the pool's own check is not
/// enough here.
result<void> kv_manager::check_held(std::span<const block_id> blocks) const {
  std::vector<block_id> sorted(blocks.begin(), blocks.end());
  std::ranges::sort(sorted);
  for (auto i = sorted.begin(); i != sorted.end();) {
    const auto run_end = std::upper_bound(i, sorted.end(), *i);
    const uint32_t held = *i < pool_.size() ? num_holders(*i) : 0;
    if (run_end - i > held) {
      return failure{ec::invalid_argument,
                     "block " + std::to_string(*i) + " given back " + std::to_string(run_end - i) +
                         " times, held " + std::to_string(held) + " times",
                     "give each reference back once"};
    }
    i = run_end;
  }
  return {};
}

void kv_manager::check_invariants() const {
  pool_.check_invariants();
  index_.check_invariants();
  uint32_t num_cached = 0;
  for (block_id b = 0; b < pool_.size(); ++b) {
    LLMOS_CHECK(!index_.contains(b) || pool_.ref_count(b) > 0);
    LLMOS_CHECK(rank_[b].has_value() == is_cached(b));
    if (!rank_[b]) continue;
    ++num_cached;
    LLMOS_CHECK((*rank_[b] == eviction_rank{index_.has_children(b), released_at_[b], b}));
    LLMOS_CHECK(cached_.contains(*rank_[b]));
  }
  LLMOS_CHECK(num_cached == cached_.size());
}

}  // namespace llmos
