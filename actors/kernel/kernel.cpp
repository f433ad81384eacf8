#include "actors/kernel/kernel.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "actors/error.hpp"
#include "actors/process/process.hpp"
#include "actors/timed_request.hpp"
#include "runtime/sampling/weights.hpp"

namespace llmos {

namespace {

constexpr std::chrono::seconds lookup_timeout{30};
constexpr std::chrono::minutes load_timeout{30};

/// Below 2^53: readers of JSON that keep numbers as doubles get it as it was written.
uint64_t draw_seed() {
  std::random_device source;
  return ((uint64_t{source()} << 32) | source()) >> 11;
}

}  // namespace

caf::result<request_id> kernel_state::submit(const request_ptr& request,
                                             const client_actor& client) {
  if (auto fine = admits(*request); !fine) {
    self->send(rooms.monitor, atom::failed_v, std::string{to_string(fine.error().code)});
    return to_error(fine.error());
  }
  process_args args;
  args.id = {next_id++};
  args.request = request;
  args.client = client;
  args.rooms = rooms;
  args.seed = draw_seed();
  args.deadline_ms = request->deadline_ms != 0 ? request->deadline_ms : config.kernel.deadline_ms;
  ledger_entry entry;
  entry.info = {args.id, request->owner, request->model, "loading", 0, 0, 0};
  entry.client = client;
  entry.process = self->spawn(process, std::move(args));
  const auto id = entry.info.id;
  add({id, entry.process});
  self->send(host, atom::started_v, process_handle{id, entry.process});
  // From here and not from the process: a ps that follows must find it in the ledger.
  self->send(rooms.ledger, atom::submit_v, std::move(entry));
  return id;
}

result<void> kernel_state::admits(const generate_request& request) const {
  if (draining) return failure{ec::shutting_down, "the node takes no new work", "retry elsewhere"};
  if (live.size() >= config.kernel.max_processes) {
    return failure{
        ec::overloaded,
        std::to_string(live.size()) + " requests are live, kernel.max_processes allows no more",
        "retry in a second"};
  }
  // The vocabulary is known once the model is loaded; the process validates again against it.
  return validate(request.sampling, max_sampling_vocab);
}

void kernel_state::add(const process_handle& x) {
  live.emplace(x.id, x.process);
  ids_.emplace(x.process.address(), x.id);
  self->monitor(x.process);  // tells at once of one that has ended
}

void kernel_state::process_down(const caf::actor_addr& process) {
  const auto it = ids_.find(process);
  if (it == ids_.end()) return;
  live.erase(it->second);
  ids_.erase(it);
  if (!live.empty()) return;
  for (auto& promise : std::exchange(drains_, {})) promise.deliver(caf::ok_atom_v);
}

caf::result<caf::ok_atom> kernel_state::cancel(request_id id) {
  const auto it = live.find(id);
  if (it == live.end()) {
    return to_error({ec::not_found, "no process " + std::to_string(id.value), "see /ps"});
  }
  self->send<caf::message_priority::high>(it->second, atom::cancel_v);
  return caf::ok_atom_v;
}

/// Loads, then asks how the model stands: the answer is a row of the list.
caf::result<model_status> kernel_state::load(const std::string& model) {
  auto promise = self->make_response_promise<model_status>();
  auto fail = [promise](caf::error& e) mutable { promise.deliver(std::move(e)); };
  auto pick = [promise](const std::string& path, const model_list& all) mutable {
    const auto it =
        std::find_if(all.begin(), all.end(), [&](const auto& m) { return m.path == path; });
    if (it == all.end()) {
      promise.deliver(to_error({ec::not_found, path + " was unloaded meanwhile", "load it again"}));
    } else {
      promise.deliver(*it);
    }
  };
  timed_request(self, rooms.models, load_timeout, atom::load_v, model)
      .then(
          [this, fail, pick](const engine_handles& engine) mutable {
            timed_request(self, rooms.models, lookup_timeout, atom::list_v)
                .then([pick,
                       path = engine.id.path](const model_list& all) mutable { pick(path, all); },
                      fail);
          },
          fail);
  return promise;
}

caf::result<model_view> kernel_state::open(const std::string& model) {
  auto promise = self->make_response_promise<model_view>();
  timed_request(self, rooms.models, load_timeout, atom::load_v, model)
      .then(
          [promise](const engine_handles& e) mutable {
            promise.deliver(model_view{e.model, e.loaded, e.context});
          },
          [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
  return promise;
}

caf::result<encoded_ptr> kernel_state::encode(const request_ptr& request) {
  auto promise = self->make_response_promise<encoded_ptr>();
  auto fail = [promise](caf::error& e) mutable { promise.deliver(std::move(e)); };
  timed_request(self, rooms.models, load_timeout, atom::load_v, request->model)
      .then(
          [this, promise, fail, request](const engine_handles& e) {
            timed_request(self, e.tokenizer, lookup_timeout, atom::encode_v, request)
                .then([promise](const encoded_ptr& x) mutable { promise.deliver(x); }, fail);
          },
          fail);
  return promise;
}

caf::result<caf::ok_atom> kernel_state::drain(bool cancel_them) {
  draining = true;
  if (live.empty()) return caf::ok_atom_v;
  for (const auto& [id, p] : live) {
    if (cancel_them) self->send<caf::message_priority::high>(p, atom::cancel_v);
  }
  drains_.push_back(self->make_response_promise<caf::ok_atom>());
  return drains_.back();
}

node_health kernel_state::health() const {
  const auto uptime = std::chrono::steady_clock::now() - node_started;
  return {draining, static_cast<uint32_t>(live.size()), config.kernel.max_processes,
          std::chrono::floor<std::chrono::milliseconds>(uptime)};
}

std::string kernel_state::status() const {
  return "live=" + std::to_string(live.size()) + " next_id=" + std::to_string(next_id) +
         (draining ? " draining" : "");
}

kernel_actor::behavior_type kernel(kernel_actor::stateful_pointer<kernel_state> self,
                                   node_config config, uint32_t incarnation,
                                   const std::vector<process_handle>& live) {
  self->state.config = std::move(config);
  self->state.next_id = (uint64_t{incarnation} << 40) + 1;
  self->set_down_handler([self](const caf::down_msg& d) { self->state.process_down(d.source); });
  for (const auto& x : live) self->state.add(x);
  return {
      [self](atom::wire, const kernel_wiring& w) {
        self->state.rooms = w.rooms;
        self->state.host = w.host;
        self->state.node_started = w.node_started;
      },
      [self](atom::submit, const request_ptr& r, const client_actor& c) {
        return self->state.submit(r, c);
      },
      [self](atom::cancel, request_id id) { return self->state.cancel(id); },
      [self](atom::ps) { return self->delegate(self->state.rooms.ledger, atom::ps_v); },
      [self](atom::load, const std::string& model) { return self->state.load(model); },
      [self](atom::open, const std::string& model) { return self->state.open(model); },
      [self](atom::encode, const request_ptr& r) { return self->state.encode(r); },
      [self](atom::unload, const std::string& m) {
        return self->delegate(self->state.rooms.models, atom::unload_v, m);
      },
      [self](atom::list) { return self->delegate(self->state.rooms.models, atom::list_v); },
      [self](atom::stats) { return self->delegate(self->state.rooms.monitor, atom::stats_v); },
      [self](atom::health) { return self->state.health(); },
      [self](atom::watch, const log_position& from, uint32_t wait_ms) {
        return self->delegate(self->state.rooms.monitor, atom::watch_v, from, wait_ms);
      },
      [self](atom::drain, bool cancel_them) { return self->state.drain(cancel_them); },
      [self](atom::update, const config_ptr& c) { self->state.config = *c; },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
