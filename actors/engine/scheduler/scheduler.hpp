#pragma once

#include <caf/stateful_actor.hpp>
#include <optional>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/schedule/batch_scheduler.hpp"
#include "runtime/schedule/step_gap.hpp"

namespace llmos {

/// SCHEDULER's state: the batching logic and its neighbours.
struct scheduler_state {
  static inline constexpr const char* name = "scheduler";

  explicit scheduler_state(scheduler_actor::stateful_pointer<scheduler_state> self) : self(self) {}

  caf::result<caf::ok_atom> enqueue(const spec_ptr& spec);
  void cancel(request_id id);
  void reserved(reserve_reply reply);
  void leased(std::vector<block_id> blocks);
  void step_done(const step_result& done);
  std::string status() const;

  /// Sends what the logic wants and starts the next step when one can run.
  void pump();

  scheduler_actor::stateful_pointer<scheduler_state> self;
  std::optional<batch_scheduler> core;
  scheduler_wiring wiring;
  engine_label name_in_reports;
  gap_watch gaps;
  uint32_t reported_waiting = 0, reported_running = 0;

private:
  void send_output(scheduler_output out);
  void go_on();
  void report_load();
  void report(const step_result& done, const std::optional<step_gap>& gap);
};

/// `name`: its engine's in reports.
scheduler_actor::behavior_type scheduler(scheduler_actor::stateful_pointer<scheduler_state> self,
                                         engine_label name, scheduler_limits limits);

}  // namespace llmos
