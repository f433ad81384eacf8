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
#include "actors/timed_request.hpp"

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
  started_ = std::chrono::steady_clock::now();
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
    for (const auto& [id, e] : engines_) {
      if (e.scheduler) self->send(models_, atom::started_v, handles_of(id));
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
  for (const auto& [id, e] : engines_) {
    if (e.scheduler) wire(e);
  }
  self->send(models_, atom::wire_v, engine_host_actor{self});
  self->send(kernel_room, atom::wire_v,
             kernel_wiring{wiring(), process_host_actor{self}, started_});
  for (const auto& [address, x] : processes_) self->send(x.process, atom::wire_v, wiring());
}

void supervisor_state::wire(const engine& e) {
  self->send(e.memory, atom::wire_v, memory_wiring{e.scheduler, monitor_, e.mover});
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
  if (!drain_) tell(node_event_kind::draining, "", "no new work is taken");
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

/// A new MODELS may ask for an engine that runs or starts already.
caf::result<engine_handles> supervisor_state::start_engine(const std::string& path,
                                                           const loaded_model_ptr& m,
                                                           const engine_plan& plan) {
  if (ending_) return to_error(*ending_);
  const engine_id id{path, plan.backend};
  const auto [it, is_new] = engines_.try_emplace(id);
  auto& e = it->second;
  if (e.scheduler) return handles_of(id);
  e.starters.push_back(self->make_response_promise<engine_handles>());
  auto promise = e.starters.back();
  if (!is_new) return promise;
  e.instance = ++num_engines_;
  e.model = m;
  e.plan = plan;
  if (plan.on_device) e.restarts = restart_policy{device_restarts_max, restarts_period};
  load_device(id);
  return promise;
}

/// The executor first, alone: the other rooms come when the device stands.
void supervisor_state::load_device(const engine_id& id) {
  auto& e = engines_.at(id);
  e.device = ++num_devices_;
  e.is_device_held = true;
  executor_args args{e.model, e.plan, args_.make_backend, {}, args_.detached};
  args.gone = [me = supervisor_actor{self}, id, device = e.device] {
    caf::anon_send(me, atom::ended_v, id, device);
  };
  e.executor = spawn_blocking(executor, std::move(args));
  timed_request(self, e.executor, device_timeout, atom::load_v)
      .then(
          [this, id, instance = e.instance](const device_report& device) {
            if (wanted(id, instance)) device_stands(id, device);
          },
          [this, id, instance = e.instance](caf::error& error) {
            if (is_instance(id, instance)) engine_failed(id, to_failure(error));
          });
}

void supervisor_state::device_stands(const engine_id& id, const device_report& device) {
  open_engine(id, device);
  auto& e = engines_.at(id);
  const bool is_again = std::exchange(e.is_restarting, false);
  tell(is_again ? node_event_kind::engine_restarted : node_event_kind::engine_started,
       e.model->name, "on " + id.device);
  for (auto& p : std::exchange(e.starters, {})) p.deliver(handles_of(id));
  self->send(models_, atom::started_v, handles_of(id));  // who asked may have fallen meanwhile
}

/// For good.
void supervisor_state::engine_failed(const engine_id& id, const failure& why) {
  auto& e = engines_.at(id);
  tear_down(e, caf::exit_reason::kill);
  for (auto& p : std::exchange(e.starters, {})) p.deliver(to_error(why));
  tell(node_event_kind::engine_failed, e.model->name, "on " + id.device + ": " + why.text);
  if (e.is_restarting) self->send(models_, atom::failed_v, id, why);
  engines_.erase(id);  // `id` may be its own
}

/// The device of an engine was given back: only now is there room to start it again.
void supervisor_state::device_gone(const engine_id& id, uint64_t device) {
  const auto it = engines_.find(id);
  if (it == engines_.end() || it->second.device != device) return;
  it->second.is_device_held = false;
  if (it->second.is_restarting && !ending_) load_device(id);
}

/// A device that stands too late, after its engine was unloaded or the node began to stop, must
/// get no rooms: nobody would end them.
bool supervisor_state::wanted(const engine_id& id, uint64_t instance) const {
  return !ending_ && is_instance(id, instance);
}

/// Another engine may have been started for the file meanwhile.
bool supervisor_state::is_instance(const engine_id& id, uint64_t instance) const {
  const auto it = engines_.find(id);
  return it != engines_.end() && it->second.instance == instance;
}

void supervisor_state::open_engine(const engine_id& id, const device_report& device) {
  auto& e = engines_.at(id);
  auto limits = e.plan.schedule;
  limits.run_ahead = device.runs_ahead;
  const engine_label name{e.model->name, id.device};
  e.mover = device.mover;
  e.memory = self->spawn<caf::monitored>(
      memory_manager,
      memory_args{name, limits.num_blocks, limits.block_tokens, id.path + "\n" + device.numerics,
                  device.mover ? e.plan.device.num_host_blocks : 0});
  e.scheduler = self->spawn<caf::monitored>(scheduler, name, limits);
  e.tokenizer = spawn_blocking(tokenizer_service, e.model, limits.max_context);
  self->send(e.executor, atom::wire_v, step_listener_actor{e.scheduler});
  wire(e);
}

engine_handles supervisor_state::handles_of(const engine_id& id) const {
  const auto& e = engines_.at(id);
  return {.id = id,
          .model = e.model->name,
          .tokenizer = e.tokenizer,
          .scheduler = e.scheduler,
          .loaded = e.model,
          .context = e.plan.schedule.max_context,
          .memory = e.plan.memory,
          .on_device = e.plan.on_device,
          .pass_seconds = e.plan.pass_seconds};
}

caf::result<caf::ok_atom> supervisor_state::stop_engines(const std::string& path) {
  size_t num_stopped = 0;
  for (auto it = engines_.begin(); it != engines_.end();) {
    if (it->first.path != path) {
      ++it;
      continue;
    }
    tear_down(it->second, caf::exit_reason::user_shutdown);
    tell(node_event_kind::engine_ended, it->second.model->name, "on " + it->first.device);
    for (auto& p : it->second.starters) {
      p.deliver(to_error({ec::cancelled, path + " was unloaded", ""}));
    }
    it = engines_.erase(it);
    ++num_stopped;
  }
  if (num_stopped == 0) return to_error({ec::not_found, "no engine of " + path, ""});
  return caf::ok_atom_v;
}

void supervisor_state::tear_down(engine& e, caf::exit_reason why) {
  if (e.memory) {
    self->send(monitor_, atom::ended_v, engine_label{e.model->name, e.plan.backend});
  }
  for (const auto& room : e.rooms()) {
    self->demonitor(room.address());
    self->send_exit(room, why);
  }
  e.tokenizer = nullptr;
  e.scheduler = nullptr;
  e.memory = nullptr;
  e.executor = nullptr;
  e.mover = nullptr;
}

void supervisor_state::room_down(const caf::down_msg& d) {
  if (processes_.erase(d.source) > 0) return;
  if (ending_) {
    std::erase(stopping_, d.source);
    check_stopped();
    return;
  }
  if (core_room_down(d)) return;
  for (auto& [id, e] : engines_) {
    const auto rooms = e.rooms();
    const bool mine = std::any_of(rooms.begin(), rooms.end(),
                                  [&](const caf::actor& r) { return r.address() == d.source; });
    if (!mine) continue;
    if (e.scheduler) return crash_engine(id, to_failure(d.reason));
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
    tell(node_event_kind::room_restarted, room, to_failure(d.reason).text);
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
void supervisor_state::crash_engine(const engine_id& id, const failure& why) {
  auto& e = engines_.at(id);
  ++num_restarts_;
  spdlog::warn("the engine of {} fell: {}", e.model->name, why.text);
  tell(node_event_kind::engine_fell, e.model->name, "on " + id.device + ": " + why.text);
  tear_down(e, caf::exit_reason::kill);
  e.is_restarting = true;
  if (!e.restarts.allow(self->clock().now())) {
    spdlog::error("the engine of {} failed too often and stays down", e.model->name);
    return engine_failed(id, {ec::engine_failed, "the engine failed too often, last: " + why.text,
                              "see the log (log.level warn)"});
  }
  if (!e.is_device_held) load_device(id);  // else when it is given back
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
  for (const auto& [id, e] : engines_) {
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

void supervisor_state::configure(const config_ptr& c) {
  args_.config = *c;
  if (models_) self->send(models_, atom::update_v, c);
  if (kernel_room) self->send(kernel_room, atom::update_v, c);
  tell(node_event_kind::configured, "", "the configuration was read again");
}

void supervisor_state::tell(node_event_kind kind, const std::string& subject,
                            const std::string& text) {
  if (monitor_) self->send(monitor_, atom::happened_v, node_event{kind, subject, text});
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
      [self](atom::load, const std::string& path, const loaded_model_ptr& m,
             const engine_plan& plan) { return self->state.start_engine(path, m, plan); },
      [self](atom::ended, const engine_id& id, uint64_t device) {
        self->state.device_gone(id, device);
      },
      [self](atom::unload, const std::string& path) { return self->state.stop_engines(path); },
      [self](atom::update, const config_ptr& c) { self->state.configure(c); },
      [self](atom::status) { return self->state.status(); },
  };
}

}  // namespace llmos
