#pragma once

#include <caf/actor_system.hpp>
#include <memory>

#include "actors/node.hpp"
#include "tools/llmos/command_line.hpp"

namespace llmos {

/// Where a command's requests go: a node in this process, or, with --connect, one of another.
class host {
public:
  /// Errors: those of node::start and client::connect; invalid_argument (no HOST:PORT).
  static result<std::unique_ptr<host>> find(const node_config& config,
                                            const global_options& global);
  virtual ~host() = default;

  virtual caf::actor_system& system() = 0;
  virtual kernel_actor kernel() = 0;
  /// Gives up what still runs for this process.
  virtual void stop() = 0;
};

}  // namespace llmos
