#pragma once

#include "gpu/device.hpp"
#include "runtime/sampling/token_choice.hpp"

namespace llmos::gpu {

/// Adds biases to logits and takes penalties off them, as token_choice says and `sampler` does.
/// logits: [n_rows, n_vocab] float32; choices: [n_rows]; chosen: the tokens of the step before;
/// all on the device.
result<void> adjust(float* logits, const token_choice* choices, const token_adjustment* adjustments,
                    const int32_t* chosen, uint32_t n_rows, uint32_t n_vocab, stream_handle s);

}  // namespace llmos::gpu
