#include "actors/gateway/batch/batch.hpp"

#include <caf/sec.hpp>
#include <chrono>
#include <utility>

#include "actors/error.hpp"
#include "actors/timed_request.hpp"

namespace llmos {

namespace {

constexpr std::chrono::seconds answer_timeout{60};
constexpr std::chrono::milliseconds pause{200};
constexpr uint32_t lost_kernels_max = 50;  // with the pause: ten seconds

}  // namespace

void batch_state::start(batch_args a) {
  args_ = std::move(a);
  run_.emplace(*args_.job, args_.is_done);
  kernel_ = args_.find_kernel();
  args_.listener->on_progress(run_->counts());
  send_waiting();
  finish_if_over();
}

void batch_state::send_waiting() {
  while (const auto index = run_->next()) send(*index);
}

void batch_state::send(size_t index) {
  if (!kernel_) return refused(index, caf::sec::request_receiver_down);
  const auto& item = args_.job->items[index];
  // The item lives in the job, which outlives its requests: shared ownership of the whole job.
  const request_ptr request{args_.job, &item.request};
  timed_request(self, kernel_, answer_timeout, atom::submit_v, request, client_actor{self})
      .then([this, index](request_id id) { accepted(index, id); },
            [this, index](caf::error& e) { refused(index, e); });
}

void batch_state::accepted(size_t index, request_id id) {
  num_lost_kernels_ = 0;
  if (run_->is_stopped()) cancel(id);
  ended(run_->accepted(index, id));
}

/// A kernel that is gone is about to be restarted: its item waits like that of an overloaded one.
void batch_state::refused(size_t index, const caf::error& e) {
  auto why = to_failure(e);
  if (e == caf::sec::request_receiver_down && ++num_lost_kernels_ <= lost_kernels_max) {
    kernel_ = nullptr;
    why.code = ec::overloaded;
  }
  ended(run_->refused(index, std::move(why)));
}

void batch_state::send_again() {
  is_alarm_set_ = false;
  if (!kernel_) kernel_ = args_.find_kernel();
  run_->resume();
  send_waiting();
}

void batch_state::chunk(const text_chunk& x) {
  run_->on_chunk(x);
  args_.listener->on_progress(run_->counts());
}

void batch_state::done(const generation_done& x) {
  ended(run_->on_done(x));
}

void batch_state::failed(request_id id, const failure& why) {
  ended(run_->on_failed(id, why));
}

void batch_state::ended(std::optional<ended_item> item) {
  if (item) {
    if (auto heard = args_.listener->on_ended(*item); !heard && why_.code == ec::none) {
      why_ = std::move(heard).error();
      halt();
    }
    args_.listener->on_progress(run_->counts());
  }
  ask_again_later();
  send_waiting();
  finish_if_over();
}

/// One alarm at a time, however many items wait for it.
void batch_state::ask_again_later() {
  if (!run_->is_paused() || is_alarm_set_) return;
  is_alarm_set_ = true;
  self->delayed_send(self, pause, atom::submit_v);
}

void batch_state::stop() {
  halt();
  finish_if_over();
}

void batch_state::drain(caf::timespan patience) {
  run_->stop();
  finish_if_over();
  if (!is_over_) self->delayed_send(self, patience, atom::cancel_v);
}

void batch_state::halt() {
  run_->stop();
  // Of another kernel than the one that accepted them, perhaps.
  if (!run_->running().empty()) kernel_ = args_.find_kernel();
  for (const auto id : run_->running()) cancel(id);
}

void batch_state::cancel(request_id id) {
  if (!kernel_) return;  // its requests went with it, or end by themselves
  timed_request(self, kernel_, answer_timeout, atom::cancel_v, id)
      .then([](caf::ok_atom) {}, log_lost_cancel);
}

void batch_state::finish_if_over() {
  if (is_over_ || !run_->is_finished()) return;
  is_over_ = true;
  args_.listener->on_finished(run_->counts(), why_);
  self->quit();
}

std::string batch_state::status() const {
  const auto c = run_->counts();
  return "total=" + std::to_string(c.total) + " done=" + std::to_string(c.earlier + c.done) +
         " failed=" + std::to_string(c.failed) + " running=" + std::to_string(c.running);
}

batch_actor::behavior_type batch(batch_actor::stateful_pointer<batch_state> self, batch_args args) {
  self->state.start(std::move(args));
  return {
      [self](atom::cancel) { self->state.stop(); },
      [self](atom::drain, caf::timespan patience) { self->state.drain(patience); },
      [self](atom::submit) { self->state.send_again(); },
      [self](atom::chunk, const text_chunk& x) { self->state.chunk(x); },
      [self](atom::done, const generation_done& x) { self->state.done(x); },
      [self](atom::failed, request_id id, const failure& why) { self->state.failed(id, why); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
