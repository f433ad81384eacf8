#pragma once

#include <cstdint>

#include "runtime/base/types.hpp"

namespace llmos {

/// How one token is chosen from its logits, for a device that does it itself: as `sampler` does
/// with these parameters, up to the rounding of exponentials.
struct token_choice {
  static constexpr uint32_t max_masked = 8;

  float temperature = 0;  ///< 0: the likeliest, of equal ones the lowest id.
  uint32_t top_k = 0;     ///< 0: all. Candidates as likely as the last one stay too.
  float top_p = 1;
  float min_p = 0;
  float uniform = 0;  ///< The draw, in [0, 1).
  uint32_t num_masked = 0;
  token_id masked[max_masked] = {};  ///< Never chosen.
};

}  // namespace llmos
