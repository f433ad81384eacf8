#include "actors/process/process.hpp"

#include <caf/sec.hpp>
#include <utility>

#include "actors/error.hpp"
#include "actors/timed_request.hpp"
#include "runtime/schedule/prompt.hpp"

namespace llmos {

namespace {

constexpr uint32_t engines_lost_max = 3;
/// Loading a large model from a slow disk takes minutes; the request's own deadline rules anyway.
constexpr std::chrono::minutes load_timeout{30};
constexpr std::chrono::minutes encode_timeout{5};
constexpr std::chrono::seconds enqueue_timeout{30};

uint64_t us_since(std::chrono::steady_clock::time_point from,
                  std::chrono::steady_clock::time_point to) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(to - from).count());
}

}  // namespace

void process_state::start(process_args a) {
  args = std::move(a);
  started = std::chrono::steady_clock::now();
  self->monitor(args.client);
  set_deadline();
  ask_for_engine();
}

/// A message to itself in ten minutes would keep the memory of a process that has long ended, and
/// CAF takes none back. So it is a question that nobody answers: its timer can be cancelled.
void process_state::set_deadline() {
  const auto question = self->new_request_id(caf::message_priority::normal);
  self->add_multiplexed_response_handler(
      question.response_id(), caf::behavior{[this](const caf::error&) { deadline_passed(); }});
  self->request_response_timeout(caf::duration{std::chrono::milliseconds{args.deadline_ms}},
                                 question);
}

/// A new ledger knows nobody, and tokens may have gone down with the old one: the process enters
/// itself, then has the engine go on from what the client has. Both reach their rooms in this
/// order, and the scheduler knows the new ledger already: the supervisor wired it first.
void process_state::wire(const core_wiring& now) {
  const auto before = std::exchange(args.rooms, now);
  if (now.ledger != before.ledger) {
    self->send(now.ledger, atom::submit_v, ledger_entry{info(), process_actor{self}, args.client});
    if (enqueued) enqueue();
  }
  if (now.models != before.models && state == phase::loading) ask_for_engine();
}

void process_state::enter(phase next) {
  state = next;
  self->send(args.rooms.ledger, atom::update_v, info());
}

process_info process_state::info() const {
  const auto age = us_since(started, std::chrono::steady_clock::now()) / 1000;
  return {args.id, args.request->owner, engine.model, status(), num_prompt, num_generated(), age};
}

uint32_t process_state::num_generated() const {
  return gen ? static_cast<uint32_t>(gen->tokens().size()) : 0;
}

std::string process_state::status() const {
  constexpr const char* names[] = {"loading", "tokenizing", "waiting", "running"};
  return names[static_cast<size_t>(state)];
}

void process_state::ask_for_engine() {
  enter(phase::loading);
  timed_request(self, args.rooms.models, load_timeout, atom::place_v, args.request->model)
      .then(
          [this](engine_handles& e) {
            if (over || state != phase::loading) return;
            // The engine that was lost: the model manager has not heard of its end yet.
            if (e.scheduler == engine.scheduler) return ask_for_engine();
            engine = std::move(e);
            self->monitor(engine.scheduler);
            gen ? enqueue() : encode();
          },
          [this, asked = args.rooms.models](caf::error& e) {
            // A model manager that fell: its successor is asked when it is wired.
            if (asked != args.rooms.models || e == caf::sec::request_receiver_down) return;
            fail(to_failure(e));
          });
}

void process_state::encode() {
  enter(phase::tokenizing);
  timed_request(self, engine.tokenizer, encode_timeout, atom::encode_v, args.request)
      .then(
          [this](const encoded_ptr& prompt) {
            if (!over && state == phase::tokenizing) prepare(*prompt);
          },
          [this](caf::error& e) {
            // A dead engine's tokenizer: its scheduler's end is on the way here.
            if (e != caf::sec::request_receiver_down) fail(to_failure(e));
          });
}

void process_state::prepare(const token_vector& prompt) {
  auto spec = make_spec(*engine.loaded, *args.request, args.id, prompt, args.seed, engine.context);
  if (!spec) return fail(spec.error());
  num_prompt = (*spec)->num_prompt;
  gen.emplace(std::move(*spec), engine.loaded->vocabulary);
  enqueue();
}

void process_state::enqueue() {
  enter(phase::waiting);
  enqueued = true;
  timed_request(self, engine.scheduler, enqueue_timeout, atom::enqueue_v, gen->continuation())
      .then([](caf::ok_atom) {},
            [this](caf::error& e) {
              if (e == caf::sec::request_receiver_down) return;  // its end is on the way here
              enqueued = false;
              fail(to_failure(e));
            });
}

void process_state::token(const token_event& event) {
  if (over || !gen) return;
  const auto before = num_generated();
  auto update = gen->accept(event);
  if (update.what == generation_update::kind::gap) {
    if (enqueued) enqueue();  // those between went down with a ledger
    return;
  }
  if (num_generated() > before) {
    note_token(std::chrono::steady_clock::now());
    if (state == phase::waiting) enter(phase::running);
  }
  if (!update.chunk.text.empty() || !update.chunk.tokens.empty()) {
    self->send(args.client, atom::chunk_v, std::move(update.chunk));
  }
  if (update.what != generation_update::kind::finished) return;
  if (!update.engine_runs) enqueued = false;
  send_done(update.reason);
}

void process_state::note_token(std::chrono::steady_clock::time_point now) {
  if (last_token) token_gaps.observe(std::chrono::duration<double>(now - *last_token).count());
  if (!first_token) first_token = now;
  last_token = now;
}

void process_state::cancel() {
  if (!over) send_done(finish_reason::cancelled);
}

void process_state::deadline_passed() {
  fail({ec::deadline_exceeded,
        "the request did not end within " + std::to_string(args.deadline_ms) + " ms",
        "raise its deadline or ask for fewer tokens"});
}

void process_state::down(const caf::down_msg& d) {
  if (over) return;
  if (d.source == args.client.address()) return leave("client_lost");
  const auto why = to_failure(d.reason);
  if (why.code == ec::shutting_down) return fail(why);
  if (engine.scheduler && d.source == engine.scheduler.address()) {
    enqueued = false;
    if (d.reason == caf::exit_reason::user_shutdown) {
      return fail({ec::cancelled, "the model " + engine.model + " was unloaded", "load it again"});
    }
    engine_lost(why);
  }
}

void process_state::engine_lost(const failure& why) {
  if (++engines_lost > engines_lost_max) {
    return fail({ec::engine_failed,
                 "the engine failed " + std::to_string(engines_lost) + " times, last: " + why.text,
                 "see the log"});
  }
  ask_for_engine();
}

void process_state::stop_sequence() {
  if (!enqueued) return;
  enqueued = false;
  // Not at high priority: it must not overtake its own enqueue.
  self->send(engine.scheduler, atom::cancel_v, args.id);
}

void process_state::send_done(finish_reason reason) {
  generation_done done;
  done.id = args.id;
  done.reason = reason;
  done.model = engine.model;
  done.usage = usage();
  if (gen) {
    done.stop_string = gen->stop_string();
    done.seed = *gen->spec().sampling.seed;
    const bool shrunk = gen->spec().sampling.max_tokens < args.request->sampling.max_tokens;
    done.context_full = shrunk && reason == finish_reason::length;
  }
  self->send(args.client, atom::done_v, std::move(done));
  leave(to_string(reason));
}

void process_state::fail(const failure& why) {
  if (over) return;
  self->send(args.client, atom::failed_v, args.id, why);
  leave(to_string(why.code));
}

void process_state::leave(const std::string& outcome) {
  over = true;
  self->clock().cancel_timeouts(self);
  stop_sequence();
  // Those that it watches would keep its memory for as long as they live.
  self->demonitor(args.client.address());
  if (engine.scheduler) self->demonitor(engine.scheduler.address());
  self->send(args.rooms.monitor, atom::done_v,
             generation_report{engine.model, args.request->owner, outcome, usage()});
  self->send(args.rooms.ledger, atom::ended_v, args.id);
  self->quit();
}

generation_usage process_state::usage() const {
  generation_usage u;
  u.prompt_tokens = num_prompt;
  const auto now = std::chrono::steady_clock::now();
  u.total_us = us_since(started, now);
  u.first_token_us = first_token ? us_since(started, *first_token) : 0;
  u.token_gaps = token_gaps;
  if (!gen) return u;
  u.cached_tokens = gen->num_cached();
  u.completion_tokens = num_generated();
  return u;
}

process_actor::behavior_type process(process_actor::stateful_pointer<process_state> self,
                                     process_args args) {
  self->set_down_handler([self](const caf::down_msg& d) { self->state.down(d); });
  self->state.start(std::move(args));
  return {
      [self](atom::wire, const core_wiring& now) { self->state.wire(now); },
      [self](atom::token, const token_event& event) { self->state.token(event); },
      [self](atom::cancel) { self->state.cancel(); },
      [self](atom::failed, const failure& why) { self->state.fail(why); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
