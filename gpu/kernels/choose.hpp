#pragma once

#include "gpu/device.hpp"
#include "runtime/sampling/token_choice.hpp"

namespace llmos::gpu {

/// tokens[i] = the token chosen from logits[i] by choices[i], as token_choice says. logits:
/// [n_rows, n_vocab] float32; all on the device.
result<void> choose(int32_t* tokens, float* logits, const token_choice* choices, uint32_t n_rows,
                    uint32_t n_vocab, stream_handle s);

}  // namespace llmos::gpu
