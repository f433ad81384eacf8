#include "actors/supervisor/supervisor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "actors/engine/executor/executor.hpp"
#include "actors/engine/memory/memory.hpp"
#include "actors/engine/scheduler/scheduler.hpp"
#include "actors/engine/tokenizer/tokenizer.hpp"
#include "actors/error.hpp"
#include "actors/kernel/kernel.hpp"
#include "actors/ledger/ledger.hpp"
#include "actors/models/models.hpp"
#include "actors/monitor/monitor.hpp"

namespace llmos {

namespace {

constexpr std::chrono::minutes device_timeout{30};
constexpr const char* core_rooms[] = {"monitor", "ledger", "models", "kernel"};

}  // namespace

std::vector<caf::actor> supervisor_state::engine::rooms() const {
  std::vector<caf::actor> out;
  if (tokenizer) out.push_back(caf::actor_cast<caf::actor>(tokenizer));
  if (scheduler) out.push_back(caf::actor_cast<caf::actor>(scheduler));
  if (memory) out.push_back(caf::actor_cast<caf::actor>(memory));
  if (executor) out.push_back(caf::actor_cast<caf::actor>(executor));
  return out;
}

template <class Fun, class... Ts>
auto supervisor_state::spawn_blocking(Fun fun, Ts&&... xs) {
  return args_.detached ? self->spawn<caf::detached + caf::monitored>(fun, std::forward<Ts>(xs)...)
                        : self->spawn<caf::monitored>(fun, std::forward<Ts>(xs)...);
}

void supervisor_state::start(supervisor_args a) {
  args_ = std::move(a);
  for (const auto* room : core_rooms) {
    core_restarts_.emplace(room, restart_policy{restarts_max, restarts_period});
    spawn_core_room(room);
  }
  wire();
}

void supervisor_state::spawn_core_room(const std::string& room) {
  if (room == "monitor") monitor_ = self->spawn<caf::monitored>(monitor);
  if (room == "ledger") ledger_ = self->spawn<caf::monitored>(ledger);
  if (room == "models") {
    models_ = spawn_blocking(models, args_.config, args_.detached);  // it looks at files
    for (const auto& [key, e] : engines_) {
      if (e.scheduler) self->send(models_, atom::started_v, handles_of(key));
    }
  }
  if (room == "kernel") {
    std::vector<process_handle> live;
    for (const auto& [address, x] : processes_) live.push_back(x);
    kernel_room = self->spawn<caf::monitored>(kernel, args_.config, kernels_started_++, live);
    ask_kernel_to_drain();
  }
}

core_wiring supervisor_state::wiring() const {
  return {models_, ledger_, monitor_};
}

/// The schedulers before the processes: what these ask for a new ledger must find those wired to
/// it.
void supervisor_state::wire() {
  for (const auto& [key, e] : engines_) {
    if (e.scheduler) wire(e);
  }
  self->send(models_, atom::wire_v, engine_host_actor{self});
  self->send(kernel_room, atom::wire_v, kernel_wiring{wiring(), process_host_actor{self}});
  for (const auto& [address, x] : processes_) self->send(x.process, atom::wire_v, wiring());
}

void supervisor_state::wire(const engine& e) {
  self->send(e.memory, atom::wire_v, memory_wiring{e.scheduler, monitor_});
  self->send(e.scheduler, atom::wire_v, scheduler_wiring{e.memory, e.executor, ledger_, monitor_});
}

/// It may have been started with rooms that have fallen since.
void supervisor_state::process_started(const process_handle& x) {
  if (ending_) return self->send(x.process, atom::failed_v, *ending_);
  processes_.emplace(x.process.address(), x);
  self->monitor(x.process);
  self->send(x.process, atom::wire_v, wiring());
}

caf::result<caf::ok_atom> supervisor_state::drain(bool cancel_them) {
  if (ending_) return to_error(*ending_);
  drain_ = cancel_them;
  drain_promises_.push_back(self->make_response_promise<caf::ok_atom>());
  ask_kernel_to_drain();
  return drain_promises_.back();
}

/// Without a limit of time: as long as the longest generation may last.
void supervisor_state::ask_kernel_to_drain() {
  if (!drain_) return;
  self->request(kernel_room, caf::infinite, atom::drain_v, *drain_)
      .then(
          [this](caf::ok_atom) {
            for (auto& p : std::exchange(drain_promises_, {})) p.deliver(caf::ok_atom_v);
          },
          [](caf::error&) {});  // it fell: its successor is asked
}

caf::result<engine_handles> supervisor_state::start_engine(const std::string& key,
                                                           const loaded_model_ptr& m,
                                                           const engine_plan& plan) {
  if (ending_) return to_error(*ending_);
  if (engines_.count(key) != 0) {
    return to_error({ec::invalid_argument, "engine " + key + " runs already", ""});
  }
  auto& e = engines_[key];
  e.instance = ++num_engines_;
  e.model = m;
  e.plan = plan;
  if (plan.on_device) e.restarts = restart_policy{device_restarts_max, restarts_period};
  auto promise = self->make_response_promise<engine_handles>();
  load_device(key, promise);
  return promise;
}

/// The executor first, alone: the other rooms come when the device stands.
void supervisor_state::load_device(const std::string& key,
                                   caf::typed_response_promise<engine_handles> promise) {
  auto& e = engines_.at(key);
  e.executor = spawn_blocking(executor, e.model, e.plan, args_.make_backend);
  self->request(e.executor, device_timeout, atom::load_v)
      .then(
          [this, key, instance = e.instance, promise](const std::string& numerics) mutable {
            if (!wanted(key, instance)) {
              promise.deliver(to_error({ec::cancelled, key + " was unloaded", ""}));
              return;
            }
            open_engine(key, numerics);
            promise.deliver(handles_of(key));
          },
          [this, key, instance = e.instance, promise](caf::error& error) mutable {
            if (is_instance(key, instance)) {
              tear_down(engines_.at(key), caf::exit_reason::kill);
              engines_.erase(key);
            }
            promise.deliver(std::move(error));
          });
}

/// A device that stands too late, after its engine was unloaded or the node began to stop, must
/// get no rooms: nobody would end them.
bool supervisor_state::wanted(const std::string& key, uint64_t instance) const {
  return !ending_ && is_instance(key, instance);
}

/// Another engine may have been started for the file meanwhile.
bool supervisor_state::is_instance(const std::string& key, uint64_t instance) const {
  const auto it = engines_.find(key);
  return it != engines_.end() && it->second.instance == instance;
}

void supervisor_state::open_engine(const std::string& key, const std::string& numerics) {
  auto& e = engines_.at(key);
  const auto& limits = e.plan.schedule;
  e.memory = self->spawn<caf::monitored>(memory_manager, e.model->name, limits.num_blocks,
                                         limits.block_tokens, key + "\n" + numerics);
  e.scheduler = self->spawn<caf::monitored>(scheduler, e.model->name, limits);
  e.tokenizer = spawn_blocking(tokenizer_service, e.model, limits.max_context);
  self->send(e.executor, atom::wire_v, step_listener_actor{e.scheduler});
  wire(e);
}

engine_handles supervisor_state::handles_of(const std::string& key) const {
  const auto& e = engines_.at(key);
  return {.key = key,
          .model = e.model->name,
          .tokenizer = e.tokenizer,
          .scheduler = e.scheduler,
          .loaded = e.model,
          .context = e.plan.schedule.max_context,
          .memory = e.plan.memory,
          .on_device = e.plan.on_device};
}

caf::result<caf::ok_atom> supervisor_state::stop_engine(const std::string& key) {
  const auto it = engines_.find(key);
  if (it == engines_.end()) return to_error({ec::not_found, "no engine " + key, ""});
  tear_down(it->second, caf::exit_reason::user_shutdown);
  engines_.erase(it);
  return caf::ok_atom_v;
}

void supervisor_state::tear_down(engine& e, caf::exit_reason why) {
  for (const auto& room : e.rooms()) {
    self->demonitor(room.address());
    self->send_exit(room, why);
  }
  e.tokenizer = nullptr;
  e.scheduler = nullptr;
  e.memory = nullptr;
  e.executor = nullptr;
}

void supervisor_state::room_down(const caf::down_msg& d) {
  if (processes_.erase(d.source) > 0) return;
  if (ending_) {
    std::erase(stopping_, d.source);
    check_stopped();
    return;
  }
  if (core_room_down(d)) return;
  for (auto& [key, e] : engines_) {
    const auto rooms = e.rooms();
    const bool mine = std::any_of(rooms.begin(), rooms.end(),
                                  [&](const caf::actor& r) { return r.address() == d.source; });
    if (!mine) continue;
    if (e.scheduler) return crash_engine(key, to_failure(d.reason));
    return;  // died while loading: the pending request hears of it
  }
}

std::string supervisor_state::core_room_at(const caf::actor_addr& address) const {
  const caf::actor_addr addresses[] = {monitor_.address(), ledger_.address(), models_.address(),
                                       kernel_room.address()};
  const auto it = std::find(std::begin(addresses), std::end(addresses), address);
  return it == std::end(addresses) ? "" : core_rooms[it - std::begin(addresses)];
}

bool supervisor_state::core_room_down(const caf::down_msg& d) {
  const auto room = core_room_at(d.source);
  if (room.empty()) return false;
  ++num_restarts_;
  spdlog::warn("the room {} fell: {}", room, to_failure(d.reason).text);
  if (core_restarts_.at(room).allow(self->clock().now())) {
    spawn_core_room(room);
    self->send(monitor_, atom::started_v, room);
    wire();
  } else {
    spdlog::error("the room {} failed too often: the node stops", room);
    stop_rooms({ec::shutting_down, "the node stops: its room " + room + " failed too often",
                "start it again"});
    std::erase(stopping_, d.source);
  }
  return true;
}

/// All for one: what the rooms share (block ids, sequences, KV content) is gone with any of them.
void supervisor_state::crash_engine(const std::string& key, const failure& why) {
  auto& e = engines_.at(key);
  ++num_restarts_;
  spdlog::warn("the engine of {} fell: {}", e.model->name, why.text);
  tear_down(e, caf::exit_reason::kill);
  if (!e.restarts.allow(self->clock().now())) {
    spdlog::error("the engine of {} failed too often and stays down", e.model->name);
    self->send(models_, atom::failed_v, key,
               failure{ec::engine_failed, "the engine failed too often, last: " + why.text,
                       "see the log (log.level warn)"});
    engines_.erase(key);  // `key` may be its own
    return;
  }
  e.executor = spawn_blocking(executor, e.model, e.plan, args_.make_backend);
  self->request(e.executor, device_timeout, atom::load_v)
      .then(
          [this, key, instance = e.instance](const std::string& numerics) {
            if (!wanted(key, instance)) return;
            open_engine(key, numerics);
            self->send(monitor_, atom::started_v, std::string{"engine"});
            self->send(models_, atom::started_v, handles_of(key));
          },
          [this, key, instance = e.instance](caf::error& error) {
            if (!is_instance(key, instance)) return;
            tear_down(engines_.at(key), caf::exit_reason::kill);
            engines_.erase(key);
            self->send(models_, atom::failed_v, key, to_failure(error));
          });
}

caf::result<caf::ok_atom> supervisor_state::stop() {
  if (stop_promise_) return to_error({ec::shutting_down, "the node is stopping already", ""});
  stop_promise_ = self->make_response_promise<caf::ok_atom>();
  if (!ending_) stop_rooms({ec::shutting_down, "the node is stopping", ""});
  return *stop_promise_;
}

void supervisor_state::stop_rooms(const failure& why) {
  ending_ = why;
  for (const auto& [address, x] : processes_) self->send(x.process, atom::failed_v, why);
  for (auto& p : std::exchange(drain_promises_, {})) p.deliver(to_error(why));
  std::vector<caf::actor> rooms{caf::actor_cast<caf::actor>(kernel_room),
                                caf::actor_cast<caf::actor>(models_)};
  for (const auto& [key, e] : engines_) {
    for (const auto& room : e.rooms()) rooms.push_back(room);
  }
  rooms.push_back(caf::actor_cast<caf::actor>(ledger_));
  rooms.push_back(caf::actor_cast<caf::actor>(monitor_));
  for (const auto& room : rooms) {
    stopping_.push_back(room.address());
    self->send_exit(room, to_error(why));
  }
}

void supervisor_state::check_stopped() {
  if (!stopping_.empty()) return;
  if (stop_promise_) stop_promise_->deliver(caf::ok_atom_v);
  self->quit();
}

std::string supervisor_state::status() const {
  return "engines=" + std::to_string(engines_.size()) +
         " restarts=" + std::to_string(num_restarts_);
}

supervisor_actor::behavior_type supervisor(
    supervisor_actor::stateful_pointer<supervisor_state> self, supervisor_args args) {
  self->set_down_handler([self](const caf::down_msg& d) { self->state.room_down(d); });
  self->state.start(std::move(args));
  return {
      [self](atom::kernel) { return self->state.kernel_room; },
      [self](atom::started, const process_handle& x) { self->state.process_started(x); },
      [self](atom::drain, bool cancel_them) { return self->state.drain(cancel_them); },
      [self](atom::stop) { return self->state.stop(); },
      [self](atom::load, const std::string& key, const loaded_model_ptr& m,
             const engine_plan& plan) { return self->state.start_engine(key, m, plan); },
      [self](atom::unload, const std::string& key) { return self->state.stop_engine(key); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
