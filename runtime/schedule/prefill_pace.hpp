#pragma once

#include <cstdint>

namespace llmos {

/// Learns from finished steps what a row of prefill costs, so that a step can be kept short while
/// others wait for their next token. Rises at once and falls slowly: one promise broken is worse
/// than some steps that were shorter than need be. Pure: times are arguments.
class prefill_pace {
public:
  /// Smaller parts of a prompt cost nearly as much as this many rows.
  static constexpr uint32_t least_rows = 16;

  /// A finished step: its rows and how long it took.
  void observe(uint32_t decode_rows, uint32_t prefill_rows, uint64_t us);

  /// Rows of prefill that lengthen a step by at most `us`, going by what was seen; least_rows at
  /// the least, or there would be no end, and while nothing was seen.
  uint32_t rows_within(uint64_t us) const;

private:
  double decode_us_ = 0;  ///< A step without prefill, of late.
  double row_us_ = 0;     ///< What a row of prefill adds to it; 0 = not known.
};

}  // namespace llmos
