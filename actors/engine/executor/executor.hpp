#pragma once

#include <caf/stateful_actor.hpp>
#include <functional>
#include <optional>
#include <string>

#include "actors/engine/executor/watcher.hpp"
#include "actors/protocol.hpp"
#include "runtime/schedule/step_runner.hpp"

namespace llmos {

struct executor_args {
  loaded_model_ptr model;
  engine_plan plan;
  backend_factory make_device;
  std::function<void()> gone = {};  ///< Called when the device has been given back.
  bool detached = true;             ///< Threads of their own for its helpers; off in tests.
};

/// EXECUTOR's state: the device and what it must know of each sequence.
struct executor_state {
  static inline constexpr const char* name = "executor";

  explicit executor_state(executor_actor::stateful_pointer<executor_state> self) : self(self) {}

  caf::result<device_report> load();
  void step(const step_plan_ptr& plan);
  std::string status() const;

  executor_actor::stateful_pointer<executor_state> self;
  executor_args args;
  std::optional<step_runner> runner;
  watcher_actor watch;  ///< Where the device runs ahead.
  step_listener_actor listener;

private:
  template <class Fun>
  auto spawn_helper(Fun fun);
  void tell(step_result done);
};

/// Spawn it detached: `load` and `step` compute on the calling thread, which is the device's.
executor_actor::behavior_type executor(executor_actor::stateful_pointer<executor_state> self,
                                       executor_args args);

}  // namespace llmos
