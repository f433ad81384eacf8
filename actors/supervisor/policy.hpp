#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace llmos {

/// Restart intensity as OTP has it: more than `max_restarts` within `period` is a fault that
/// restarting does not mend. Pure: time comes in as an argument.
class restart_policy {
public:
  using time_point = std::chrono::steady_clock::time_point;

  restart_policy(uint32_t max_restarts, std::chrono::milliseconds period)
      : max_restarts_(max_restarts), period_(period) {}

  /// Records a crash at `now`; true when a restart is allowed.
  [[nodiscard]] bool allow(time_point now) {
    crashes_.push_back(now);
    while (now - crashes_.front() > period_) crashes_.pop_front();
    return crashes_.size() <= max_restarts_;
  }

private:
  uint32_t max_restarts_;
  std::chrono::milliseconds period_;
  std::deque<time_point> crashes_;
};

}  // namespace llmos
