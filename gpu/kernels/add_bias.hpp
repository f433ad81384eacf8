#pragma once

#include "gpu/device.hpp"

namespace llmos::gpu {

/// x[r][i] += bias[i]. x: [n_rows, width] float32.
result<void> add_bias(float* x, const float* bias, uint32_t n_rows, uint32_t width,
                      stream_handle s);

}  // namespace llmos::gpu
