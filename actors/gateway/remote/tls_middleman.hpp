#pragma once

#include <caf/actor_system.hpp>
#include <caf/io/middleman_actor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "runtime/remote/frame_filter.hpp"
#include "runtime/remote/intake.hpp"
#include "runtime/security/peer_table.hpp"
#include "runtime/security/tls.hpp"

namespace llmos {

/// What a node's port needs to know. CAF's own TLS module tells nobody who the other side is,
/// trusts every CA that OpenSSL does when files are missing, and lets all frames through; this one
/// hides nothing and lets through what frame_filter admits.
struct tls_door {
  tls_context context;
  /// The name that the owner of a verified certificate has here; empty: not on the list.
  std::function<std::string(const tls_peer&)> principal_of;
  std::shared_ptr<peer_table> peers;
  std::shared_ptr<intake> waiting;  ///< For the receiver.
  frame_rules rules;                ///< Without `greeted` and `has_room`.
};

/// How a client connects.
struct tls_caller {
  tls_context context;
  std::string server_name;  ///< What the node's certificate must be for; empty: the host's name.
  /// Told why no connection came about, on the thread of the sockets.
  std::function<void(const failure&)> failed;
};

/// A middleman whose ports and connections speak TLS 1.3. It publishes behind the door, and
/// connects as the caller; either may be nullptr. Ends when it is sent an exit.
caf::io::middleman_actor make_tls_middleman(caf::actor_system& sys,
                                            std::shared_ptr<const tls_door> door,
                                            std::shared_ptr<const tls_caller> caller);

/// This node's id as CAF writes it (frame_rules::own_node).
std::string node_bytes(caf::actor_system& sys);

}  // namespace llmos
