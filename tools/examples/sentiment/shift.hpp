#pragma once

#include <cstddef>
#include <deque>

namespace llmos::examples {

/// Sees when a series of numbers has moved. The newest `window` of them are compared, by their
/// mean, with the baseline: the mean of those before, whose weights fall so that about four windows
/// count. A difference of more than `threshold` is a shift. It is told once: the next can only come
/// after the difference has been below half of the threshold, because the series went back or
/// because the baseline has followed it.
///
///               |difference| > threshold: a shift
///     ┌───────┐ ────────────────────────────────▶ ┌───────┐
///     │ armed │                                   │ fired │
///     └───────┘ ◀──────────────────────────────── └───────┘
///               |difference| < threshold / 2
class shift_detector {
public:
  struct state {
    double window = 0, baseline = 0;  ///< Means. The baseline is the window's until it has begun.
    bool is_shift = false;            ///< Told now.
  };

  /// REQUIRES: window > 0, threshold > 0.
  shift_detector(size_t window, double threshold) : window_(window), threshold_(threshold) {}

  state add(double x);

private:
  void leave(double x);

  size_t window_;
  double threshold_;
  std::deque<double> recent_;
  double baseline_ = 0;
  size_t num_before_ = 0;
  bool has_fired_ = false;
};

}  // namespace llmos::examples
