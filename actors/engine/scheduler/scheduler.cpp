#include "actors/engine/scheduler/scheduler.hpp"

#include <chrono>
#include <utility>

#include "actors/error.hpp"

namespace llmos {

using steady = std::chrono::steady_clock;

caf::result<caf::ok_atom> scheduler_state::enqueue(const spec_ptr& spec) {
  if (auto queued = core->enqueue(spec); !queued) return to_error(queued.error());
  go_on();
  return caf::ok_atom_v;
}

void scheduler_state::cancel(request_id id) {
  core->cancel(id);
  go_on();
}

void scheduler_state::reserved(reserve_reply reply) {
  core->on_reserved(std::move(reply));
  go_on();
}

void scheduler_state::leased(std::vector<block_id> blocks) {
  core->on_leased(std::move(blocks));
  go_on();
}

void scheduler_state::step_done(const step_result& done) {
  if (done.error.code != ec::none) {
    self->quit(to_error(done.error));  // the supervisor starts the engine over
    return;
  }
  const auto gap = gaps.step_began(done.started);
  const auto now = steady::now();
  core->step_done(done);
  core->in_flight() ? gaps.step_ended_before_another(done.ended) : gaps.step_ended(done.ended, now);
  pump();
  report(done, gap);
}

/// After anything but a step, which is reported by itself.
void scheduler_state::go_on() {
  pump();
  report_load();
}

void scheduler_state::pump() {
  bool was_waited_for = !core->in_flight();
  while (auto plan = core->next_step()) {
    self->send(wiring.executor, atom::step_v, std::make_shared<const step_plan>(std::move(*plan)));
    if (std::exchange(was_waited_for, false)) gaps.step_sent(steady::now());
  }
  if (!core->in_flight()) core->idle() ? gaps.idle() : gaps.blocked(steady::now());
  send_output(core->drain());
}

void scheduler_state::send_output(scheduler_output out) {
  if (!out.tokens.empty()) {
    self->send(wiring.sink, atom::token_v,
               std::make_shared<const token_batch>(std::move(out.tokens)));
  }
  for (auto& s : out.seals) self->send(wiring.memory, atom::seal_v, std::move(s));
  if (!out.released.empty()) self->send(wiring.memory, atom::release_v, std::move(out.released));
  for (auto& r : out.reserves) self->send(wiring.memory, atom::reserve_v, std::move(r));
  if (out.lease > 0) self->send(wiring.memory, atom::lease_v, out.lease);
}

void scheduler_state::report(const step_result& done, const std::optional<step_gap>& gap) {
  step_report r;
  r.engine = name_in_reports;
  r.num_rows = done.num_rows;
  r.num_tokens = static_cast<uint32_t>(done.tokens.size());
  r.forward_us = done.forward_us;
  r.sample_us = done.sample_us;
  r.gap = gap;
  r.schedule = core->stats();
  reported_waiting = r.schedule.waiting;
  reported_running = r.schedule.running;
  self->send(wiring.monitor, atom::step_v, std::move(r));
}

/// A gauge would keep what it was when the last step ended: one cancelled between two steps.
void scheduler_state::report_load() {
  if (core->in_flight()) return;
  const auto s = core->stats();
  if (s.waiting == reported_waiting && s.running == reported_running) return;
  reported_waiting = s.waiting;
  reported_running = s.running;
  self->send(wiring.monitor, atom::update_v, load_report{name_in_reports, s.waiting, s.running});
}

std::string scheduler_state::status() const {
  const auto s = core->stats();
  return "waiting=" + std::to_string(s.waiting) + " running=" + std::to_string(s.running) +
         " steps=" + std::to_string(s.steps) + " ahead=" + std::to_string(s.steps_ahead) +
         " preemptions=" + std::to_string(s.preemptions) +
         " drafts=" + std::to_string(s.draft_tokens) +
         " accepted=" + std::to_string(s.accepted_tokens);
}

scheduler_actor::behavior_type scheduler(scheduler_actor::stateful_pointer<scheduler_state> self,
                                         engine_label name, scheduler_limits limits) {
  self->state.core.emplace(limits);
  self->state.name_in_reports = std::move(name);
  return {
      [self](atom::wire, const scheduler_wiring& w) { self->state.wiring = w; },
      [self](atom::enqueue, const spec_ptr& spec) { return self->state.enqueue(spec); },
      [self](atom::cancel, request_id id) { self->state.cancel(id); },
      [self](atom::stats) { return self->state.core->stats(); },
      [self](atom::done, const step_result_ptr& done) { self->state.step_done(*done); },
      [self](atom::reserved, reserve_reply& r) { self->state.reserved(std::move(r)); },
      [self](atom::leased, std::vector<block_id>& b) { self->state.leased(std::move(b)); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
