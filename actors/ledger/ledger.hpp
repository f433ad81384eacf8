#pragma once

#include <caf/stateful_actor.hpp>
#include <chrono>
#include <map>
#include <string>

#include "actors/protocol.hpp"

namespace llmos {

/// LEDGER's state: who is unfinished, and where his tokens go. A new one is told by the processes.
struct ledger_state {
  static inline constexpr const char* name = "ledger";

  explicit ledger_state(ledger_actor::stateful_pointer<ledger_state> self) : self(self) {}

  void begin(const ledger_entry& e);
  void update(const process_info& info);
  void end(request_id id);
  void fan_out(const token_batch& batch);
  process_list list() const;
  /// A process died without saying `ended`: its client still gets one terminal message.
  void process_down(const caf::down_msg& down);

  ledger_actor::stateful_pointer<ledger_state> self;

private:
  struct entry {
    ledger_entry what;
    std::chrono::steady_clock::time_point since;
  };

  std::map<request_id, entry> entries_;
};

ledger_actor::behavior_type ledger(ledger_actor::stateful_pointer<ledger_state> self);

}  // namespace llmos
