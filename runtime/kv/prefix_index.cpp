#include "runtime/kv/prefix_index.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/base/check.hpp"

namespace llmos {

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

siphash_key key_from(std::string_view salt) {
  return {siphash_2_4({0, 0}, bytes_of(salt)), siphash_2_4({0, 1}, bytes_of(salt))};
}

}  // namespace

prefix_index::prefix_index(uint32_t num_blocks, uint32_t block_tokens, std::string_view salt,
                           uint32_t hash_bits)
    : block_tokens_(block_tokens),
      key_(key_from(salt)),
      hash_mask_(hash_bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << hash_bits) - 1),
      nodes_(num_blocks),
      tokens_(static_cast<size_t>(num_blocks) * block_tokens) {
  LLMOS_CHECK(block_tokens > 0);
}

prefix_index::place prefix_index::root(std::string_view tenant) const {
  place p;
  p.hash_ = siphash_2_4(key_, bytes_of(tenant));
  p.tenant_ = tenant;
  return p;
}

prefix_index::place prefix_index::below(block_id parent) const {
  LLMOS_CHECK(contains(parent));
  place p;
  p.hash_ = nodes_[parent].hash;
  p.parent_ = parent;
  return p;
}

std::optional<block_id> prefix_index::find(const place& at,
                                           std::span<const token_id> tokens) const {
  LLMOS_CHECK(tokens.size() == block_tokens_);
  const auto [begin, end] = by_hash_.equal_range(hash_of(at, tokens));
  for (auto i = begin; i != end; ++i) {
    const node& x = nodes_[i->second];
    if (x.parent != at.parent_.value_or(none) || x.tenant != at.tenant_) continue;
    if (std::ranges::equal(tokens_of(i->second), tokens)) return i->second;
  }
  return std::nullopt;
}

void prefix_index::insert(const place& at, std::span<const token_id> tokens, block_id b) {
  LLMOS_CHECK(tokens.size() == block_tokens_ && !contains(b));
  node& x = nodes_[b];
  x.indexed = true;
  x.hash = hash_of(at, tokens);
  x.parent = at.parent_.value_or(none);
  x.tenant = at.tenant_;
  std::ranges::copy(tokens, tokens_.begin() + static_cast<ptrdiff_t>(b) * block_tokens_);
  by_hash_.emplace(x.hash, b);
  link(b);
}

std::vector<block_id> prefix_index::subtree(block_id b) const {
  LLMOS_CHECK(contains(b));
  std::vector<block_id> out{b};
  for (size_t i = 0; i < out.size(); ++i) {
    for (block_id c = nodes_[out[i]].first_child; c != none; c = nodes_[c].next_sibling) {
      out.push_back(c);
    }
  }
  return out;
}

std::vector<block_id> prefix_index::erase(block_id b) {
  std::vector<block_id> removed = subtree(b);
  unlink(b);
  for (block_id r : removed) {
    forget_hash(r);
    nodes_[r] = {};
  }
  std::ranges::reverse(removed);
  return removed;
}

void prefix_index::move(block_id from, block_id to) {
  LLMOS_CHECK(contains(from) && !contains(to));
  const std::span<const token_id> tokens = tokens_of(from);
  std::ranges::copy(tokens, tokens_.begin() + static_cast<ptrdiff_t>(to) * block_tokens_);
  forget_hash(from);
  by_hash_.emplace(nodes_[from].hash, to);
  for (block_id c = nodes_[from].first_child; c != none; c = nodes_[c].next_sibling) {
    nodes_[c].parent = to;
  }
  unlink(from);
  nodes_[to] = std::exchange(nodes_[from], {});
  nodes_[to].next_sibling = nodes_[to].prev_sibling = none;
  link(to);
}

std::optional<block_id> prefix_index::parent(block_id b) const {
  LLMOS_CHECK(contains(b));
  if (nodes_[b].parent == none) return std::nullopt;
  return nodes_[b].parent;
}

uint64_t prefix_index::hash_of(const place& at, std::span<const token_id> tokens) const {
  // The tokens' own hash keeps this free of a buffer; SipHash of two words joins it to the chain.
  const std::array<uint64_t, 2> joined{at.hash_, siphash_2_4(key_, std::as_bytes(tokens))};
  return siphash_2_4(key_, std::as_bytes(std::span(joined))) & hash_mask_;
}

std::span<const token_id> prefix_index::tokens_of(block_id b) const {
  return std::span(tokens_).subspan(static_cast<size_t>(b) * block_tokens_, block_tokens_);
}

void prefix_index::forget_hash(block_id b) {
  const auto [begin, end] = by_hash_.equal_range(nodes_[b].hash);
  by_hash_.erase(std::find_if(begin, end, [b](const auto& e) { return e.second == b; }));
}

void prefix_index::link(block_id b) {
  if (nodes_[b].parent == none) return;
  node& up = nodes_[nodes_[b].parent];
  nodes_[b].next_sibling = up.first_child;
  if (up.first_child != none) nodes_[up.first_child].prev_sibling = b;
  up.first_child = b;
}

void prefix_index::unlink(block_id b) {
  const node& x = nodes_[b];
  if (x.next_sibling != none) nodes_[x.next_sibling].prev_sibling = x.prev_sibling;
  if (x.prev_sibling != none) {
    nodes_[x.prev_sibling].next_sibling = x.next_sibling;
  } else if (x.parent != none) {
    nodes_[x.parent].first_child = x.next_sibling;
  }
}

void prefix_index::check_invariants() const {
  uint32_t num_indexed = 0;
  uint32_t num_children = 0;
  for (block_id b = 0; b < nodes_.size(); ++b) {
    const node& x = nodes_[b];
    if (!x.indexed) {
      LLMOS_CHECK(x.first_child == none && x.parent == none);
      continue;
    }
    ++num_indexed;
    LLMOS_CHECK(x.parent == none || contains(x.parent));
    const place at = x.parent == none ? root(x.tenant) : below(x.parent);
    LLMOS_CHECK(x.hash == hash_of(at, tokens_of(b)));
    LLMOS_CHECK(find(at, tokens_of(b)) == b);
    if (x.parent != none) --num_children;
    for (block_id c = x.first_child; c != none; c = nodes_[c].next_sibling) {
      LLMOS_CHECK(nodes_[c].parent == b);
      ++num_children;
    }
  }
  LLMOS_CHECK(num_indexed == size() && num_children == 0);
}

}  // namespace llmos
