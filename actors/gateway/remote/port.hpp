#pragma once

#include <atomic>
#include <caf/io/middleman_actor.hpp>
#include <caf/stateful_actor.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "actors/gateway/remote/gate.hpp"
#include "actors/gateway/remote/tls_middleman.hpp"

namespace llmos {

/// PORT. Keeps a gate published, and replaces it when it falls: whoever was connected connects
/// anew.
using port_actor = caf::typed_actor<
    // Opens the port; its number. Errors: io_error (it is taken), and others of the system.
    caf::replies_to<atom::open>::with<uint16_t>,
    // Its own alarm: looks for connections that said nothing.
    caf::reacts_to<atom::tick>>::extend_with<configured_actor>::extend_with<status_actor>;

/// What the boot code has made of the identity's files.
struct port_args {
  node_config config;
  supervisor_actor supervisor;
  tls_context context;
};

struct port_state {
  static inline constexpr const char* name = "port";

  explicit port_state(port_actor::stateful_pointer<port_state> self) : self(self) {}
  ~port_state();

  void start(const port_args& args);
  caf::result<uint16_t> open();
  void tick();
  /// Who is no longer on the list is cut off.
  void configure(const node_config& c);
  std::string status() const;

  port_actor::stateful_pointer<port_state> self;

private:
  void spawn_gate();
  void publish(uint16_t port, std::function<void(result<uint16_t>)> answer);
  void gate_fell();
  void publish_again();

  node_config config_;
  supervisor_actor supervisor_;
  using names = std::vector<std::string>;
  /// remote.clients, for the thread of the sockets.
  std::shared_ptr<std::atomic<std::shared_ptr<const names>>> listed_ =
      std::make_shared<std::atomic<std::shared_ptr<const names>>>();
  std::shared_ptr<peer_table> peers_ = std::make_shared<peer_table>(0);
  std::shared_ptr<intake> intake_;
  std::shared_ptr<std::atomic<uint64_t>> receiver_ = std::make_shared<std::atomic<uint64_t>>(0);
  caf::io::middleman_actor middleman_;
  gate_room_actor gate_;
  uint16_t port_ = 0;     ///< As it was opened.
  bool is_shut_ = false;  ///< It could not be opened again.
  uint32_t num_falls_ = 0;
};

port_actor::behavior_type port(port_actor::stateful_pointer<port_state> self,
                               const port_args& args);

/// The name that a client on the list has; empty for another one. `listed`: as remote.clients.
std::string listed_name(const std::vector<std::string>& listed, const tls_peer& peer);

/// False for a message of GATE's whose lists are longer than any client's: an empty text of a list
/// takes two bytes on the wire, and dozens in memory.
bool has_short_lists(std::string_view types, wire_reader values);

/// The messages that GATE takes from outside, as CAF spells their types.
std::set<std::string, std::less<>> gate_messages();

}  // namespace llmos
