#pragma once

#include <span>
#include <vector>

#include "runtime/sampling/sampler.hpp"

namespace llmos::test {

/// What `sampler` promises, with a full sort before every filter and no state.
sampled_token naive_sample(const sampling_params& p, std::span<const token_id> end_tokens,
                           std::span<const float> logits, std::span<const token_id> history,
                           uint32_t index);

}  // namespace llmos::test
