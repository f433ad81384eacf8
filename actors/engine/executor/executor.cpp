#include "actors/engine/executor/executor.hpp"

#include <utility>

#include "actors/error.hpp"

namespace llmos {

caf::result<std::string> executor_state::load() {
  auto device = make_device(*model, plan);
  if (!device) return to_error(device.error());
  runner.emplace(std::move(*device), model->weights->hp.n_vocab);
  return runner->device().info().numerics;
}

void executor_state::step(const step_plan& p) {
  step_result out;
  if (runner) {
    out = runner->run(p);
  } else {
    out.step = p.step;
    out.error = {ec::internal, "a step arrived before load", ""};
  }
  self->send(listener, atom::done_v, std::make_shared<const step_result>(std::move(out)));
}

std::string executor_state::status() const {
  if (!runner) return "device=none";
  const auto& info = runner->device().info();
  return "device=" + info.name + " (" + info.device +
         ") sequences=" + std::to_string(runner->num_sequences());
}

executor_actor::behavior_type executor(executor_actor::stateful_pointer<executor_state> self,
                                       loaded_model_ptr model, engine_plan plan,
                                       backend_factory make_device) {
  self->state.model = std::move(model);
  self->state.plan = std::move(plan);
  self->state.make_device = std::move(make_device);
  return {
      [self](atom::load) { return self->state.load(); },
      [self](atom::wire, const step_listener_actor& who) { self->state.listener = who; },
      [self](atom::step, const step_plan_ptr& p) { self->state.step(*p); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
