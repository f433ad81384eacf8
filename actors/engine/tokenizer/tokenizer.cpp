#include "actors/engine/tokenizer/tokenizer.hpp"

#include <chrono>
#include <utility>

#include "actors/error.hpp"
#include "runtime/schedule/prompt.hpp"

namespace llmos {

caf::result<encoded_ptr> tokenizer_state::encode(const generate_request& request) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  auto tokens = encode_prompt(*model, request, now, context);
  if (!tokens) return to_error(tokens.error());
  ++num_requests;
  num_tokens += tokens->size();
  return std::make_shared<const token_vector>(std::move(*tokens));
}

tokenizer_actor::behavior_type tokenizer_service(
    tokenizer_actor::stateful_pointer<tokenizer_state> self, loaded_model_ptr model,
    uint32_t context) {
  self->state.model = std::move(model);
  self->state.context = context;
  return {
      [self](atom::encode, const request_ptr& r) { return self->state.encode(*r); },
      [self](atom::status) {
        return "requests=" + std::to_string(self->state.num_requests) +
               " tokens=" + std::to_string(self->state.num_tokens);
      },
  };
}

}  // namespace llmos
