#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/base/types.hpp"

namespace llmos {

/// How one request's tokens are chosen and when it ends. Names are the field's; defaults are
/// llama.cpp's where it has one. `validate` holds the allowed ranges.
struct sampling_params {
  float temperature = 0.8f;         ///< 0 = greedy; else divides the logits. [0, 100]
  int32_t top_k = 40;               ///< Keep the k most likely; 0 = off. [0, 2^31)
  float top_p = 0.95f;              ///< Keep the smallest set with this mass; 1 = off. (0, 1]
  float min_p = 0.05f;              ///< Keep tokens with p >= min_p · p_max; 0 = off. [0, 1]
  float typical_p = 1.0f;           ///< Locally typical sampling mass; 1 = off. (0, 1]
  float repetition_penalty = 1.0f;  ///< Divides positive, multiplies negative logits. (0, 10]
  float frequency_penalty = 0.0f;   ///< Subtracted per occurrence. [-2, 2]
  float presence_penalty = 0.0f;    ///< Subtracted once if present. [-2, 2]
  int32_t penalty_window =
      64;  ///< Last tokens (prompt and output) that penalties see; -1 = all, 0 = off.
  std::map<token_id, float> logit_bias;  ///< Added to logits. Values in [-100, 100]
  std::optional<uint64_t> seed;          ///< Drawn at admission when absent.
  std::vector<std::string>
      stop;  ///< Strings that end the text; not part of the output. <= 16, 1..256 bytes
  std::vector<token_id> stop_token_ids;  ///< <= 64
  uint32_t max_tokens = 512;             ///< New tokens at most; 0 = only evaluate the prompt.
  /// The request itself says max_tokens: it must fit the context. A default shrinks to it.
  bool max_tokens_asked = false;
  uint32_t min_tokens = 0;  ///< End tokens are masked before this many new tokens.
  bool ignore_eos = false;  ///< End-of-generation tokens are masked for good.
  bool logprobs =
      false;  ///< Report the chosen token's log-probability (before penalties and cuts).
  uint32_t top_logprobs = 0;  ///< Alternatives reported with each token. [0, 20]

  friend bool operator==(const sampling_params&, const sampling_params&) = default;
};

/// Refuses NaN, infinities and anything out of range. Errors: invalid_argument naming the field,
/// the value and the range.
result<void> validate(const sampling_params& p, uint32_t n_vocab);

}  // namespace llmos
