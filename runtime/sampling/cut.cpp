#include "runtime/sampling/cut.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "runtime/base/check.hpp"
#include "runtime/sampling/weights.hpp"

namespace llmos {

namespace {

/// Below this a sort is faster than another look at digits.
constexpr size_t few = 96;

uint64_t weigh(std::span<const candidate> c) {
  uint64_t sum = 0;
  for (const candidate& x : c) sum += x.weight;
  return sum;
}

/// Ascends with the logit; one value for both zeros.
uint32_t ascending_bits(float logit) {
  const auto bits = std::bit_cast<int32_t>(logit + 0.0f);
  return static_cast<uint32_t>(bits) ^ (static_cast<uint32_t>(bits >> 31) | 0x80000000u);
}

}  // namespace

size_t select_mass(std::span<candidate> c, uint64_t target, const token_order& order) {
  size_t begin = 0;
  size_t end = c.size();
  while (end - begin > 32) {
    const size_t middle = begin + (end - begin) / 2;
    std::nth_element(c.begin() + begin, c.begin() + middle, c.begin() + end, order);
    const uint64_t half = weigh(c.subspan(begin, middle - begin));
    if (half >= target) {
      end = middle;
    } else {
      target -= half;
      begin = middle;
    }
  }
  std::sort(c.begin() + begin, c.begin() + end, order);
  for (size_t i = begin; i < end; ++i) {
    if (c[i].weight >= target) return i + 1;
    target -= c[i].weight;
  }
  check_failed("target <= sum of all weights", __FILE__, __LINE__);
}

void cut_finder::reserve(size_t n) {
  if (n <= places_.size()) return;
  places_.resize(n);
  logits_.resize(n);
  p_.resize(n);
  keys_.resize(n);
  few_.reserve(n);
}

uint32_t cut_finder::find(const weighted_tokens& tokens, const token_order& order, uint64_t target,
                          float bound) {
  size_t n = list(tokens, bound);
  if (n < tokens.logits.size() && mass(n) < target) {
    bound = std::numeric_limits<float>::lowest();
    n = list(tokens, bound);
  }
  set_keys(order, bound, n);
  // A radix search from the highest digit in which keys differ.
  while (n > few) {
    const int width = std::bit_width(differing_bits(n));
    if (width == 0) break;
    n = narrow(n, std::max(width - digit_bits, 0), target);
  }
  return finish(order, target, n);
}

/// Takes up the tokens whose logit is at least `bound`; returns how many.
size_t cut_finder::list(const weighted_tokens& tokens, float bound) {
  const size_t size = tokens.logits.size();
  reserve(size);
  const size_t n = passes_->list_at_least(tokens.logits.data(), size, bound, 0, places_.data());
  if (n == size) {
    std::ranges::copy(tokens.logits, logits_.begin());
    std::ranges::copy(tokens.p, p_.begin());
    return n;
  }
  for (size_t i = 0; i < n; ++i) logits_[i] = tokens.logits[places_[i]];
  for (size_t i = 0; i < n; ++i) p_[i] = tokens.p[places_[i]];
  return n;
}

uint64_t cut_finder::mass(size_t n) const {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += to_weight(p_[i]);
  return sum;
}

void cut_finder::set_keys(const token_order& order, float bound, size_t n) {
  if (order.center == 0) {
    const uint32_t top = ascending_bits(order.top);
    for (size_t i = 0; i < n; ++i) keys_[i] = top - ascending_bits(logits_[i]);
    return;
  }
  const double scale = 0x1p30 / std::max(order.center, order.key(bound));
  for (size_t i = 0; i < n; ++i) {
    keys_[i] = static_cast<uint32_t>(static_cast<int32_t>(order.key(logits_[i]) * scale));
  }
}

uint32_t cut_finder::differing_bits(size_t n) const {
  uint32_t bits = 0;
  for (size_t i = 0; i < n; ++i) bits |= keys_[i] ^ keys_[0];
  return bits;
}

/// Leaves of n tokens those whose digit of the key at `shift`, which differs, holds the target's
/// end; returns how many, and reduces the target by what comes before.
size_t cut_finder::narrow(size_t n, int shift, uint64_t& target) {
  constexpr uint32_t mask = (1u << digit_bits) - 1;
  sums_.fill(0);
  for (size_t i = 0; i < n; ++i) sums_[(keys_[i] >> shift) & mask] += to_weight(p_[i]);
  uint32_t digit = 0;
  while (sums_[digit] < target) target -= sums_[digit++];
  size_t left = 0;
  for (size_t i = 0; i < n; ++i) {
    if (((keys_[i] >> shift) & mask) != digit) continue;
    places_[left] = places_[i];
    keys_[left] = keys_[i];
    logits_[left] = logits_[i];
    p_[left] = p_[i];
    ++left;
  }
  return left;
}

uint32_t cut_finder::finish(const token_order& order, uint64_t target, size_t n) {
  const auto logits = std::span(logits_).first(n);
  const auto is_first = [&](float x) { return x == logits[0]; };
  if (std::ranges::all_of(logits, is_first)) return places_[(target - 1) / to_weight(p_[0])];
  few_.clear();
  for (size_t i = 0; i < n; ++i) few_.push_back({logits[i], places_[i], to_weight(p_[i])});
  return few_[select_mass(few_, target, order) - 1].place;
}

}  // namespace llmos
