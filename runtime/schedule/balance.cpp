#include "runtime/schedule/balance.hpp"

#include <algorithm>

#include "runtime/base/check.hpp"

namespace llmos {

size_t least_loaded(std::span<const engine_load> loads) {
  LLMOS_CHECK(!loads.empty());
  const bool measured =
      std::all_of(loads.begin(), loads.end(), [](const auto& x) { return x.pass_seconds > 0; });
  const auto cost = [&](const engine_load& x) {
    return static_cast<double>(x.num_users + 1) * (measured ? x.pass_seconds : 1);
  };
  const auto best = std::min_element(
      loads.begin(), loads.end(), [&](const auto& a, const auto& b) { return cost(a) < cost(b); });
  return static_cast<size_t>(best - loads.begin());
}

}  // namespace llmos
