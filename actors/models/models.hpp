#pragma once

#include <caf/stateful_actor.hpp>
#include <map>
#include <string>
#include <vector>

#include "actors/protocol.hpp"

namespace llmos {

/// MODELS' state: what is on disk, what is loading, which engines run. Keyed by canonical path, so
/// that two names of one file are one engine.
struct models_state {
  static inline constexpr const char* name = "models";

  explicit models_state(models_actor::stateful_pointer<models_state> self) : self(self) {}

  caf::result<engine_handles> load(const std::string& model);
  caf::result<caf::ok_atom> unload(const std::string& model);
  model_list list() const;
  void engine_started(const engine_handles& e);
  /// A scheduler died: its engine is being started again; who asks meanwhile waits.
  void scheduler_down(const caf::down_msg& d);
  void loading_failed(const std::string& key, const failure& why);
  std::string status() const;

  models_actor::stateful_pointer<models_state> self;
  node_config config;
  bool detached = true;
  engine_host_actor host;

private:
  struct entry {
    enum class phase { loading, loaded, restarting } state = phase::loading;
    std::string name;
    engine_handles engine;
    std::vector<caf::typed_response_promise<engine_handles>> waiters;
  };

  void start_loading(const std::string& key);
  void start_engine(const std::string& key, const loaded_model_ptr& m, const engine_plan& plan);
  static void fill(model_status& s, const entry& e);

  std::map<std::string, entry> entries_;
};

/// `detached`: whether files are read on a thread of their own (off only in tests).
models_actor::behavior_type models(models_actor::stateful_pointer<models_state> self,
                                   node_config config, bool detached);

}  // namespace llmos
