#include "actors/client/remote_kernel.hpp"

#include <caf/send.hpp>
#include <nlohmann/json.hpp>

#include "actors/client/connection.hpp"
#include "actors/error.hpp"
#include "actors/timed_request.hpp"
#include "runtime/config/keys.hpp"

namespace llmos::client {

namespace {

constexpr std::chrono::minutes answer_timeout{30};

failure not_over_the_wire(const std::string& what) {
  return {ec::unsupported, what + " cannot be asked of another process", "ask the node itself"};
}

text_chunk to_room(request_id id, const chunk& x) {
  text_chunk out{id, x.text, {}};
  for (const auto& t : x.tokens) {
    sampled_token copy{t.id, t.logprob, {}};
    for (const auto& other : t.top) copy.top.push_back({other.id, other.logprob});
    out.tokens.push_back(std::move(copy));
  }
  return out;
}

finish_reason reason_named(const std::string& name) {
  for (uint8_t i = 0; i < static_cast<uint8_t>(finish_reason::count_); ++i) {
    if (to_string(static_cast<finish_reason>(i)) == name) return static_cast<finish_reason>(i);
  }
  return finish_reason::stop;
}

generation_done to_room(request_id id, const done& x) {
  generation_done out;
  out.id = id;
  out.reason = reason_named(x.reason);
  out.context_full = x.context_full;
  out.stop_string = x.stop_string;
  out.model = x.model;
  out.seed = x.seed;
  out.usage.prompt_tokens = x.prompt_tokens;
  out.usage.cached_tokens = x.cached_tokens;
  out.usage.completion_tokens = x.completion_tokens;
  out.usage.first_token_us = static_cast<uint64_t>(x.first_token.count());
  out.usage.total_us = static_cast<uint64_t>(x.total.count());
  return out;
}

/// Hands a generation's events on to a client of a kernel.
listener events_to(const client_actor& c, request_id id) {
  return {[c, id](const chunk& x) { caf::anon_send(c, atom::chunk_v, to_room(id, x)); },
          [c, id](const result<done>& how) {
            if (how) {
              caf::anon_send(c, atom::done_v, to_room(id, *how));
            } else {
              caf::anon_send(c, atom::failed_v, id, how.error());
            }
          }};
}

metric_kind kind_named(const std::string& name) {
  for (const auto x : {metric_kind::counter, metric_kind::gauge}) {
    if (to_string(x) == name) return x;
  }
  return metric_kind::histogram;
}

model_status to_room(const wire::model& m) {
  return {m.name, m.name, m.state, m.description, m.file_bytes, m.is_default};
}

process_info to_room(const wire::process& p) {
  return {{p.id}, p.owner, p.model, p.state, p.prompt_tokens, p.generated_tokens, p.age_ms};
}

metrics_snapshot to_room(const wire::metrics& x) {
  metrics_snapshot out;
  for (const wire::metric& m : x.all) {
    metric_family family{m.name, m.help, kind_named(m.kind), {}};
    for (const wire::series& s : m.all) {
      metric_series line;
      for (const wire::label& l : s.labels) line.labels.emplace(l.name, l.value);
      line.value = s.value;
      const auto histogram = latency_histogram::restored(s.buckets, s.sum, s.min, s.max);
      if (histogram) line.histogram = *histogram;
      family.series.push_back(std::move(line));
    }
    out.push_back(std::move(family));
  }
  return out;
}

}  // namespace

request to_client_request(const generate_request& x) {
  request out;
  out.model = x.model;
  out.prompt = x.prompt;
  if (!x.messages.is_null()) out.messages = x.messages.dump();
  if (!x.tools.is_null()) out.tools = x.tools.dump();
  out.priority = x.priority;
  out.deadline = std::chrono::milliseconds(x.deadline_ms);
  auto sampling = x.sampling;
  bool has_seed = false;
  for (const auto& key : keys_of(sampling)) {
    if (key.name == "max_tokens" && !sampling.max_tokens_asked) continue;
    if (key.name == "seed" && !sampling.seed) continue;
    has_seed = has_seed || key.name == "seed";
    out.sampling.emplace_back(key.name, render_value(key));
  }
  if (!has_seed) out.sampling.emplace_back("seed", draw_seed());
  return out;
}

caf::result<request_id> remote_kernel_state::submit(const request_ptr& r, const client_actor& c) {
  const request_id id{++num_requests};
  auto g = std::make_shared<generation>(
      generation{draw_ticket(), to_client_request(*r), events_to(c, id)});
  tickets.emplace(id, g->ticket);
  self->send(session, atom::submit_v, generation_ptr(std::move(g)));
  return id;
}

caf::result<caf::ok_atom> remote_kernel_state::cancel(request_id id) {
  const auto it = tickets.find(id);
  if (it == tickets.end()) {  // not of this process: one that ps shows
    return self->delegate(session, atom::cancel_v, wire::kill{id.value});
  }
  self->send(session, atom::cancel_v, it->second);
  return caf::ok_atom_v;
}

kernel_actor::behavior_type remote_kernel(kernel_actor::stateful_pointer<remote_kernel_state> self,
                                          session_actor session) {
  self->state.session = std::move(session);
  const auto ask = [self](auto known, auto use, auto... what) {
    using wanted = decltype(use(known));
    auto promise = self->template make_response_promise<wanted>();
    timed_request(self, self->state.session, answer_timeout, what...)
        .then([promise, use](const decltype(known)& x) mutable { promise.deliver(use(x)); },
              [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
    return promise;
  };
  return {
      [](atom::wire, const kernel_wiring&) {},
      [self](atom::submit, const request_ptr& r, const client_actor& c) {
        return self->state.submit(r, c);
      },
      [self](atom::cancel, request_id id) { return self->state.cancel(id); },
      [ask](atom::ps) -> caf::result<process_list> {
        return ask(
            wire::processes{},
            [](const wire::processes& x) {
              process_list out;
              for (const auto& p : x.all) out.push_back(to_room(p));
              return out;
            },
            atom::ps_v, wire::query{});
      },
      [ask](atom::load, const std::string& model) -> caf::result<model_status> {
        return ask(
            wire::model{}, [](const wire::model& m) { return to_room(m); }, atom::load_v,
            wire::model_name{model});
      },
      [](atom::open, const std::string&) -> caf::result<model_view> {
        return to_error(not_over_the_wire("a model's insides"));
      },
      [](atom::update, const config_ptr&) {},
      [](atom::encode, const request_ptr&) -> caf::result<encoded_ptr> {
        return to_error(not_over_the_wire("a prompt in tokens"));
      },
      [self](atom::unload, const std::string& model) {
        return self->delegate(self->state.session, atom::unload_v, wire::model_name{model});
      },
      [ask](atom::list) -> caf::result<model_list> {
        return ask(
            wire::models{},
            [](const wire::models& x) {
              model_list out;
              for (const auto& m : x.all) out.push_back(to_room(m));
              return out;
            },
            atom::list_v, wire::query{});
      },
      [ask](atom::stats) -> caf::result<metrics_ptr> {
        return ask(
            wire::metrics{},
            [](const wire::metrics& x) {
              return std::make_shared<const metrics_snapshot>(to_room(x));
            },
            atom::stats_v, wire::query{});
      },
      [ask](atom::health) -> caf::result<node_health> {
        return ask(
            wire::status{},
            [](const wire::status& x) {
              return node_health{x.state == "draining", x.processes, x.max_processes,
                                 std::chrono::milliseconds(x.uptime_ms)};
            },
            atom::status_v, wire::query{});
      },
      [](atom::watch, const log_position&, uint32_t) -> caf::result<event_page> {
        return to_error(not_over_the_wire("what happens"));
      },
      [](atom::drain, bool) { return caf::ok_atom_v; },  // the node is not ours to end
      [](atom::status) { return std::string("remote"); },
  };
}

}  // namespace llmos::client
