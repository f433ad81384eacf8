#include "actors/client/session.hpp"

#include <algorithm>

#include "actors/client/caller.hpp"
#include "actors/error.hpp"
#include "actors/timed_request.hpp"

namespace llmos::client {

namespace {

constexpr std::chrono::milliseconds first_backoff{100};
constexpr std::chrono::seconds greeting_timeout{10};
constexpr std::chrono::minutes answer_timeout{30};
constexpr std::chrono::seconds watch_wait{20}, watch_pause{1};

wire::request to_wire(const generation& g) {
  wire::request out;
  out.ticket = g.ticket;
  out.model = g.what.model;
  out.prompt = g.what.prompt;
  out.messages = g.what.messages;
  out.tools = g.what.tools;
  for (const auto& [name, value] : g.what.sampling) out.sampling.push_back({name, value});
  out.priority = g.what.priority;
  out.deadline_ms = static_cast<uint32_t>(g.what.deadline.count());
  out.keep_ms = static_cast<uint32_t>(g.what.keep.count());
  return out;
}

chunk from_wire(const wire::chunk& x) {
  chunk out{x.text, {}};
  for (const auto& t : x.tokens) {
    token copy{t.id, t.logprob, {}};
    for (const auto& other : t.top) copy.top.push_back({other.id, other.logprob});
    out.tokens.push_back(std::move(copy));
  }
  return out;
}

done from_wire(const wire::done& x) {
  return {x.reason,
          x.context_full,
          x.stop_string,
          x.model,
          x.seed,
          x.prompt_tokens,
          x.cached_tokens,
          x.completion_tokens,
          std::chrono::microseconds(x.first_token_us),
          std::chrono::microseconds(x.total_us)};
}

ec code_named(const std::string& name) {
  for (uint8_t i = 0; i < static_cast<uint8_t>(ec::count_); ++i) {
    if (to_string(static_cast<ec>(i)) == name) return static_cast<ec>(i);
  }
  return ec::internal;
}

}  // namespace

void session_state::start(session_args args) {
  args_ = std::move(args);
  self->set_default_handler(caf::drop);
  self->set_down_handler([this](const caf::down_msg& d) {
    if (gate_ && d.source == gate_.address()) {
      lost({ec::io_error, "the connection was lost", "it is tried again"});
    }
  });
}

// ---- the connection --------------------------------------------------------------------------

caf::result<wire::welcome> session_state::open() {
  openers_.push_back(self->make_response_promise<wire::welcome>());
  auto promise = openers_.back();
  if (openers_.size() == 1) connect();
  return promise;
}

void session_state::connect() {
  timed_request(self, args_.middleman, args_.how.connect_timeout, caf::connect_atom_v,
                args_.how.host, args_.how.port)
      .then([this](const caf::node_id&, const caf::strong_actor_ptr& found,
                   const std::set<std::string>&) { connected(found); },
            [this](const caf::error& why) {
              lost(no_connection(args_.how, args_.why_refused(), why));
            });
}

void session_state::connected(const caf::strong_actor_ptr& found) {
  if (found == nullptr) return lost({ec::io_error, "the node has no gate", "it is tried again"});
  gate_ = caf::actor_cast<gate_actor>(found);
  self->monitor(gate_);
  timed_request(self, gate_, greeting_timeout, atom::hello_v,
                wire::hello{wire::major_version, wire::minor_version, args_.how.program, {}})
      .then([this](const wire::welcome& x) { greeted(x); },
            [this](const caf::error& why) { lost(to_failure(why)); });
}

void session_state::greeted(const wire::welcome& x) {
  const bool comes_back = welcome_.has_value();
  welcome_ = x;
  window_bytes_ = x.window_bytes;
  backoff_ = {};
  for (auto& promise : std::exchange(openers_, {})) promise.deliver(x);
  for (const auto& [ticket, s] : streams_) send(ticket);
  for (const auto& ask : std::exchange(waiting_, {})) ask();
  if (comes_back && told != nullptr) (*told)(true);
  ask_what_happened();
}

/// Before it ever stood, whoever opens it is told; afterwards it is tried again for ever.
void session_state::lost(const failure& why) {
  const bool stood = gate_ && welcome_;
  gate_ = nullptr;
  if (!welcome_) {
    for (auto& promise : std::exchange(openers_, {})) promise.deliver(to_error(why));
    return;
  }
  if (stood) {
    for (auto& [ticket, s] : streams_) s.lost_at = self->clock().now();
    if (told != nullptr) (*told)(false);
  }
  drop_those_not_kept();
  retry();
}

void session_state::drop_those_not_kept() {
  std::vector<std::string> late;
  for (const auto& [ticket, s] : streams_) {
    if (self->clock().now() - s.lost_at >= s.g->what.keep) late.push_back(ticket);
  }
  for (const std::string& ticket : late) {
    end(ticket, failure{ec::io_error, "the connection was lost, and did not come back in time",
                        "ask again, or keep generations for longer"});
  }
}

void session_state::retry() {
  backoff_ =
      std::clamp(backoff_ * 2, first_backoff, std::max(first_backoff, args_.how.max_backoff));
  self->delayed_send(self, backoff_, atom::tick_v);
}

template <class Answer, class Atom, class Query>
caf::result<Answer> session_state::pass_on(Atom what, const Query& query) {
  auto promise = self->make_response_promise<Answer>();
  auto ask = [this, promise, what, query] {
    timed_request(self, gate_, answer_timeout, what, query)
        .then([promise](const Answer& x) mutable { promise.deliver(x); },
              [promise](caf::error& why) mutable { promise.deliver(std::move(why)); });
  };
  if (gate_) {
    ask();
  } else {
    waiting_.push_back(ask);
  }
  return promise;
}

// ---- what happens to the node ----------------------------------------------------------------

event from_wire(const wire::event& x) {
  return {x.number, std::chrono::system_clock::time_point(std::chrono::milliseconds(x.unix_ms)),
          x.kind, x.subject, x.text};
}

void session_state::watch(watcher_ptr who) {
  watcher_ = std::move(who);
  ask_what_happened();
}

/// One question at a time, each behind what the one before brought.
void session_state::ask_what_happened() {
  if (watcher_ == nullptr || !gate_ || std::exchange(is_watching_, true)) return;
  const auto wait = static_cast<uint32_t>(std::chrono::milliseconds(watch_wait).count());
  timed_request(self, gate_, 2 * watch_wait, atom::watch_v, wire::watch{log_, last_event_, wait})
      .then(
          [this](const wire::events& page) {
            is_watching_ = false;
            take(page);
            ask_what_happened();
          },
          [this](const caf::error&) { self->delayed_send(self, watch_pause, atom::watch_v); });
}

/// After an error: the next try.
void session_state::resume_watch() {
  is_watching_ = false;
  ask_what_happened();
}

void session_state::take(const wire::events& page) {
  log_ = page.log;
  last_event_ = page.number;
  for (const wire::event& x : page.all) (*watcher_)(from_wire(x));
}

// ---- generations -----------------------------------------------------------------------------

void session_state::submit(const generation_ptr& g) {
  auto& s = streams_[g->ticket];
  s.g = g;
  s.lost_at = self->clock().now();
  if (gate_) send(g->ticket);
}

void session_state::send(const std::string& ticket) {
  const auto& s = streams_.at(ticket);
  auto request = to_wire(*s.g);
  request.received = s.received;
  timed_request(self, gate_, answer_timeout, atom::submit_v, std::move(request))
      .then(
          [this, ticket](const wire::accepted&) {
            const auto it = streams_.find(ticket);
            if (it != streams_.end() && it->second.is_cancelled) cancel(ticket);
          },
          [this, ticket](const caf::error& why) {
            if (!gate_) return;  // it is asked again when the connection comes back
            const auto it = streams_.find(ticket);
            if (it == streams_.end()) return;
            const auto reason = to_failure(why);
            if (it->second.received > 0 && reason.code == ec::not_found)
              begin_again(ticket);
            else
              end(ticket, reason);
          });
}

/// The node lost it: the same again, up to where it was.
void session_state::begin_again(const std::string& ticket) {
  auto& s = streams_.at(ticket);
  s.received = s.acknowledged = 0;
  s.unacknowledged_bytes = 0;
  s.repeated = 0;
  send(ticket);
}

void session_state::cancel(const std::string& ticket) {
  const auto it = streams_.find(ticket);
  if (it == streams_.end()) return;
  it->second.is_cancelled = true;
  if (!gate_) return;
  timed_request(self, gate_, answer_timeout, atom::cancel_v, wire::cancel{ticket})
      .then([](caf::ok_atom) {}, [](const caf::error&) {});  // it had ended; or is asked again
}

/// The stream of an event, if the event is its next one.
session_state::stream* session_state::expected(const std::string& ticket, uint64_t number) {
  const auto it = streams_.find(ticket);
  if (it == streams_.end() || number != it->second.received + 1) return nullptr;
  ++it->second.received;
  return &it->second;
}

void session_state::take(const wire::chunk& x) {
  auto* s = expected(x.ticket, x.number);
  if (s == nullptr) return;
  acknowledge(x.ticket, *s, x.text.size() + x.tokens.size() * sizeof(wire::token));
  auto fresh = from_wire(x);
  if (s->repeated < s->delivered.size()) {
    const auto known = std::min(s->delivered.size() - s->repeated, x.text.size());
    if (x.text.compare(0, known, s->delivered, s->repeated, known) != 0) {
      cancel(x.ticket);
      return end(x.ticket, failure{ec::engine_failed,
                                   "the node lost the generation and gave another one afterwards",
                                   "ask again"});
    }
    s->repeated += known;
    fresh.text.erase(0, known);
    if (fresh.text.empty()) return;
  }
  s->delivered += fresh.text;
  s->repeated = s->delivered.size();
  const auto g = s->g;  // what it does may end the stream
  if (g->hears.on_chunk) g->hears.on_chunk(fresh);
}

void session_state::acknowledge(const std::string& ticket, stream& s, size_t bytes) {
  s.unacknowledged_bytes += bytes;
  if (s.unacknowledged_bytes < window_bytes_ / 8) return;
  s.unacknowledged_bytes = 0;
  s.acknowledged = s.received;
  self->send(gate_, atom::ack_v, wire::ack{ticket, s.received});
}

void session_state::take(const wire::done& x) {
  if (expected(x.ticket, x.number) == nullptr) return;
  self->send(gate_, atom::ack_v, wire::ack{x.ticket, x.number});
  end(x.ticket, from_wire(x));
}

void session_state::take(const wire::failed& x) {
  if (expected(x.ticket, x.number) == nullptr) return;
  self->send(gate_, atom::ack_v, wire::ack{x.ticket, x.number});
  end(x.ticket, failure{code_named(x.code), x.text, x.hint});
}

void session_state::end(const std::string& ticket, const result<done>& how) {
  auto ended = streams_.extract(ticket);
  const auto& g = ended.mapped().g;
  if (g->hears.on_end) g->hears.on_end(how);
}

void session_state::give_up(const failure& why) {
  while (!streams_.empty()) {
    const std::string ticket = streams_.begin()->first;
    cancel(ticket);
    end(ticket, why);
  }
}

session_actor::behavior_type session(session_actor::stateful_pointer<session_state> self,
                                     session_args args) {
  self->state.start(std::move(args));
  return {
      [self](atom::chunk, const wire::chunk& x) { self->state.take(x); },
      [self](atom::done, const wire::done& x) { self->state.take(x); },
      [self](atom::failed, const wire::failed& x) { self->state.take(x); },
      [self](atom::open) { return self->state.open(); },
      [self](atom::submit, const generation_ptr& g) { self->state.submit(g); },
      [self](atom::cancel, const std::string& ticket) { self->state.cancel(ticket); },
      [self](atom::list, const wire::query& x) {
        return self->state.pass_on<wire::models>(atom::list_v, x);
      },
      [self](atom::load, const wire::model_name& x) {
        return self->state.pass_on<wire::model>(atom::load_v, x);
      },
      [self](atom::unload, const wire::model_name& x) {
        return self->state.pass_on<caf::ok_atom>(atom::unload_v, x);
      },
      [self](atom::ps, const wire::query& x) {
        return self->state.pass_on<wire::processes>(atom::ps_v, x);
      },
      [self](atom::stats, const wire::query& x) {
        return self->state.pass_on<wire::metrics>(atom::stats_v, x);
      },
      [self](atom::status, const wire::query& x) {
        return self->state.pass_on<wire::status>(atom::status_v, x);
      },
      [self](atom::watch, const wire::watch& x) {
        return self->state.pass_on<wire::events>(atom::watch_v, x);
      },
      [self](atom::watch, const watcher_ptr& x) { self->state.watch(x); },
      [self](atom::watch) { self->state.resume_watch(); },
      [self](atom::cancel, const wire::kill& x) {
        return self->state.pass_on<caf::ok_atom>(atom::cancel_v, x);
      },
      [self](atom::encode, const wire::text_of& x) {
        return self->state.pass_on<wire::tokens>(atom::encode_v, x);
      },
      [self](atom::decode, const wire::tokens_of& x) {
        return self->state.pass_on<wire::text>(atom::decode_v, x);
      },
      [self](atom::wire, const told_ptr& x) { self->state.told = x; },
      [self](atom::tick) { self->state.connect(); },
      [self](atom::stop) {
        self->state.give_up({ec::cancelled, "the client was closed", ""});
        self->quit();
        return caf::ok_atom_v;
      },
  };
}

}  // namespace llmos::client
