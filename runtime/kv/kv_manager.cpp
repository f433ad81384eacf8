#include "runtime/kv/kv_manager.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "runtime/base/check.hpp"

namespace llmos {

kv_manager::kv_manager(uint32_t num_blocks, uint32_t block_tokens, std::string_view salt_of_model,
                       uint32_t hash_bits, uint32_t num_host_blocks)
    : block_tokens_(block_tokens),
      pool_(num_blocks),
      host_pool_(num_host_blocks),
      index_(num_blocks + num_host_blocks, block_tokens, salt_of_model, hash_bits),
      released_at_(num_blocks + num_host_blocks, 0),
      num_device_children_(num_blocks + num_host_blocks, 0),
      rank_(num_blocks + num_host_blocks) {}

/// The blocks that hold a beginning of `tokens`, the device's before the host's.
std::vector<block_id> kv_manager::chain(std::string_view tenant,
                                        std::span<const token_id> tokens) const {
  std::vector<block_id> found;
  const size_t limit = tokens.empty() ? 0 : (tokens.size() - 1) / block_tokens_;
  prefix_index::place at = index_.root(tenant);
  while (found.size() < limit) {
    const auto b = index_.find(at, tokens.subspan(found.size() * block_tokens_, block_tokens_));
    if (!b) break;
    found.push_back(*b);
    at = index_.below(*b);
  }
  return found;
}

result<kv_reservation> kv_manager::reserve(std::string_view tenant,
                                           std::span<const token_id> tokens, uint32_t n) {
  const std::vector<block_id> found = chain(tenant, tokens);
  LLMOS_CHECK(n >= found.size());
  const auto host_begin = std::ranges::find_if(found, [this](block_id b) { return is_of_host(b); });
  kv_reservation out{{found.begin(), host_begin},
                     static_cast<uint32_t>(found.size()) * block_tokens_};
  const std::vector<block_id> on_host(host_begin, found.end());
  hold(out.blocks);
  std::vector<block_id> held;
  for (block_id b : on_host) held.push_back(in_host(b));
  LLMOS_CHECK(host_pool_.retain(held).ok());  // making room must not forget them
  for (block_id b : on_host) refresh(b);
  auto fresh = take(n - static_cast<uint32_t>(out.blocks.size()));
  LLMOS_CHECK(host_pool_.release(held).ok());
  for (block_id b : on_host) refresh(b);
  prefix_queries_tokens_ += tokens.size();
  prefix_hit_tokens_ += (fresh ? found.size() : out.blocks.size()) * block_tokens_;
  if (!fresh) {
    LLMOS_CHECK(release(out.blocks).ok());
    return std::move(fresh).error();
  }
  for (size_t i = 0; i < on_host.size(); ++i) move_in(on_host[i], (*fresh)[i]);
  out.blocks.insert(out.blocks.end(), fresh->begin(), fresh->end());
  return out;
}

prefix_match kv_manager::match(std::string_view tenant, std::span<const token_id> tokens) {
  prefix_match found{chain(tenant, tokens), 0};
  std::erase_if(found.blocks, [this](block_id b) { return is_of_host(b); });
  found.num_tokens = static_cast<uint32_t>(found.blocks.size()) * block_tokens_;
  hold(found.blocks);
  prefix_queries_tokens_ += tokens.size();
  prefix_hit_tokens_ += found.num_tokens;
  return found;
}

void kv_manager::hold(std::span<const block_id> of_device) {
  LLMOS_CHECK(pool_.retain(of_device).ok());
  for (block_id b : of_device) refresh(b);
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
    const bool is_new = !twin || is_of_host(*twin);
    if (is_new) {
      LLMOS_CHECK(num_holders(blocks[i]) > 0);
      twin ? move_in_index(*twin, blocks[i]) : index_.insert(at, content, blocks[i]);
      LLMOS_CHECK(pool_.retain(blocks.subspan(i, 1)).ok());
      if (twin) LLMOS_CHECK(host_pool_.release(std::array{in_host(*twin)}).ok());
      count_child(blocks[i], 1);
      refresh_parent(blocks[i]);
    }
    at = index_.below(is_new ? blocks[i] : *twin);
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
  for (block_id b = 0; b < pool_.size() + host_pool_.size(); ++b) {
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
          .evictions = evictions_,
          .num_host_cached = host_pool_.num_used(),
          .moved_out = moved_out_,
          .moved_in = moved_in_};
}

uint32_t kv_manager::num_holders(block_id b) const {
  LLMOS_CHECK(b < pool_.size());
  return pool_.ref_count(b) - (index_.contains(b) ? 1 : 0);
}

/// Brings b's place in the eviction order up to date after its references or children changed.
void kv_manager::refresh(block_id b) {
  std::optional<eviction_rank> want;
  if (is_evictable(b)) {
    const bool is_inner = is_of_host(b) ? index_.has_children(b) : num_device_children_[b] > 0;
    want = eviction_rank{is_inner, released_at_[b], b};
  }
  if (want == rank_[b]) return;
  auto& ranks = is_of_host(b) ? cached_by_host_ : cached_;
  if (rank_[b]) ranks.erase(*rank_[b]);
  if (want) ranks.insert(*want);
  rank_[b] = want;
}

bool kv_manager::is_evictable(block_id b) const {
  if (!is_of_host(b)) return is_cached(b);
  return index_.contains(b) && host_pool_.ref_count(in_host(b)) == 1;
}

void kv_manager::refresh_parent(block_id b) {
  if (const auto up = index_.parent(b)) refresh(*up);
}

/// b, a device's, came into or leaves its place in the index.
void kv_manager::count_child(block_id b, int by) {
  if (const auto up = index_.parent(b)) num_device_children_[*up] += static_cast<uint32_t>(by);
}

/// Takes b and all below it out of the index; those without holders become free.
void kv_manager::forget(block_id b) {
  const auto up = index_.parent(b);
  if (!is_of_host(b)) count_child(b, -1);
  std::vector<block_id> removed = index_.erase(b);
  for (block_id r : removed) {
    num_device_children_[r] = 0;
    const bool dropped = is_of_host(r) ? host_pool_.release(std::array{in_host(r)}).ok()
                                       : pool_.release(std::array{r}).ok();
    LLMOS_CHECK(dropped);
    refresh(r);
  }
  if (up) refresh(*up);
}

void kv_manager::move_in_index(block_id from, block_id to) {
  index_.move(from, to);
  num_device_children_[to] = std::exchange(num_device_children_[from], 0);
  released_at_[to] = released_at_[from];
  refresh(from);
}

/// Where the host has room; false: it has none. REQUIRES: b is cached and has no device's block
/// below it.
bool kv_manager::move_out(block_id b) {
  const auto to = take_host_block();
  if (!to) return false;
  count_child(b, -1);
  move_in_index(b, *to);
  LLMOS_CHECK(pool_.release(std::array{b}).ok());
  refresh(b);
  refresh(*to);
  refresh_parent(*to);
  moves_.push_back({b, *to});
  ++moved_out_;
  return true;
}

/// REQUIRES: `to` is held and not indexed.
void kv_manager::move_in(block_id from, block_id to) {
  move_in_index(from, to);
  LLMOS_CHECK(pool_.retain(std::array{to}).ok());
  LLMOS_CHECK(host_pool_.release(std::array{in_host(from)}).ok());
  count_child(to, 1);
  refresh(from);
  refresh_parent(to);
  moves_.push_back({from, to});
  ++moved_in_;
}

/// A block of the host, the one least recently used where none is free.
std::optional<block_id> kv_manager::take_host_block() {
  if (host_pool_.num_free() == 0) {
    if (cached_by_host_.empty()) return std::nullopt;
    forget(cached_by_host_.begin()->block);
  }
  return pool_.size() + host_pool_.take(1).value().front();
}

void kv_manager::evict_one() {
  LLMOS_CHECK(!cached_.empty());
  const size_t before = cached_.size();
  block_id victim = cached_.begin()->block;
  if (num_device_children_[victim] > 0) {
    for (block_id b : index_.subtree(victim)) {
      if (is_cached(b)) victim = b;  // the last one has no cached block below it
    }
  }
  if (num_device_children_[victim] > 0 || !move_out(victim)) forget(victim);
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
  host_pool_.check_invariants();
  uint32_t num_cached = 0;
  std::vector<uint32_t> num_children(rank_.size(), 0);
  for (block_id b = 0; b < pool_.size(); ++b) {
    LLMOS_CHECK(!index_.contains(b) || pool_.ref_count(b) > 0);
    LLMOS_CHECK(rank_[b].has_value() == is_cached(b));
    if (index_.contains(b)) {
      const auto up = index_.parent(b);
      LLMOS_CHECK(!up || !is_of_host(*up));
      if (up) ++num_children[*up];
    }
    if (!rank_[b]) continue;
    ++num_cached;
    LLMOS_CHECK((*rank_[b] == eviction_rank{num_device_children_[b] > 0, released_at_[b], b}));
    LLMOS_CHECK(cached_.contains(*rank_[b]));
  }
  LLMOS_CHECK(num_cached == cached_.size());
  LLMOS_CHECK(num_children == num_device_children_);
  check_host_invariants();
}

/// Between calls every block of the host is free, or indexed and evictable.
void kv_manager::check_host_invariants() const {
  uint32_t num_cached = 0;
  for (block_id b = pool_.size(); b < rank_.size(); ++b) {
    LLMOS_CHECK(host_pool_.ref_count(in_host(b)) == (index_.contains(b) ? 1u : 0u));
    LLMOS_CHECK(rank_[b].has_value() == index_.contains(b));
    if (!rank_[b]) continue;
    ++num_cached;
    LLMOS_CHECK((*rank_[b] == eviction_rank{index_.has_children(b), released_at_[b], b}));
    LLMOS_CHECK(cached_by_host_.contains(*rank_[b]));
  }
  LLMOS_CHECK(num_cached == cached_by_host_.size());
}

}  // namespace llmos
