#include "actors/gateway/remote/gate.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "actors/error.hpp"
#include "actors/gateway/await_kernel.hpp"
#include "actors/gateway/remote/convert.hpp"
#include "actors/timed_request.hpp"
#include "runtime/config/model_path.hpp"

namespace llmos {

namespace {

constexpr std::chrono::seconds tick_period{1};
constexpr std::chrono::seconds answer_timeout{30};
constexpr std::chrono::minutes load_timeout{30};
/// What waits for one connection, and the copy of it that is on its way, stay below 1 MiB.
constexpr size_t max_held_bytes = 512u << 10;
/// Of one connection, and how long each waits.
constexpr uint32_t max_watches = 4;
constexpr std::chrono::milliseconds max_watch{30000};

}  // namespace

void gate_state::start(gate_args args) {
  args_ = std::move(args);
  configure(args_.config);
  self->set_down_handler([this](const caf::down_msg& d) { down(d); });
  // What does not fit is somebody's fault outside, and no reason to write to standard error.
  self->set_default_handler(caf::drop);
  await_kernel(self, args_.supervisor, kernel_);
  self->delayed_send(self, tick_period, atom::tick_v);
}

void gate_state::configure(const node_config& c) {
  args_.config = c;
  operators_ = {c.remote.operators.begin(), c.remote.operators.end()};
}

// ---- who asks --------------------------------------------------------------------------------

caf::result<wire::welcome> gate_state::hello(const wire::hello& x) {
  const auto from = self->current_sender();
  const std::string principal = from == nullptr ? "" : args_.principal_of(from->node());
  if (principal.empty()) return to_error({ec::internal, "nobody is connected there", ""});
  if (x.major != wire::major_version) {
    return to_error({ec::unsupported,
                     "this node speaks version " + std::to_string(wire::major_version) +
                         " of the protocol, the client " + std::to_string(x.major),
                     "use a client of the node's version"});
  }
  auto& connection = connections_[from->node()];
  connection.principal = principal;
  connection.is_cut = false;
  return wire::welcome{wire::major_version,
                       wire::minor_version,
                       "llmos " LLMOS_VERSION,
                       principal,
                       {},
                       args_.config.remote.window_bytes,
                       args_.config.remote.keep_ms};
}

/// The connection that the message came over. Errors: invalid_argument (it said no hello).
result<gate_state::connection*> gate_state::sender() {
  const auto from = self->current_sender();
  const auto it = from == nullptr ? connections_.end() : connections_.find(from->node());
  // A node's id is its own choice: who has it now need not be who said hello.
  const bool is_known =
      it != connections_.end() && args_.principal_of(it->first) == it->second.principal;
  if (is_known) return &it->second;
  return failure{ec::invalid_argument, "the first message of a connection is hello", "say hello"};
}

result<void> gate_state::check_operator() {
  LLMOS_TRY(const auto* from, sender());
  if (operators_.count(from->principal) != 0) return {};
  return failure{ec::invalid_argument, from->principal + " may not do that here",
                 "remote.operators lists who may"};
}

// ---- streams ---------------------------------------------------------------------------------

/// Changes a stream's events, and what its connection counts of them.
template <class Change>
auto gate_state::change(stream& s, const Change& what) {
  const size_t held = s.events.held_bytes(), sent = s.events.sent_bytes();
  const auto out = what();
  if (s.client) {
    auto& connection = connections_.at(s.node);
    connection.held_bytes += s.events.held_bytes() - held;
    connection.sent_bytes += s.events.sent_bytes() - sent;
  }
  return out;
}

caf::result<wire::accepted> gate_state::submit(const wire::request& x) {
  const auto from = sender();
  if (!from) return to_error(from.error());
  const stream_key key{(*from)->principal, x.ticket};
  if (const auto it = streams_.find(key); it != streams_.end()) return resume(key, it->second, x);
  if (x.received == 0) return start_stream(key, x);
  return to_error({ec::not_found, "the stream is not here any more", "submit it anew"});
}

caf::result<wire::accepted> gate_state::start_stream(const stream_key& key,
                                                     const wire::request& x) {
  auto request = to_request(x, args_.config.sampling, key.first);
  if (!request) return to_error(request.error());
  if (x.priority < 0) {
    if (const auto may = check_operator(); !may) return to_error(may.error());
  }
  attach(key, streams_[key], x);
  const uint64_t number = book_.asked();
  auto promise = self->make_response_promise<wire::accepted>();
  timed_request(self, kernel_, answer_timeout, atom::submit_v, *request, client_actor{self})
      .then(
          [this, key, number, promise](request_id id) mutable {
            taken(number, key, id);
            promise.deliver(wire::accepted{key.second, false});
          },
          [this, key, number, promise](caf::error& e) mutable {
            book_.refused(number);
            forget(key);
            promise.deliver(std::move(e));
          });
  return promise;
}

void gate_state::taken(uint64_t number, const stream_key& key, request_id id) {
  auto early = book_.taken(number, id, key);
  const auto it = streams_.find(key);
  if (it == streams_.end()) {
    book_.forget(id);
    return cancel_in_kernel(id);
  }
  it->second.id = id;
  if (it->second.is_cancelled) cancel_in_kernel(id);
  for (event& e : early) add(id, std::move(e));
}

caf::result<wire::accepted> gate_state::resume(const stream_key& key, stream& s,
                                               const wire::request& x) {
  const bool fits = change(s, [&] { return s.events.resume(x.received); });
  if (!fits) {
    return to_error({ec::invalid_argument,
                     "event " + std::to_string(x.received) + " of the stream is not what is kept",
                     "submit it anew"});
  }
  detach(key, s);
  attach(key, s, x);
  auto promise = self->make_response_promise<wire::accepted>();
  promise.deliver(wire::accepted{x.ticket, true});  // comes before the events
  send_events(key, s);
  return promise;
}

void gate_state::attach(const stream_key& key, stream& s, const wire::request& x) {
  const auto from = self->current_sender();
  s.client = caf::actor_cast<wire_client_actor>(from);
  s.node = from->node();
  s.keep = std::chrono::milliseconds(std::min(x.keep_ms, args_.config.remote.keep_ms));
  s.moved_at = self->clock().now();
  auto& connection = connections_.at(s.node);
  connection.held_bytes += s.events.held_bytes();
  connection.sent_bytes += s.events.sent_bytes();
  auto& mine = of_client_[s.client.address()];
  if (mine.empty()) self->monitor(s.client);
  mine.insert(key);
}

void gate_state::detach(const stream_key& key, stream& s) {
  if (!s.client) return;
  auto& connection = connections_.at(s.node);
  connection.held_bytes -= s.events.held_bytes();
  connection.sent_bytes -= s.events.sent_bytes();
  const auto mine = of_client_.find(s.client.address());
  mine->second.erase(key);
  if (mine->second.empty()) {
    self->demonitor(mine->first);
    of_client_.erase(mine);
  }
  s.client = nullptr;
  s.node = caf::node_id{};
}

void gate_state::add(request_id id, event e) {
  const auto* known = book_.find(id);
  if (known == nullptr) return book_.keep(id, std::move(e));
  const stream_key key = *known;
  auto& s = streams_.at(key);
  if (!std::holds_alternative<wire::chunk>(e)) {
    s.has_ended = true;
    book_.forget(id);
  }
  if (!s.events.is_waiting()) s.moved_at = self->clock().now();
  const size_t bytes = std::visit([](const auto& x) { return size_bytes(x); }, e);
  change(s, [&] { return s.events.push(std::move(e), bytes); });
  if (s.client && connections_.at(s.node).held_bytes > max_held_bytes) return cut(s.node);
  if (!s.client && s.events.held_bytes() > max_held_bytes) return forget(key);
  send_events(key, s);
}

void gate_state::send_events(const stream_key& key, stream& s) {
  if (!s.client) return;
  auto& connection = connections_.at(s.node);
  const size_t window = args_.config.remote.window_bytes;
  while (connection.sent_bytes < window) {
    const auto next = change(s, [&] { return s.events.take_next(window); });
    if (!next) break;
    std::visit(
        [&](auto e) {
          using type = decltype(e);
          e.ticket = key.second;
          e.number = next->number;
          if constexpr (std::is_same_v<type, wire::chunk>) {
            self->send(s.client, atom::chunk_v, std::move(e));
          } else if constexpr (std::is_same_v<type, wire::done>) {
            self->send(s.client, atom::done_v, std::move(e));
          } else {
            self->send(s.client, atom::failed_v, std::move(e));
          }
        },
        next->event);
  }
}

void gate_state::ack(const wire::ack& x) {
  const auto from = sender();
  if (!from) return;
  const auto it = streams_.find({(*from)->principal, x.ticket});
  if (it == streams_.end()) return;
  auto& s = it->second;
  if (!s.client || s.node != self->current_sender()->node()) return;
  if (!change(s, [&] { return s.events.acknowledge(x.number); })) return cut(s.node);
  s.moved_at = self->clock().now();
  const auto client = s.client.address();
  if (s.has_ended && s.events.is_empty()) forget(stream_key(it->first));
  const auto others = of_client_.find(client);
  if (others == of_client_.end()) return;
  for (const stream_key& key : others->second) send_events(key, streams_.at(key));  // one window
}

caf::result<caf::ok_atom> gate_state::cancel(const wire::cancel& x) {
  const auto from = sender();
  if (!from) return to_error(from.error());
  const auto it = streams_.find({(*from)->principal, x.ticket});
  if (it == streams_.end()) return to_error({ec::not_found, "no such stream", "it has ended"});
  cancel(it->second);
  return caf::ok_atom_v;
}

void gate_state::cancel(stream& s) {
  s.is_cancelled = true;
  if (s.id && !s.has_ended) cancel_in_kernel(*s.id);
}

void gate_state::cancel_in_kernel(request_id id) {
  timed_request(self, kernel_, answer_timeout, atom::cancel_v, id)
      .then([](caf::ok_atom) {}, [](const caf::error& e) { log_lost_cancel(e); });
}

void gate_state::forget(const stream_key& key) {
  const auto it = streams_.find(key);
  if (it == streams_.end()) return;
  auto& s = it->second;
  cancel(s);
  detach(key, s);
  if (s.id) book_.forget(*s.id);
  streams_.erase(it);
}

// ---- those who leave -------------------------------------------------------------------------

void gate_state::down(const caf::down_msg& d) {
  if (d.source == kernel_.address()) return await_kernel(self, args_.supervisor, kernel_);
  const auto it = of_client_.find(d.source);
  if (it == of_client_.end()) return;
  const auto keys = it->second;
  for (const stream_key& key : keys) park(key);
}

void gate_state::park(const stream_key& key) {
  auto& s = streams_.at(key);
  if (s.keep.count() == 0) return forget(key);
  detach(key, s);
  s.parked_at = self->clock().now();
}

void gate_state::cut(const caf::node_id& node) {
  auto& connection = connections_.at(node);
  if (std::exchange(connection.is_cut, true)) return;
  spdlog::warn("{} does not read what it asked for: its connection is cut", connection.principal);
  args_.cut(node);
}

void gate_state::tick() {
  self->delayed_send(self, tick_period, atom::tick_v);
  const auto now = self->clock().now();
  const std::chrono::milliseconds stall{args_.config.remote.stall_ms};
  std::vector<stream_key> late;
  for (auto& [key, s] : streams_) {
    if (!s.client && now - s.parked_at >= s.keep) late.push_back(key);
    if (s.client && s.events.is_waiting() && now - s.moved_at >= stall) cut(s.node);
  }
  for (const stream_key& key : late) forget(key);
  std::erase_if(connections_, [this](const auto& c) {
    const auto is_of_it = [&](const auto& s) {
      return s.second.client && s.second.node == c.first;
    };
    return args_.principal_of(c.first).empty() &&
           std::none_of(streams_.begin(), streams_.end(), is_of_it);
  });
}

// ---- the node --------------------------------------------------------------------------------

/// What the kernel knows as `Known`, in terms of the wire.
template <class Answer, class Known, class Use, class... Ts>
caf::result<Answer> gate_state::ask_kernel(const Use& use, const Ts&... what) {
  auto promise = self->make_response_promise<Answer>();
  timed_request(self, kernel_, load_timeout, what...)
      .then([promise, use](const Known& x) mutable { promise.deliver(use(x)); },
            [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
  return promise;
}

caf::result<wire::models> gate_state::list() {
  if (const auto from = sender(); !from) return to_error(from.error());
  return ask_kernel<wire::models, model_list>(
      [](const model_list& all) {
        wire::models out;
        for (const auto& m : all) out.all.push_back(to_wire(m));
        return out;
      },
      atom::list_v);
}

caf::result<wire::model> gate_state::load(const wire::model_name& x) {
  if (const auto may = check_operator(); !may) return to_error(may.error());
  if (const auto fine = check_model_name(x.name); !fine) return to_error(fine.error());
  return ask_kernel<wire::model, model_status>([](const model_status& m) { return to_wire(m); },
                                               atom::load_v, x.name);
}

caf::result<caf::ok_atom> gate_state::unload(const wire::model_name& x) {
  if (const auto may = check_operator(); !may) return to_error(may.error());
  if (const auto fine = check_model_name(x.name); !fine) return to_error(fine.error());
  return self->delegate(kernel_, atom::unload_v, x.name);
}

/// One's own; an operator sees all.
caf::result<wire::processes> gate_state::ps() {
  const auto from = sender();
  if (!from) return to_error(from.error());
  const std::string only = check_operator() ? "" : (*from)->principal;
  return ask_kernel<wire::processes, process_list>(
      [only](const process_list& all) {
        wire::processes out;
        for (const auto& p : all) {
          if (only.empty() || p.owner == only) out.all.push_back(to_wire(p));
        }
        return out;
      },
      atom::ps_v);
}

/// Of others' processes nobody but an operator learns that they are there.
caf::result<caf::ok_atom> gate_state::kill(const wire::kill& x) {
  const auto from = sender();
  if (!from) return to_error(from.error());
  const std::string only = check_operator() ? "" : (*from)->principal;
  auto promise = self->make_response_promise<caf::ok_atom>();
  auto fail = [promise](caf::error& e) mutable { promise.deliver(std::move(e)); };
  timed_request(self, kernel_, answer_timeout, atom::ps_v)
      .then(
          [this, promise, fail, only, id = request_id{x.id}](const process_list& all) mutable {
            const bool may = std::any_of(all.begin(), all.end(), [&](const process_info& p) {
              return p.id == id && (only.empty() || p.owner == only);
            });
            if (!may) {
              promise.deliver(
                  to_error({ec::not_found, "no process " + std::to_string(id.value), "list them"}));
              return;
            }
            timed_request(self, kernel_, answer_timeout, atom::cancel_v, id)
                .then([promise](caf::ok_atom) mutable { promise.deliver(caf::ok_atom_v); }, fail);
          },
          fail);
  return promise;
}

caf::result<wire::metrics> gate_state::stats() {
  if (const auto may = check_operator(); !may) return to_error(may.error());
  return ask_kernel<wire::metrics, metrics_ptr>([](const metrics_ptr& m) { return to_wire(*m); },
                                                atom::stats_v);
}

caf::result<wire::status> gate_state::status() {
  if (const auto from = sender(); !from) return to_error(from.error());
  auto promise = self->make_response_promise<wire::status>();
  auto fail = [promise](caf::error& e) mutable { promise.deliver(std::move(e)); };
  timed_request(self, kernel_, answer_timeout, atom::health_v)
      .then(
          [this, promise, fail](const node_health& health) {
            timed_request(self, kernel_, answer_timeout, atom::stats_v)
                .then([promise, health](
                          const metrics_ptr& m) mutable { promise.deliver(to_wire(health, *m)); },
                      fail);
          },
          fail);
  return promise;
}

caf::result<wire::events> gate_state::watch(const wire::watch& x) {
  const auto from = sender();
  if (!from) return to_error(from.error());
  if ((*from)->num_watches == max_watches) {
    return to_error({ec::overloaded,
                     std::to_string(max_watches) + " watches wait on this connection already",
                     "wait for their answers"});
  }
  ++(*from)->num_watches;
  const auto ended = [this, node = self->current_sender()->node()] {
    const auto it = connections_.find(node);
    if (it != connections_.end() && it->second.num_watches > 0) --it->second.num_watches;
  };
  const auto wait = std::min(std::chrono::milliseconds(x.wait_ms), max_watch);
  auto promise = self->make_response_promise<wire::events>();
  timed_request(self, kernel_, answer_timeout + wait, atom::watch_v, log_position{x.log, x.number},
                static_cast<uint32_t>(wait.count()))
      .then(
          [promise, ended](const event_page& page) mutable {
            ended();
            promise.deliver(to_wire(page));
          },
          [promise, ended](caf::error& e) mutable {
            ended();
            promise.deliver(std::move(e));
          });
  return promise;
}

caf::result<wire::tokens> gate_state::encode(const wire::text_of& x) {
  const auto from = sender();
  if (!from) return to_error(from.error());
  auto request = to_prompt(x, (*from)->principal);
  if (!request) return to_error(request.error());
  auto promise = self->make_response_promise<wire::tokens>();
  auto fail = [promise](caf::error& e) mutable { promise.deliver(std::move(e)); };
  timed_request(self, kernel_, load_timeout, atom::open_v, x.model)
      .then(
          [this, promise, fail, request = *request](const model_view& model) {
            timed_request(self, kernel_, answer_timeout, atom::encode_v, request)
                .then(
                    [promise, context = model.context](const encoded_ptr& ids) mutable {
                      promise.deliver(wire::tokens{*ids, context});
                    },
                    fail);
          },
          fail);
  return promise;
}

caf::result<wire::text> gate_state::decode(const wire::tokens_of& x) {
  if (const auto from = sender(); !from) return to_error(from.error());
  if (const auto fine = check_model_name(x.model); !fine) return to_error(fine.error());
  auto promise = self->make_response_promise<wire::text>();
  timed_request(self, kernel_, load_timeout, atom::open_v, x.model)
      .then(
          [promise, ids = x.ids](const model_view& model) mutable {
            const auto text = decode_checked(*model.loaded->vocabulary, ids);
            text ? promise.deliver(wire::text{*text}) : promise.deliver(to_error(text.error()));
          },
          [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
  return promise;
}

std::string gate_state::summary() const {
  const auto parked = std::count_if(streams_.begin(), streams_.end(),
                                    [](const auto& s) { return !s.second.client; });
  return "connections=" + std::to_string(connections_.size()) +
         " streams=" + std::to_string(streams_.size()) + " parked=" + std::to_string(parked);
}

gate_room_actor::behavior_type gate(gate_room_actor::stateful_pointer<gate_state> self,
                                    gate_args args) {
  self->state.start(std::move(args));
  return {
      [self](atom::hello, const wire::hello& x) { return self->state.hello(x); },
      [self](atom::submit, const wire::request& x) { return self->state.submit(x); },
      [self](atom::ack, const wire::ack& x) { self->state.ack(x); },
      [self](atom::cancel, const wire::cancel& x) { return self->state.cancel(x); },
      [self](atom::list, const wire::query&) { return self->state.list(); },
      [self](atom::load, const wire::model_name& x) { return self->state.load(x); },
      [self](atom::unload, const wire::model_name& x) { return self->state.unload(x); },
      [self](atom::ps, const wire::query&) { return self->state.ps(); },
      [self](atom::status, const wire::query&) { return self->state.status(); },
      [self](atom::stats, const wire::query&) { return self->state.stats(); },
      [self](atom::watch, const wire::watch& x) { return self->state.watch(x); },
      [self](atom::cancel, const wire::kill& x) { return self->state.kill(x); },
      [self](atom::encode, const wire::text_of& x) { return self->state.encode(x); },
      [self](atom::decode, const wire::tokens_of& x) { return self->state.decode(x); },
      [self](atom::chunk, const text_chunk& x) { self->state.add(x.id, to_wire(x)); },
      [self](atom::done, const generation_done& x) { self->state.add(x.id, to_wire(x)); },
      [self](atom::failed, request_id id, const failure& why) {
        self->state.add(id, to_wire(why));
      },
      [self](atom::tick) { self->state.tick(); },
      [self](atom::ack, uint64_t mark) { self->state.marked(mark); },
      [self](atom::update, const config_ptr& c) { self->state.configure(*c); },
      [self](atom::status) { return self->state.summary(); },
  };
}

}  // namespace llmos
