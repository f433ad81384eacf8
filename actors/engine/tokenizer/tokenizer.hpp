#pragma once

#include <caf/stateful_actor.hpp>
#include <string>

#include "actors/protocol.hpp"

namespace llmos {

/// TOKENIZER's state: the model whose vocabulary and template it speaks.
struct tokenizer_state {
  static inline constexpr const char* name = "tokenizer";

  tokenizer_state() = default;

  caf::result<encoded_ptr> encode(const generate_request& request);

  loaded_model_ptr model;
  uint32_t context = 0;
  uint64_t num_requests = 0;
  uint64_t num_tokens = 0;
};

/// Refuses prompts that cannot fit `context` tokens. Spawn it detached: a long prompt takes
/// milliseconds.
tokenizer_actor::behavior_type tokenizer_service(
    tokenizer_actor::stateful_pointer<tokenizer_state> self, loaded_model_ptr model,
    uint32_t context);

}  // namespace llmos
