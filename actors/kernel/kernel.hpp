#pragma once

#include <caf/stateful_actor.hpp>
#include <map>
#include <string>
#include <vector>

#include "actors/protocol.hpp"
#include "runtime/config/node_config.hpp"

namespace llmos {

/// KERNEL's state: the neighbours behind the syscalls and the processes that live.
///
/// A process is in `live` from its start until it is down, over all kernels: a new kernel begins
/// with those that the supervisor knows.
struct kernel_state {
  static inline constexpr const char* name = "kernel";

  explicit kernel_state(kernel_actor::stateful_pointer<kernel_state> self) : self(self) {}

  caf::result<request_id> submit(const request_ptr& request, const client_actor& client);
  caf::result<caf::ok_atom> cancel(request_id id);
  caf::result<model_status> load(const std::string& model);
  caf::result<model_view> open(const std::string& model);
  caf::result<encoded_ptr> encode(const request_ptr& request);
  caf::result<caf::ok_atom> drain(bool cancel_them);
  void add(const process_handle& x);
  void process_down(const caf::actor_addr& process);
  node_health health() const;
  std::string status() const;

  kernel_actor::stateful_pointer<kernel_state> self;
  node_config config;
  core_wiring rooms;
  process_host_actor host;
  std::chrono::steady_clock::time_point node_started;
  uint64_t next_id = 0;
  std::map<request_id, process_actor> live;
  bool draining = false;

private:
  result<void> admits(const generate_request& request) const;

  std::map<caf::actor_addr, request_id> ids_;  ///< Of `live`.
  std::vector<caf::typed_response_promise<caf::ok_atom>> drains_;
};

/// `incarnation`: how many kernels this node had before; keeps request ids unique. `live`: their
/// processes.
kernel_actor::behavior_type kernel(kernel_actor::stateful_pointer<kernel_state> self,
                                   node_config config, uint32_t incarnation,
                                   const std::vector<process_handle>& live);

}  // namespace llmos
