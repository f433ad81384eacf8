#pragma once

#include <caf/stateful_actor.hpp>
#include <optional>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/schedule/step_runner.hpp"

namespace llmos {

/// EXECUTOR's state: the device and what it must know of each sequence.
struct executor_state {
  static inline constexpr const char* name = "executor";

  explicit executor_state(executor_actor::stateful_pointer<executor_state> self) : self(self) {}

  caf::result<std::string> load();
  void step(const step_plan& plan);
  std::string status() const;

  executor_actor::stateful_pointer<executor_state> self;
  loaded_model_ptr model;
  engine_plan plan;
  backend_factory make_device;
  std::optional<step_runner> runner;
  step_listener_actor listener;
};

/// Spawn it detached: `load` and `step` compute on the calling thread, which is the device's.
executor_actor::behavior_type executor(executor_actor::stateful_pointer<executor_state> self,
                                       loaded_model_ptr model, engine_plan plan,
                                       backend_factory make_device);

}  // namespace llmos
