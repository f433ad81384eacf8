#include "runtime/sampling/select.hpp"

#include <limits>

namespace llmos {

namespace {
constexpr float minus_infinity = -std::numeric_limits<float>::infinity();
}

void select_possible(std::span<const float> logits, std::vector<candidate>& out) {
  out.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > minus_infinity) out.push_back({logits[i], static_cast<token_id>(i), 0});
  }
}

void select_top(std::span<const float> logits, size_t k, std::vector<candidate>& out) {
  out.clear();
  if (k == 0) return;
  k = std::min(k, logits.size());
  const size_t room = k + std::max<size_t>(k, 64);
  float threshold = minus_infinity;  // ids ascend, so a later equal of the k-th never belongs
  const auto keep_best = [&] {
    if (out.size() <= k) return;
    std::nth_element(out.begin(), out.begin() + static_cast<ptrdiff_t>(k - 1), out.end(),
                     likelier{});
    out.resize(k);
    threshold = out.back().logit;
  };
  constexpr size_t stride = 64;
  for (size_t begin = 0; begin < logits.size(); begin += stride) {
    const size_t end = std::min(begin + stride, logits.size());
    int32_t hits = 0;  // most strides have none, and counting is vectorised
    for (size_t i = begin; i < end; ++i) hits += logits[i] > threshold;
    if (hits == 0) continue;
    for (size_t i = begin; i < end; ++i) {
      if (logits[i] > threshold) out.push_back({logits[i], static_cast<token_id>(i), 0});
      if (out.size() == room) keep_best();
    }
  }
  keep_best();
  std::sort(out.begin(), out.end(), likelier{});
}

size_t select_likeliest(std::span<candidate> c, uint64_t target, float scale) {
  float top = minus_infinity;
  for (const candidate& x : c) top = std::max(top, x.logit);
  // A partition by a bound reads the candidates once; in a peaked distribution the first few
  // bounds leave little to sort.
  size_t begin = 0;
  for (float below : {3.0f, 6.0f, 9.0f, 12.0f}) {
    const float bound = top - below * scale;
    const auto split = std::partition(c.begin() + static_cast<ptrdiff_t>(begin), c.end(),
                                      [&](const candidate& x) { return x.logit >= bound; });
    const auto end = static_cast<size_t>(split - c.begin());
    uint64_t mass = 0;
    for (size_t i = begin; i < end; ++i) mass += c[i].weight;
    if (mass >= target) {
      return begin + select_mass(c.subspan(begin, end - begin), target, likelier{});
    }
    target -= mass;
    begin = end;
  }
  return begin + select_mass(c.subspan(begin), target, likelier{});
}

}  // namespace llmos
