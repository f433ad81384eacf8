#pragma once

#include <caf/stateful_actor.hpp>
#include <map>
#include <string>
#include <vector>

#include "actors/protocol.hpp"
#include "runtime/config/model_path.hpp"

namespace llmos {

/// MODELS' state: what is on disk, what is loading, which engines run. Keyed by canonical path, so
/// that two names of one file are one engine.
struct models_state {
  static inline constexpr const char* name = "models";

  explicit models_state(models_actor::stateful_pointer<models_state> self) : self(self) {}

  caf::result<engine_handles> load(const std::string& model);
  caf::result<caf::ok_atom> unload(const std::string& model);
  model_list list() const;
  /// The host tells of an engine that runs: to a new MODELS, or after it was started again.
  void engine_started(const engine_handles& e);
  /// A scheduler died: its engine is being started again; who asks meanwhile waits.
  void scheduler_down(const caf::down_msg& d);
  /// An engine fell too often. One of a device is started on the CPU; who waits for it gets that.
  void engine_failed(const std::string& key, const failure& why);
  std::string status() const;

  models_actor::stateful_pointer<models_state> self;
  node_config config;
  bool detached = true;
  engine_host_actor host;

private:
  struct entry {
    enum class phase { reading, starting, loaded, restarting } state = phase::reading;
    std::string name;
    engine_handles engine;
    std::vector<caf::typed_response_promise<engine_handles>> waiters;
    /// Which load this is: a file may be unloaded and loaded again before an older load answers.
    uint64_t load = 0;
    uint64_t promised_bytes = 0;  ///< Memory of the host that its engine may still take.
    loaded_model_ptr model;       ///< Of the last engine.
    bool on_device = false;       ///< That engine's memory is a device's.
  };

  result<model_file> find(const std::string& model) const;
  entry* find_load(const std::string& key, uint64_t load);
  void start_reading(const std::string& key);
  void start_engine(const std::string& key, uint64_t load, const loaded_model_ptr& m,
                    const std::string& backend);
  uint64_t promised_bytes() const;
  void set_engine(entry& mine, const engine_handles& e);
  void load_failed(const std::string& key, uint64_t load, const failure& why);
  void drop(const std::string& key, const failure& why);
  static void fill(model_status& s, const entry& e);

  std::map<std::string, entry> entries_;
  uint64_t num_loads_ = 0;
};

/// `detached`: whether files are read on a thread of their own (off only in tests).
models_actor::behavior_type models(models_actor::stateful_pointer<models_state> self,
                                   node_config config, bool detached);

}  // namespace llmos
