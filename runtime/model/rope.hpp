#pragma once

#include <cstdint>
#include <vector>

namespace llmos {

/// Parameters of YaRN (Peng et al. 2023, "YaRN: Efficient Context Window Extension of Large
/// Language Models"), as GGUF names them.
struct yarn_params {
  uint32_t rope_dim = 0;
  double base = 10000.0;
  double factor = 1.0;          ///< Context is stretched by this.
  double original_context = 0;  ///< Positions the model was first trained on.
  double beta_fast = 32.0;      ///< Pairs that turn more often than this keep their frequency.
  double beta_slow = 1.0;       ///< Pairs that turn less often than this are fully stretched.
};

/// YaRN as frequency divisors [rope_dim / 2]: 1 for fast pairs, `factor` for slow ones, and
/// between them 1 / (ramp + (1 - ramp) / factor), with a ramp linear in the pair's index.
std::vector<float> yarn_rope_factors(const yarn_params& p);

/// YaRN's multiplier of cos and sin: 1 + 0.1 ln(factor), 1 where nothing is stretched.
double yarn_attn_factor(double factor);

}  // namespace llmos
