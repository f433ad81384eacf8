#pragma once

#include <caf/stateful_actor.hpp>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/metrics/metrics_registry.hpp"

namespace llmos {

/// MONITOR's state: the registry that every report lands in.
struct monitor_state {
  static inline constexpr const char* name = "monitor";

  monitor_state();

  void step(const step_report& r);
  void load(const load_report& r);
  void generation(const generation_report& r);
  void engine_ended(const engine_label& x);
  void memory(const memory_report& r);
  void refused(const std::string& reason);
  void restarted(const std::string& room);
  metrics_ptr snapshot() const;

  metrics_registry metrics;
  std::map<metric_labels, scheduler_stats> last;  ///< By engine: each counts from its start.
  std::map<metric_labels, kv_stats> last_blocks;  ///< Likewise.

private:
  void gap(const step_gap& x, const metric_labels& engine);
  void set_blocks(const metric_labels& engine, const kv_stats& blocks);
};

monitor_actor::behavior_type monitor(monitor_actor::stateful_pointer<monitor_state> self);

}  // namespace llmos
