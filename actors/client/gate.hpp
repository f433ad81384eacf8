#pragma once

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/io/middleman_actor.hpp>
#include <memory>
#include <utility>

#include "actors/wire.hpp"
#include "client.hpp"

/// For a service that uses CAF 0.17.6 itself: the node's gate as a typed actor handle in the
/// service's own actor system. What client.hpp does by itself the service does here: it
/// acknowledges events, and connects again after the gate's end.
namespace llmos::client {

/// Registers what crosses the wire. Before the system is made; it has to load caf::io::middleman.
void add_wire_types(caf::actor_system_config& config);

/// A connection and the gate at its other end.
class gate_link {
public:
  /// Connects, says hello, and waits for the answer. Of `o` all but heartbeat, silence and
  /// max_backoff is used: the first two are the actor system's own (middleman.heartbeat-interval,
  /// middleman.connection-timeout). Errors: those of client::connect.
  static result<std::unique_ptr<gate_link>> connect(caf::actor_system& sys, const options& o);
  /// REQUIRES: the actor system lives.
  ~gate_link();
  gate_link(const gate_link&) = delete;
  gate_link& operator=(const gate_link&) = delete;

  /// wire.hpp says what it takes. Events go to the actor that a submit comes from, which is a
  /// wire_client_actor. Monitor it: its end is the connection's.
  const gate_actor& gate() const { return gate_; }
  const wire::welcome& welcome() const { return welcome_; }

private:
  explicit gate_link(caf::io::middleman_actor middleman) : middleman_(std::move(middleman)) {}

  caf::io::middleman_actor middleman_;
  gate_actor gate_;
  wire::welcome welcome_;
};

/// What the gate's errors say.
failure failure_of(const caf::error& x);

}  // namespace llmos::client
