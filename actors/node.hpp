#pragma once

#include <memory>

#include <caf/actor_system.hpp>

#include "actors/protocol.hpp"
#include "runtime/base/result.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/schedule/engine_plan.hpp"

namespace llmos {

/// What tests replace, and what not every node needs.
struct node_hooks {
  backend_factory make_backend;  ///< Empty: `llmos::make_backend`.
  bool has_ports = false;        ///< serve() will be called.
};

/// Where a node listens; 0: not at all.
struct node_ports {
  uint16_t remote = 0, http = 0;
};

/// A running system: actor system, supervisor and rooms. The one object that boot code holds.
///
/// Gateways are actors of their own that the caller spawns in `system()` and gives `kernel()`;
/// they must have ended (or hold no handle of ours) before `stop`.
class node {
public:
  /// Validates the configuration and starts every room; models load when first asked for.
  /// Errors: invalid_argument naming the key.
  static result<std::unique_ptr<node>> start(const node_config& config, node_hooks hooks = {});

  /// Cancels what still runs, stops every room and waits for it.
  ~node();

  /// Opens the ports that are enabled. REQUIRES: has_ports, called once. Errors: io_error,
  /// bad_file, not_found naming a port or a file of the identity.
  result<node_ports> serve();

  /// Goes on with another configuration: what is of ports and threads stays as it was, what is of
  /// engines holds for models that are loaded from now on; API keys are read again. Returns the
  /// keys that changed and need a restart. Errors: those of validate and of the file of API keys;
  /// nothing changes then.
  result<std::vector<std::string>> reload(const node_config& config);

  caf::actor_system& system();
  const node_config& config() const;

  /// The kernel of this moment (a restart brings another one).
  kernel_actor kernel();

  /// How a node ends: refuses new work, then waits for what runs (at most kernel.drain_ms) or
  /// cancels it, then stops every room. Called twice, the second call does nothing.
  enum class stop_mode { drain, cancel };
  void stop(stop_mode mode);

private:
  struct impl;
  explicit node(std::unique_ptr<impl> x);
  std::unique_ptr<impl> impl_;
};

}  // namespace llmos
