#include "actors/engine/executor/executor.hpp"

#include <utility>

#include "actors/engine/transfer/transfer.hpp"
#include "actors/error.hpp"

namespace llmos {

template <class Fun>
auto executor_state::spawn_helper(Fun fun) {
  const auto& device = runner->device();
  return args.detached ? self->spawn<caf::detached + caf::linked>(fun, device)
                       : self->spawn<caf::linked>(fun, device);
}

caf::result<device_report> executor_state::load() {
  auto device = args.make_device(*args.model, args.plan);
  if (!device) return to_error(device.error());
  auto* raw = device->release();
  runner.emplace(std::shared_ptr<backend>(raw,
                                          [gone = args.gone](backend* b) {
                                            delete b;
                                            if (gone) gone();
                                          }),
                 args.model->weights->hp.n_vocab);
  const auto& made = runner->device();
  device_report out{made->info().numerics, made->runs_ahead(), {}};
  if (made->runs_ahead()) watch = spawn_helper(watcher);
  if (made->moves_blocks() && args.plan.device.num_host_blocks > 0) {
    out.mover = spawn_helper(transfer);
  }
  return out;
}

void executor_state::step(const step_plan_ptr& p) {
  if (!runner) {
    step_result out;
    out.step = p->step;
    out.error = {ec::internal, "a step arrived before load", ""};
    return tell(std::move(out));
  }
  if (auto done = runner->start(p)) return tell(std::move(*done));
  self->request(watch, caf::infinite, atom::wait_v)
      .then([this](caf::ok_atom) { tell(runner->finish()); },
            [this](caf::error& why) { self->quit(std::move(why)); });
}

void executor_state::tell(step_result done) {
  self->send(listener, atom::done_v, std::make_shared<const step_result>(std::move(done)));
}

std::string executor_state::status() const {
  if (!runner) return "device=none";
  const auto& info = runner->device()->info();
  return "device=" + info.name + " (" + info.device +
         ") sequences=" + std::to_string(runner->num_sequences());
}

executor_actor::behavior_type executor(executor_actor::stateful_pointer<executor_state> self,
                                       executor_args args) {
  self->state.args = std::move(args);
  return {
      [self](atom::load) { return self->state.load(); },
      [self](atom::wire, const step_listener_actor& who) { self->state.listener = who; },
      [self](atom::step, const step_plan_ptr& p) { self->state.step(p); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
