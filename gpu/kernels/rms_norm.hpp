#pragma once

#include "gpu/device.hpp"
#include "gpu/kernels/types.hpp"

namespace llmos::gpu {

/// out[i] = x[rows[i]] / rms(x[rows[i]]) · weight, rounded to bf16. x: [·, width] float32, weight:
/// [width] float32, out: [n_rows, out_stride], of which `width` values are written. rows: [n_rows]
/// on the device, or nullptr for 0, 1, 2, …
result<void> rms_norm(bf16* out, uint32_t out_stride, const float* x, const float* weight,
                      const uint32_t* rows, uint32_t n_rows, uint32_t width, float eps,
                      stream_handle s);

}  // namespace llmos::gpu
