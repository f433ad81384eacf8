#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/error.hpp"
#include "runtime/schedule/request.hpp"

namespace llmos {

/// All that came back for one request.
struct outcome {
  std::string text;
  std::vector<sampled_token> tokens;    ///< When log-probabilities were asked for.
  std::optional<generation_done> done;  ///< Unset: it failed.
  failure error;                        ///< When it failed.
};

/// {prompt_tokens, cached_tokens, completion_tokens, total_tokens, first_token_ms, total_ms,
/// decode_tokens_per_s}
nlohmann::ordered_json to_json(const generation_usage& x);

/// {code, text, hint}
nlohmann::ordered_json to_json(const failure& x);

/// [{id, logprob, top: [{id, logprob}]}], an entry per token.
nlohmann::ordered_json logprobs_json(const std::vector<sampled_token>& tokens);

/// JSON on one line; bytes that are no UTF-8 become U+FFFD.
std::string to_line(const nlohmann::ordered_json& x);

}  // namespace llmos
