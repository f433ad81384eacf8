#pragma once

#include <cstdint>
#include <span>

namespace llmos {

// Probabilities as the sampler computes with them. A token's weight is exp(logit - largest logit)
// in units of 2^-40, as an integer: sums of weights are exact, so they are the same in every order
// and on every machine, and a partial selection finds the same token as a full sort. What is less
// likely than 2^-40 of the most likely token has weight 0.

/// Above this the sum of all weights could leave 63 bits.
inline constexpr uint32_t max_sampling_vocab = 1u << 23;

/// Replaces each x (<= 0) by e^x with a relative error below 3e-7; what is below -87 counts as -87.
/// The same bits everywhere, which the C library does not promise.
void exp_nonpositive(std::span<float> x);

/// p (in [0, 1]) in units of 2^-40, rounded down.
inline uint64_t to_weight(float p) {
  // Through the signed type: one instruction instead of a branch.
  return static_cast<uint64_t>(static_cast<int64_t>(p * 0x1p40f));
}

/// fraction · total, rounded down. REQUIRES: fraction in [0, 1), so it is below total.
inline uint64_t share(float fraction, uint64_t total) {
  return static_cast<uint64_t>(static_cast<double>(fraction) * static_cast<double>(total));
}

/// The largest value; -infinity for none. REQUIRES: no NaN.
float max_of(std::span<const float> x);

}  // namespace llmos
