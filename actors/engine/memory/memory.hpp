#pragma once

#include <caf/stateful_actor.hpp>
#include <functional>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/kv/kv_manager.hpp"

namespace llmos {

struct memory_args {
  engine_label name;  ///< In reports.
  uint32_t num_blocks = 0;
  uint32_t block_tokens = 0;
  std::string salt;  ///< Makes cached blocks incomparable with other engines': model, numerics.
  uint32_t num_host_blocks = 0;
};

/// MEMORY's state: the block bookkeeping and whom to answer.
struct memory_state {
  static inline constexpr const char* name = "memory";

  explicit memory_state(memory_actor::stateful_pointer<memory_state> self) : self(self) {}

  void reserve(const reserve_request& r);
  void lease(uint32_t n);
  void release(const std::vector<block_id>& blocks);
  void seal(const seal_notice& s);
  std::string status() const;

  memory_actor::stateful_pointer<memory_state> self;
  std::unique_ptr<kv_manager> kv;
  memory_wiring wiring;
  engine_label name_in_reports;
  size_t num_moving = 0;  ///< Requests to the mover that are not answered.

private:
  void after_moves(std::function<void()> hand_out);
  void drop(const std::vector<block_id>& blocks);
  void report();
};

memory_actor::behavior_type memory_manager(memory_actor::stateful_pointer<memory_state> self,
                                           memory_args args);

}  // namespace llmos
