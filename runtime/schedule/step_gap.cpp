#include "runtime/schedule/step_gap.hpp"

#include <utility>

namespace llmos {

namespace {

double us(gap_watch::time from, gap_watch::time to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

}  // namespace

void gap_watch::step_ended(time ended, time now) {
  gap_.emplace().deliver_us = us(ended, now);
  is_blocked_ = false;
  part_began_ = now;
}

void gap_watch::step_ended_before_another(time ended) {
  gap_.emplace();
  is_blocked_ = false;
  part_began_ = ended;
}

void gap_watch::blocked(time now) {
  if (!gap_ || is_blocked_) return;
  gap_->plan_us = us(part_began_, now);
  is_blocked_ = true;
  part_began_ = now;
}

void gap_watch::step_sent(time now) {
  if (gap_) (is_blocked_ ? gap_->blocks_us : gap_->plan_us) = us(part_began_, now);
  part_began_ = now;
}

void gap_watch::idle() {
  gap_.reset();
}

std::optional<step_gap> gap_watch::step_began(time started) {
  if (gap_) gap_->dispatch_us = us(part_began_, started);
  return std::exchange(gap_, std::nullopt);
}

}  // namespace llmos
