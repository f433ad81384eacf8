#pragma once

#include <caf/stateful_actor.hpp>
#include <map>
#include <string>

#include "actors/client/session.hpp"
#include "actors/protocol.hpp"

namespace llmos::client {

/// REMOTE-KERNEL. The kernel of another process, for gateways of this one: what they say to a
/// kernel it says to a node through a session. Refused are, as unsupported, what no wire type has:
/// metrics, a model's insides.
struct remote_kernel_state {
  static inline constexpr const char* name = "remote-kernel";

  explicit remote_kernel_state(kernel_actor::stateful_pointer<remote_kernel_state> self)
      : self(self) {}

  caf::result<request_id> submit(const request_ptr& r, const client_actor& c);
  caf::result<caf::ok_atom> cancel(request_id id);

  kernel_actor::stateful_pointer<remote_kernel_state> self;
  session_actor session;
  uint64_t num_requests = 0;
  std::map<request_id, std::string> tickets;  ///< Of all that were submitted.
};

kernel_actor::behavior_type remote_kernel(kernel_actor::stateful_pointer<remote_kernel_state> self,
                                          session_actor session);

/// What a client of the library would ask for. A max_tokens that nobody asked for is the node's.
request to_client_request(const generate_request& x);

}  // namespace llmos::client
