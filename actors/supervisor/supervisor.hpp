#pragma once

#include <caf/stateful_actor.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/protocol.hpp"
#include "actors/supervisor/policy.hpp"

namespace llmos {

/// What the supervisor needs to build rooms.
struct supervisor_args {
  node_config config;
  backend_factory make_backend;
  bool detached = true;  ///< Threads of their own for executors, tokenizers, loaders; off in tests.
};

/// SUPERVISOR's state: every room, who stands where, and how often it fell.
///
///   supervisor
///   ├── monitor, ledger, models, kernel      one for one: a new room is wired in for the old one
///   └── engine (one per model and device)    all for one: tokenizer, scheduler, memory, executor
///                                            share sequences and blocks, so they start over
///                                            together
///
/// More than 5 crashes of one kind in 10 s end the restarts: an engine is reported failed; for a
/// core room the whole node stops, and who still runs is told so. An engine on a device of its own
/// is reported after its third crash: while there is a processor to go on with, requests should not
/// run out of patience.
///
/// Processes are the kernel's to start and nobody's to restart. They are known here because this is
/// the one place that outlives both kernel and ledger: a new kernel is told who lives, and who
/// lives is told of a new ledger.
struct supervisor_state {
  static inline constexpr const char* name = "supervisor";

  explicit supervisor_state(supervisor_actor::stateful_pointer<supervisor_state> self)
      : self(self) {}

  void start(supervisor_args a);
  caf::result<engine_handles> start_engine(const std::string& path, const loaded_model_ptr& m,
                                           const engine_plan& plan);
  caf::result<caf::ok_atom> stop_engines(const std::string& path);
  void device_gone(const engine_id& id, uint64_t device);
  void process_started(const process_handle& x);
  caf::result<caf::ok_atom> drain(bool cancel_them);
  caf::result<caf::ok_atom> stop();
  void room_down(const caf::down_msg& d);
  /// For rooms that are started from now on, and those that know what to do with it.
  void configure(const config_ptr& c);
  std::string status() const;

  supervisor_actor::stateful_pointer<supervisor_state> self;
  kernel_actor kernel_room;

private:
  static constexpr uint32_t restarts_max = 5, device_restarts_max = 2;
  static constexpr std::chrono::seconds restarts_period{10};

  struct engine {
    uint64_t instance = 0;  ///< Which start of its file it is.
    loaded_model_ptr model;
    engine_plan plan;
    tokenizer_actor tokenizer;
    scheduler_actor scheduler;
    memory_actor memory;
    executor_actor executor;
    transfer_actor mover;  ///< The executor's own; null where the host has no blocks.
    restart_policy restarts{restarts_max, restarts_period};
    uint64_t device = 0;          ///< Which of all devices that were ever made.
    bool is_device_held = false;  ///< Until it is given back.
    bool is_restarting = false;
    std::vector<caf::typed_response_promise<engine_handles>> starters;  ///< Who waits for it.

    std::vector<caf::actor> rooms() const;
  };

  template <class Fun, class... Ts>
  auto spawn_blocking(Fun fun, Ts&&... xs);

  void spawn_core_room(const std::string& room);
  void wire();
  void wire(const engine& e);
  void ask_kernel_to_drain();
  core_wiring wiring() const;
  std::string core_room_at(const caf::actor_addr& address) const;
  void load_device(const engine_id& id);
  void device_stands(const engine_id& id, const device_report& device);
  void engine_failed(const engine_id& id, const failure& why);
  bool wanted(const engine_id& id, uint64_t instance) const;
  bool is_instance(const engine_id& id, uint64_t instance) const;
  void open_engine(const engine_id& id, const device_report& device);
  void crash_engine(const engine_id& id, const failure& why);
  void tear_down(engine& e, caf::exit_reason why);
  engine_handles handles_of(const engine_id& id) const;
  bool core_room_down(const caf::down_msg& d);
  void tell(node_event_kind kind, const std::string& subject, const std::string& text);
  void stop_rooms(const failure& why);
  void check_stopped();

  supervisor_args args_;
  std::chrono::steady_clock::time_point started_;
  monitor_actor monitor_;
  ledger_actor ledger_;
  models_actor models_;
  std::map<std::string, restart_policy> core_restarts_;
  std::map<engine_id, engine> engines_;
  uint32_t kernels_started_ = 0;
  size_t num_restarts_ = 0;
  uint64_t num_engines_ = 0, num_devices_ = 0;  ///< Ever started.
  std::map<caf::actor_addr, process_handle> processes_;
  std::optional<bool> drain_;  ///< Set: no new work; true: cancel what runs.
  std::vector<caf::typed_response_promise<caf::ok_atom>> drain_promises_;
  std::optional<failure> ending_;  ///< Set: the rooms are being stopped, for this reason.
  std::vector<caf::actor_addr> stopping_;
  std::optional<caf::typed_response_promise<caf::ok_atom>> stop_promise_;
};

supervisor_actor::behavior_type supervisor(
    supervisor_actor::stateful_pointer<supervisor_state> self, supervisor_args args);

}  // namespace llmos
