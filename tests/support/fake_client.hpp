#pragma once

#include <caf/stateful_actor.hpp>
#include <string>
#include <vector>

#include "actors/protocol.hpp"

namespace llmos::test {

/// What a client was told, in order.
struct client_log {
  std::string text;
  std::vector<sampled_token> tokens;
  std::vector<generation_done> dones;
  std::vector<failure> failures;
  size_t num_terminal() const { return dones.size() + failures.size(); }
};

struct fake_client_state {
  fake_client_state() = default;
  static inline constexpr const char* name = "fake-client";
};

/// Writes everything into `log`, which must outlive it.
inline client_actor::behavior_type fake_client(client_actor::stateful_pointer<fake_client_state>,
                                               client_log* log) {
  return {
      [log](atom::chunk, const text_chunk& c) {
        log->text += c.text;
        log->tokens.insert(log->tokens.end(), c.tokens.begin(), c.tokens.end());
      },
      [log](atom::done, const generation_done& d) { log->dones.push_back(d); },
      [log](atom::failed, request_id, const failure& f) { log->failures.push_back(f); },
  };
}

}  // namespace llmos::test
