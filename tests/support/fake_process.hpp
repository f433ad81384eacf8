#pragma once

#include <caf/stateful_actor.hpp>
#include <string>
#include <vector>

#include "actors/protocol.hpp"

namespace llmos::test {

/// What a process was told, in order.
struct process_log {
  std::vector<token_event> tokens;
  int cancels = 0;
  std::vector<failure> failures;
};

struct fake_process_state {
  fake_process_state() = default;
  static inline constexpr const char* name = "fake-process";
};

/// Writes everything into `log`, which must outlive it.
inline process_actor::behavior_type fake_process(
    process_actor::stateful_pointer<fake_process_state>, process_log* log) {
  return {
      [](atom::wire, const core_wiring&) {},
      [log](atom::token, const token_event& e) { log->tokens.push_back(e); },
      [log](atom::cancel) { ++log->cancels; },
      [log](atom::failed, const failure& why) { log->failures.push_back(why); },
      [](atom::status) { return std::string{}; },
  };
}

}  // namespace llmos::test
