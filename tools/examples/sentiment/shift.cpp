#include "tools/examples/sentiment/shift.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace llmos::examples {

shift_detector::state shift_detector::add(double x) {
  recent_.push_back(x);
  if (recent_.size() > window_) {
    leave(recent_.front());
    recent_.pop_front();
  }
  const double mean = std::accumulate(recent_.begin(), recent_.end(), 0.0) / double(recent_.size());
  // A baseline of fewer than a window's would move more than the window does.
  if (num_before_ < window_) return {mean, num_before_ == 0 ? mean : baseline_, false};
  const double difference = std::abs(mean - baseline_);
  if (difference < threshold_ / 2) has_fired_ = false;
  const bool is_shift = !has_fired_ && difference > threshold_;
  has_fired_ |= is_shift;
  return {mean, baseline_, is_shift};
}

void shift_detector::leave(double x) {
  ++num_before_;
  baseline_ += (x - baseline_) / double(std::min(num_before_, 4 * window_));
}

}  // namespace llmos::examples
