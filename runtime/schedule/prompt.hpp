#pragma once

#include <chrono>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/schedule/engine_plan.hpp"
#include "runtime/schedule/request.hpp"

namespace llmos {

/// A request's prompt as token ids.
///
/// Chat messages go through the model's template and are encoded with special tokens recognised;
/// BOS is added when the vocabulary wants it and the template did not write it. A raw prompt is
/// encoded the same way without a template. A text that cannot fit `context` tokens is not encoded
/// at all. Errors: invalid_argument (neither or both given, the model has no chat template, the
/// template refuses the messages, nothing left to compute), over_context.
result<std::vector<token_id>> encode_prompt(const loaded_model& m, const generate_request& request,
                                            std::chrono::sys_seconds now, uint32_t context);

/// The sequence an engine with room for `context` tokens shall generate for a request. A max_tokens
/// that the request did not ask for shrinks to that room, but not below min_tokens. `seed`: used
/// when the request has none. Errors: invalid_argument (sampling_params against this vocabulary),
/// over_context (the prompt leaves no room for a token).
result<spec_ptr> make_spec(const loaded_model& m, const generate_request& request, request_id id,
                           std::vector<token_id> prompt, uint64_t seed, uint32_t context);

}  // namespace llmos
