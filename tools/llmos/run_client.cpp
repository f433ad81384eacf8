#include "tools/llmos/run_client.hpp"

#include <chrono>
#include <iterator>
#include <utility>

#include "actors/error.hpp"

namespace llmos {

namespace {

constexpr std::chrono::seconds answer_timeout{60};

}  // namespace

void run_client_state::start(run_client_args a) {
  args_ = std::move(a);
  const auto kernel = args_.find_kernel();
  if (!kernel) return failed({ec::shutting_down, "the node has stopped", "start llmos again"});
  self->request(kernel, answer_timeout, atom::submit_v, args_.request, client_actor{self})
      .then(
          [this](request_id id) {
            id_ = id;
            if (is_cancelled_) cancel();
          },
          [this](caf::error& e) { failed(to_failure(e)); });
}

void run_client_state::chunk(const text_chunk& x) {
  what_.text += x.text;
  what_.tokens.insert(what_.tokens.end(), x.tokens.begin(), x.tokens.end());
  if (is_cancelled_ || what_.error.code != ec::none) return;
  if (auto written = args_.write(x.text); !written) {
    what_.error = std::move(written).error();
    cancel();
  }
}

void run_client_state::done(const generation_done& x) {
  if (what_.error.code == ec::none) what_.done = x;
  finish();
}

void run_client_state::failed(const failure& why) {
  if (what_.error.code == ec::none) what_.error = why;
  finish();
}

void run_client_state::cancel() {
  is_cancelled_ = true;
  if (!id_) return;                         // when it is known
  const auto kernel = args_.find_kernel();  // perhaps not the one that accepted the request
  if (!kernel) return;                      // a node without one ends its requests itself
  self->request(kernel, answer_timeout, atom::cancel_v, *id_)
      .then([](caf::ok_atom) {}, log_lost_cancel);
}

void run_client_state::finish() {
  args_.finish(std::move(what_));
  args_ = {};
  self->quit();
}

run_client_actor::behavior_type run_client(
    run_client_actor::stateful_pointer<run_client_state> self, run_client_args args) {
  self->state.start(std::move(args));
  return {
      [self](atom::cancel) { self->state.cancel(); },
      [self](atom::chunk, const text_chunk& x) { self->state.chunk(x); },
      [self](atom::done, const generation_done& x) { self->state.done(x); },
      [self](atom::failed, request_id, const failure& why) { self->state.failed(why); },
  };
}

}  // namespace llmos
