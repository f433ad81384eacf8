#include "runtime/sampling/weights.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "runtime/sampling/passes.hpp"

namespace llmos {

void exp_nonpositive(std::span<float> x) {
  passes_portable.exp(x.data(), x.size());
}

float max_of(std::span<const float> x) {
  // Independent lanes: one running maximum would wait for itself at every element.
  constexpr size_t lanes = 32;
  std::array<float, lanes> top;
  top.fill(-std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + lanes <= x.size(); i += lanes) {
    for (size_t j = 0; j < lanes; ++j) top[j] = x[i + j] > top[j] ? x[i + j] : top[j];
  }
  for (; i < x.size(); ++i) top[0] = std::max(top[0], x[i]);
  return *std::max_element(top.begin(), top.end());
}

}  // namespace llmos
