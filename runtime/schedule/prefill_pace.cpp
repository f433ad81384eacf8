#include "runtime/schedule/prefill_pace.hpp"

#include <algorithm>
#include <limits>

namespace llmos {

namespace {

/// Share of the newest value where it is the lower one.
constexpr double falling = 0.2;

double follow(double known, double seen) {
  return seen >= known ? seen : known + falling * (seen - known);
}

}  // namespace

void prefill_pace::observe(uint32_t decode_rows, uint32_t prefill_rows, uint64_t us) {
  const auto time = static_cast<double>(us);
  if (prefill_rows == 0) {
    decode_us_ = follow(decode_us_, time);
  } else if (prefill_rows >= least_rows) {
    const double shared = decode_rows > 0 ? std::min(decode_us_, time / 2) : 0;
    row_us_ = follow(row_us_, (time - shared) / prefill_rows);
  }
}

uint32_t prefill_pace::rows_within(uint64_t us) const {
  if (row_us_ <= 0) return least_rows;
  const double rows = static_cast<double>(us) / row_us_;
  if (rows >= static_cast<double>(std::numeric_limits<uint32_t>::max())) {
    return std::numeric_limits<uint32_t>::max();
  }
  return std::max(least_rows, static_cast<uint32_t>(rows));
}

}  // namespace llmos
