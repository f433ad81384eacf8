#pragma once

#include <caf/stateful_actor.hpp>
#include <deque>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/metrics/event_log.hpp"
#include "runtime/metrics/metrics_registry.hpp"

namespace llmos {

/// MONITOR's state: the registry that every report lands in, and the log of events.
struct monitor_state {
  static inline constexpr const char* name = "monitor";

  explicit monitor_state(monitor_actor::stateful_pointer<monitor_state> self);

  void step(const step_report& r);
  void load(const load_report& r);
  void generation(const generation_report& r);
  void engine_ended(const engine_label& x);
  void memory(const memory_report& r);
  void refused(const std::string& reason);
  void happened(const node_event& e);
  caf::result<event_page> watch(const log_position& from, uint32_t wait_ms);
  void tick();
  metrics_ptr snapshot() const;

  monitor_actor::stateful_pointer<monitor_state> self;
  metrics_registry metrics;
  std::map<metric_labels, scheduler_stats> last;  ///< By engine: each counts from its start.
  std::map<metric_labels, kv_stats> last_blocks;  ///< Likewise.

private:
  /// Somebody who waits for the next event.
  struct watcher {
    log_position from;
    caf::actor_clock::time_point until;
    caf::typed_response_promise<event_page> promise;
  };

  void gap(const step_gap& x, const metric_labels& engine);
  void set_blocks(const metric_labels& engine, const kv_stats& blocks);

  event_log events_;
  std::deque<watcher> watchers_;  ///< In the order of their coming.
};

monitor_actor::behavior_type monitor(monitor_actor::stateful_pointer<monitor_state> self);

}  // namespace llmos
