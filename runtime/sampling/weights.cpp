#include "runtime/sampling/weights.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace llmos {

namespace {

/// e^x for -87 <= x <= 0.
float exp_bounded(float x) {
  // x = n ln2 + r with |r| <= ln2 / 2; ln2 is split so that the larger product is exact.
  const int32_t n = static_cast<int32_t>(x * 1.44269504f - 0.5f);
  const float nf = static_cast<float>(n);
  const float r = (x - nf * 0.693359375f) + nf * 2.12194440e-4f;
  float sum = 1.0f / 5040;  // Taylor: the next term is below 6e-9
  sum = sum * r + 1.0f / 720;
  sum = sum * r + 1.0f / 120;
  sum = sum * r + 1.0f / 24;
  sum = sum * r + 1.0f / 6;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  return sum * std::bit_cast<float>((n + 127) << 23);
}

}  // namespace

void exp_nonpositive(std::span<float> x) {
  // Two loops, both vectorised: in one, compilers branch around the arithmetic of the bound.
  for (float& v : x) v = v > -87.0f ? v : -87.0f;
  for (float& v : x) v = exp_bounded(v);
}

float max_of(std::span<const float> logits) {
  // Independent lanes: one running maximum would wait for itself at every element.
  constexpr size_t lanes = 32;
  std::array<float, lanes> top;
  top.fill(-std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + lanes <= logits.size(); i += lanes) {
    for (size_t j = 0; j < lanes; ++j) top[j] = logits[i + j] > top[j] ? logits[i + j] : top[j];
  }
  for (; i < logits.size(); ++i) top[0] = std::max(top[0], logits[i]);
  return *std::max_element(top.begin(), top.end());
}

uint64_t sum_weights(std::span<const float> logits, float top) {
  std::array<float, 256> e;
  uint64_t sum = 0;
  for (size_t begin = 0; begin < logits.size(); begin += e.size()) {
    const auto part = std::span(e).first(std::min(e.size(), logits.size() - begin));
    for (size_t i = 0; i < part.size(); ++i) part[i] = logits[begin + i] - top;
    exp_nonpositive(part);
    for (float p : part) sum += to_weight(p);
  }
  return sum;
}

}  // namespace llmos
