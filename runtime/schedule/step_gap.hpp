#pragma once

#include <chrono>
#include <optional>

namespace llmos {

/// Where the time between two steps of an executor goes, in microseconds.
struct step_gap {
  double deliver_us = 0;   ///< Until the scheduler hears of the end of the step before.
  double plan_us = 0;      ///< The scheduler's own work.
  double blocks_us = 0;    ///< Waiting for KV blocks, where no step could be planned at once.
  double dispatch_us = 0;  ///< Until the executor begins.

  double total_us() const { return deliver_us + plan_us + blocks_us + dispatch_us; }
};

/// Takes that time apart, event by event. Pure: times are arguments.
class gap_watch {
public:
  using time = std::chrono::steady_clock::time_point;

  /// A step ended, which the scheduler hears now.
  void step_ended(time ended, time now);
  /// A step ended, and the executor has had the next one already.
  void step_ended_before_another(time ended);
  /// The next step cannot be planned yet: blocks are awaited.
  void blocked(time now);
  /// It was planned and goes to the executor.
  void step_sent(time now);
  /// There is nothing to do: what comes next was not waited for.
  void idle();
  /// The step that was sent began then. Returns the gap before it, if work was waiting.
  std::optional<step_gap> step_began(time started);

private:
  std::optional<step_gap> gap_;
  bool is_blocked_ = false;
  time part_began_{};
};

}  // namespace llmos
