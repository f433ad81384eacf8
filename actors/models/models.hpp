#pragma once

#include <caf/stateful_actor.hpp>
#include <map>
#include <string>
#include <vector>

#include "actors/protocol.hpp"
#include "runtime/config/model_path.hpp"
#include "runtime/schedule/balance.hpp"

namespace llmos {

/// MODELS' state: what is on disk, what is loading, which engines run, and which processes are
/// where. Keyed by canonical path, so that two names of one file are one model. A model has an
/// engine on each device that engine.backend lists.
struct models_state {
  static inline constexpr const char* name = "models";

  explicit models_state(models_actor::stateful_pointer<models_state> self) : self(self) {}

  caf::result<engine_handles> load(const std::string& model);
  /// For the process that sends it.
  caf::result<engine_handles> place(const std::string& model);
  caf::result<caf::ok_atom> unload(const std::string& model);
  model_list list() const;
  /// The host tells of an engine that runs: to a new MODELS, or after it was started again.
  void engine_started(const engine_handles& e);
  /// A process ended. Or a scheduler died: its engine is being started again; who asks meanwhile
  /// gets another one, or waits.
  void down(const caf::down_msg& d);
  /// An engine fell too often. The model's others go on; where it was the last one, and on a
  /// device, it is started on the CPU, and who waits gets that.
  void engine_failed(const engine_id& id, const failure& why);
  std::string status() const;

  models_actor::stateful_pointer<models_state> self;
  node_config config;
  bool detached = true;
  engine_host_actor host;

private:
  /// One engine of a model.
  struct replica {
    enum class phase { starting, loaded, restarting } state = phase::starting;
    uint64_t instance = 0;        ///< Which of all that there ever were.
    engine_handles engine;        ///< While it is loaded.
    uint64_t promised_bytes = 0;  ///< Memory of the host that it may still take.
    uint64_t device_bytes = 0;    ///< Memory of its device that it will take as it starts.
    bool on_device = false;       ///< Its memory is a device's.
    engine_load load;
  };

  /// Somebody who waits for an engine: the process that will run there, or nobody of that kind.
  struct waiter {
    caf::typed_response_promise<engine_handles> promise;
    caf::actor_addr process;
  };

  struct entry {
    std::string name;
    /// Which load this is: a file may be unloaded and loaded again before an older load answers.
    uint64_t load = 0;
    loaded_model_ptr model;                   ///< Once it is read; empty until then.
    std::map<std::string, replica> replicas;  ///< By device; empty while the file is read.
    std::vector<waiter> waiters;
  };

  result<model_file> find(const std::string& model) const;
  caf::result<engine_handles> ask(const std::string& model, const caf::actor_addr& process);
  entry* find_load(const std::string& path, uint64_t load);
  replica& add_replica(entry& mine, const std::string& device);
  replica* find_replica(const engine_id& id);
  void start_reading(const std::string& path);
  void start_engines(const std::string& path, uint64_t load, const loaded_model_ptr& m,
                     const std::string& backend);
  void start_engine(const std::string& path, uint64_t load, const engine_plan& plan);
  static void promise_all(replica& r, const backend_memory& memory);
  uint64_t promised_bytes() const;
  device_promises promised_on_devices() const;
  void set_engine(const engine_handles& e);
  static replica* best_of(entry& mine);
  engine_handles hand_out(replica& from, const caf::actor_addr& process);
  void process_left(const caf::actor_addr& process);
  void serve_waiters(entry& mine);
  void engine_refused(const engine_id& id, uint64_t load, const failure& why);
  void load_failed(const std::string& path, uint64_t load, const failure& why);
  void drop_engine(const engine_id& id);
  void drop(const std::string& path, const failure& why);
  static const char* state_of(const entry& e);
  static void fill(model_status& s, const entry& e);

  std::map<std::string, entry> entries_;
  /// A process, and the engine that it is counted at.
  struct place_of_user {
    engine_id engine;
    uint64_t instance;
  };
  std::map<caf::actor_addr, place_of_user> users_;
  uint64_t num_loads_ = 0, num_replicas_ = 0;
};

/// `detached`: whether files are read on a thread of their own (off only in tests).
models_actor::behavior_type models(models_actor::stateful_pointer<models_state> self,
                                   node_config config, bool detached);

}  // namespace llmos
