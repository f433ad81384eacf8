#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/types.hpp"

namespace llmos {

/// What one token's logit is changed by before a token is chosen.
struct token_adjustment {
  token_id id = 0;
  uint32_t count = 0;  ///< How often the penalties see it.
  float bias = 0;      ///< Added first.

  friend bool operator==(const token_adjustment&, const token_adjustment&) = default;
};

/// How one token is chosen from its logits, for a device that does it itself: as `sampler` does
/// with these parameters, up to the rounding of exponentials.
struct token_choice {
  static constexpr uint32_t max_masked = 8;
  static constexpr uint32_t max_adjustments = 512;

  float temperature = 0;  ///< 0: the likeliest, of equal ones the lowest id.
  uint32_t top_k = 0;     ///< 0: all. Candidates as likely as the last one stay too.
  float top_p = 1;
  float min_p = 0;
  float uniform = 0;  ///< The draw, in [0, 1).
  uint32_t num_masked = 0;
  token_id masked[max_masked] = {};  ///< Never chosen.

  float repetition_penalty = 1;
  float frequency_penalty = 0;
  float presence_penalty = 0;
  uint32_t first_adjustment = 0;  ///< In the list of the step; ids differ.
  uint32_t num_adjustments = 0;
  /// The penalties see one token more: -1 - i is the one chosen for logit row i of the step before;
  /// 0 is none.
  token_id pending = 0;
};

/// How the tokens of a step are chosen.
struct step_choices {
  std::span<const token_choice> rows;  ///< One for each logit row.
  std::span<const token_adjustment> adjustments;
};

}  // namespace llmos
