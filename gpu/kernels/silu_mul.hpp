#pragma once

#include "gpu/device.hpp"
#include "gpu/kernels/types.hpp"

namespace llmos::gpu {

/// out[r][i] = silu(gate_up[r][i]) · gate_up[r][width + i], rounded to bf16. gate_up: [n_rows, 2 ·
/// width], out: [n_rows, out_stride].
result<void> silu_mul(bf16* out, uint32_t out_stride, const bf16* gate_up, uint32_t n_rows,
                      uint32_t width, stream_handle s);

}  // namespace llmos::gpu
