#pragma once

#include <caf/stateful_actor.hpp>
#include <string>

#include "actors/protocol.hpp"
#include "runtime/kv/kv_manager.hpp"

namespace llmos {

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
  std::string model;

private:
  void drop(const std::vector<block_id>& blocks);
  void report();
};

/// `model`: its name in reports. `salt`: what makes cached blocks of this engine incomparable with
/// others (model, numerics).
memory_actor::behavior_type memory_manager(memory_actor::stateful_pointer<memory_state> self,
                                           std::string model, uint32_t num_blocks,
                                           uint32_t block_tokens, std::string salt);

}  // namespace llmos
