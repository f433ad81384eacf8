#include "tests/runtime/kv/naive_kv.hpp"

#include <algorithm>

namespace llmos::test {

std::vector<block_id> naive_kv::match(const std::string& tenant,
                                      const std::vector<token_id>& tokens) {
  std::vector<block_id> out;
  for (size_t n = block_tokens_; n < tokens.size(); n += block_tokens_) {
    const auto i = prefixes_.find({tenant, {tokens.begin(), tokens.begin() + ptrdiff_t(n)}});
    if (i == prefixes_.end()) break;
    out.push_back(i->second.block);
  }
  for (block_id b : out) ++holders_[b];
  return out;
}

bool naive_kv::make_room(uint32_t n) {
  if (n > num_free() + num_cached()) return false;
  while (num_free() < n) {
    const prefix gone = victim();
    std::erase_if(prefixes_, [&](const auto& e) { return extends(e.first, gone); });
  }
  return true;
}

bool naive_kv::hand_out(const std::vector<block_id>& blocks) {
  for (block_id b : blocks) {
    if (holders_[b] != 0 || is_indexed(b)) return false;
    holders_[b] = 1;
  }
  return true;
}

void naive_kv::retain(const std::vector<block_id>& blocks) {
  for (block_id b : blocks) ++holders_[b];
}

void naive_kv::seal(const std::string& tenant, const std::vector<token_id>& tokens,
                    const std::vector<block_id>& blocks) {
  for (size_t i = 0; (i + 1) * block_tokens_ <= tokens.size(); ++i) {
    const auto end = tokens.begin() + ptrdiff_t((i + 1) * block_tokens_);
    prefixes_.try_emplace({tenant, {tokens.begin(), end}}, entry{blocks[i], ++clock_});
  }
}

void naive_kv::release(const std::vector<block_id>& blocks) {
  ++clock_;
  for (block_id b : blocks) {
    --holders_[b];
    released_at_[b] = clock_;
  }
}

uint32_t naive_kv::num_used() const {
  return uint32_t(std::ranges::count_if(holders_, [](uint32_t n) { return n > 0; }));
}

uint32_t naive_kv::num_cached() const {
  return uint32_t(
      std::ranges::count_if(prefixes_, [&](const auto& e) { return is_cached(e.first); }));
}

uint32_t naive_kv::num_free() const {
  return uint32_t(holders_.size()) - num_used() - num_cached();
}

bool naive_kv::is_indexed(block_id b) const {
  return std::ranges::any_of(prefixes_, [b](const auto& e) { return e.second.block == b; });
}

bool naive_kv::extends(const prefix& longer, const prefix& p) const {
  return longer.first == p.first && longer.second.size() >= p.second.size() &&
         std::equal(p.second.begin(), p.second.end(), longer.second.begin());
}

bool naive_kv::is_leaf(const prefix& p) const {
  return std::ranges::count_if(prefixes_, [&](const auto& e) { return extends(e.first, p); }) == 1;
}

std::vector<naive_kv::prefix> naive_kv::children(const prefix& p) const {
  std::vector<prefix> out;
  for (const auto& [x, e] : prefixes_) {
    if (extends(x, p) && x.second.size() == p.second.size() + block_tokens_) out.push_back(x);
  }
  std::ranges::sort(out, std::greater{}, [&](const prefix& x) { return prefixes_.at(x).made_at; });
  return out;
}

std::optional<naive_kv::prefix> naive_kv::oldest_cached(bool leaves_only) const {
  std::optional<prefix> best;
  const auto age = [&](const prefix& p) {
    const block_id b = prefixes_.at(p).block;
    return std::pair(released_at_[b], b);
  };
  for (const auto& [p, e] : prefixes_) {
    if (!is_cached(p) || (leaves_only && !is_leaf(p))) continue;
    if (!best || age(p) < age(*best)) best = p;
  }
  return best;
}

naive_kv::prefix naive_kv::victim() const {
  if (const auto leaf = oldest_cached(true)) return *leaf;
  prefix out = *oldest_cached(false);
  for (std::vector<prefix> level{out}; !level.empty();) {
    std::vector<prefix> next;
    for (const prefix& p : level) {
      if (is_cached(p)) out = p;
      const auto below = children(p);
      next.insert(next.end(), below.begin(), below.end());
    }
    level = next;
  }
  return out;
}

}  // namespace llmos::test
