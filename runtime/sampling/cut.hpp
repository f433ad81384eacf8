#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/sampling/passes.hpp"

namespace llmos {

/// A token among others: `place` is its place in a list that is in order of id.
struct candidate {
  float logit = 0;
  uint32_t place = 0;
  uint64_t weight = 0;  ///< See weights.hpp.
};

/// An order of tokens: those first whose distance to the largest logit is nearest to `center`, then
/// those with the larger logit, then those with the lower place. With `center` 0 that is the order
/// of likelihood.
struct token_order {
  float top = 0;  ///< The largest logit of all.
  double center = 0;

  double key(float logit) const {
    return std::abs(static_cast<double>(top) - static_cast<double>(logit) - center);
  }
  bool operator()(const candidate& a, const candidate& b) const {
    const double x = key(a.logit);
    const double y = key(b.logit);
    if (x != y) return x < y;
    return a.logit > b.logit || (a.logit == b.logit && a.place < b.place);
  }
};

/// The shortest prefix of the sorted candidates that weighs at least `target`: moves it to the
/// front, its last element at its end, and returns its length. Expected O(n), no full sort.
/// REQUIRES: 1 <= target <= sum of all weights.
size_t select_mass(std::span<candidate> c, uint64_t target, const token_order& order);

/// Tokens in order of id: logits and, as fractions of 1, their weights.
struct weighted_tokens {
  std::span<const float> logits;
  std::span<const float> p;
};

/// Finds where a mass of tokens ends in an order. Keeps its working memory, 32 bytes for each token
/// of the longest list, most of it untouched.
class cut_finder {
public:
  explicit cut_finder(const pass_table& passes) : passes_(&passes) {}

  /// Takes the memory for lists of up to n tokens; a longer list takes it by itself.
  void reserve(size_t n);

  /// Place of the last token of the shortest prefix, in `order`, that weighs at least `target`.
  /// Tokens below `bound` are passed over as long as the others weigh enough: a bad guess costs
  /// time only. REQUIRES: bound is finite, and all tokens below it stand after all others; 1 <=
  /// target <= what the tokens above -infinity weigh; equal logits have equal weights.
  uint32_t find(const weighted_tokens& tokens, const token_order& order, uint64_t target,
                float bound);

private:
  size_t list(const weighted_tokens& tokens, float bound);
  uint64_t mass(size_t n) const;
  void set_keys(const token_order& order, float bound, size_t n);
  uint32_t differing_bits(size_t n) const;
  size_t narrow(size_t n, int shift, uint64_t& target);
  uint32_t finish(const token_order& order, uint64_t target, size_t n);

  static constexpr int digit_bits = 11;

  const pass_table* passes_;
  // The tokens in question, in order of id.
  std::vector<uint32_t> places_;  // in the list
  std::vector<float> logits_, p_;
  std::vector<uint32_t> keys_;  // ascending in the order, perhaps equal where it still decides
  std::array<uint64_t, size_t{1} << digit_bits> sums_;  // weight of each digit
  std::vector<candidate> few_;
};

}  // namespace llmos
