#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/check.hpp"
#include "runtime/base/types.hpp"

namespace llmos {

/// A token that may still be chosen.
struct candidate {
  float logit = 0;
  token_id id = 0;
  uint64_t weight = 0;  ///< See weights.hpp.
};

/// The order of all candidates: most likely first, lower ids first among equals.
struct likelier {
  bool operator()(const candidate& a, const candidate& b) const {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  }
};

/// All tokens above -infinity, in order of id. Weights are left 0. REQUIRES: no NaN.
void select_possible(std::span<const float> logits, std::vector<candidate>& out);

/// The k likeliest tokens, likeliest first; tokens at -infinity never count, so there may be
/// fewer. Weights are left 0. REQUIRES: no NaN.
void select_top(std::span<const float> logits, size_t k, std::vector<candidate>& out);

/// The shortest prefix, in the order `less`, that weighs at least `target`: moves it to the front,
/// its last element at its end, and returns its length. Expected O(n), no full sort.
/// REQUIRES: less is a strict total order; 1 <= target <= sum of all weights.
template <class Less>
size_t select_mass(std::span<candidate> c, uint64_t target, Less less) {
  size_t begin = 0;
  size_t end = c.size();
  const auto weigh = [&](size_t from, size_t to) {
    uint64_t sum = 0;
    for (size_t i = from; i < to; ++i) sum += c[i].weight;
    return sum;
  };
  while (end - begin > 32) {
    const size_t middle = begin + (end - begin) / 2;
    std::nth_element(c.begin() + begin, c.begin() + middle, c.begin() + end, less);
    const uint64_t half = weigh(begin, middle);
    if (half >= target) {
      end = middle;
    } else {
      target -= half;
      begin = middle;
    }
  }
  std::sort(c.begin() + begin, c.begin() + end, less);
  for (size_t i = begin; i < end; ++i) {
    if (c[i].weight >= target) return i + 1;
    target -= c[i].weight;
  }
  check_failed("target <= sum of all weights", __FILE__, __LINE__);
}

/// select_mass in the order of likelihood, fast where few candidates carry most of the mass.
/// `scale`: by how much logits differ where probabilities differ e-fold.
size_t select_likeliest(std::span<candidate> c, uint64_t target, float scale);

}  // namespace llmos
