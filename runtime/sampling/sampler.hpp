#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "runtime/base/types.hpp"
#include "runtime/sampling/params.hpp"

namespace llmos {

/// One uniform in [0, 1): Philox4x32-10 with key = seed and counter = (token index, choice).
/// 24 bits of resolution; the same on every machine.
float philox_uniform(uint64_t seed, uint64_t token_index, uint32_t choice);

struct token_logprob {
  token_id id = 0;
  float logprob = 0;
  friend bool operator==(const token_logprob&, const token_logprob&) = default;
};

struct sampled_token {
  token_id id = 0;
  float logprob = 0;                      ///< Of the unmodified distribution; 0 unless asked for.
  std::vector<token_logprob> top;         ///< [top_logprobs], most likely first.
};

/// Chooses tokens for one request. Stateless between tokens except for scratch: everything that
/// decides comes from the arguments, so a preempted or replayed request chooses the same tokens.
class sampler {
public:
  /// `end_tokens`: ids masked by min_tokens and ignore_eos. REQUIRES: validate(p) passed, p.seed set.
  sampler(sampling_params p, std::span<const token_id> end_tokens, uint32_t n_vocab);

  /// logits: [n_vocab]. history: prompt and output tokens so far. index: number of this
  /// request's generated tokens before this one. Candidates are ordered by (logit, id).
  sampled_token sample(std::span<const float> logits, std::span<const token_id> history,
                       uint32_t index);

  const sampling_params& params() const { return params_; }

private:
  struct candidate { float logit; token_id id; };
  sampling_params params_;
  std::vector<token_id> end_tokens_;
  uint32_t n_vocab_;
  std::vector<float> work_;
  std::vector<candidate> candidates_;
};

}  // namespace llmos
