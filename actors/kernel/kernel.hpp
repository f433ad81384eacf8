#pragma once

#include <caf/stateful_actor.hpp>
#include <set>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/config/node_config.hpp"

namespace llmos {

/// KERNEL's state: the neighbours behind the syscalls and the processes it started.
struct kernel_state {
  static inline constexpr const char* name = "kernel";

  explicit kernel_state(kernel_actor::stateful_pointer<kernel_state> self) : self(self) {}

  caf::result<request_id> submit(const request_ptr& request, const client_actor& client);
  caf::result<caf::ok_atom> cancel(request_id id);
  caf::result<model_status> load(const std::string& model);
  caf::result<caf::ok_atom> drain(bool cancel_them);
  std::string status() const;

  kernel_actor::stateful_pointer<kernel_state> self;
  node_config config;
  kernel_wiring wiring;
  uint64_t next_id = 0;
  std::set<caf::actor_addr> live;
  bool draining = false;
};

/// `incarnation`: how many kernels this node had before; keeps request ids unique.
kernel_actor::behavior_type kernel(kernel_actor::stateful_pointer<kernel_state> self,
                                   node_config config, uint32_t incarnation);

}  // namespace llmos
