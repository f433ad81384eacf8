#include "runtime/model/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/base/check.hpp"
#include "runtime/model/model.hpp"

namespace llmos {

namespace {

/// Index (not a whole number) of the pair that turns `turns` times within the original context.
double pair_that_turns(const yarn_params& p, double turns) {
  return p.rope_dim * std::log(p.original_context / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(p.base));
}

}  // namespace

std::vector<float> yarn_rope_factors(const yarn_params& p) {
  const double first = std::max(0.0, std::floor(pair_that_turns(p, p.beta_fast)));
  const double last = std::min(p.rope_dim - 1.0, std::ceil(pair_that_turns(p, p.beta_slow)));
  const double width = std::max(0.001, last - first);
  std::vector<float> factors(p.rope_dim / 2);
  for (size_t i = 0; i < factors.size(); ++i) {
    const double keep = 1.0 - std::clamp((static_cast<double>(i) - first) / width, 0.0, 1.0);
    factors[i] = static_cast<float>(1.0 / (keep + (1.0 - keep) / p.factor));
  }
  return factors;
}

double yarn_attn_factor(double factor) {
  return factor <= 1.0 ? 1.0 : 1.0 + 0.1 * std::log(factor);
}

rope_table make_rope_table(const model& m, uint32_t n_positions) {
  const hyperparameters& hp = m.hp;
  const size_t n_pairs = hp.rope_dim / 2;
  LLMOS_CHECK(m.rope_factors.empty() || m.rope_factors.size() == n_pairs);
  rope_table table{.n_pairs = static_cast<uint32_t>(n_pairs)};
  table.cos.resize(n_positions * n_pairs);
  table.sin.resize(n_positions * n_pairs);
  for (size_t pair = 0; pair < n_pairs; ++pair) {
    const double divisor = m.rope_factors.empty() ? 1.0 : m.rope_factors[pair];
    const double turn = -2.0 * static_cast<double>(pair) / hp.rope_dim;
    const double frequency = std::pow(static_cast<double>(hp.rope_base), turn) / divisor;
    for (size_t pos = 0; pos < n_positions; ++pos) {
      const double angle = static_cast<double>(pos) * hp.rope_scale * frequency;
      table.cos[pos * n_pairs + pair] = static_cast<float>(std::cos(angle) * hp.rope_attn_factor);
      table.sin[pos * n_pairs + pair] = static_cast<float>(std::sin(angle) * hp.rope_attn_factor);
    }
  }
  return table;
}

}  // namespace llmos
