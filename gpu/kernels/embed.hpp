#pragma once

#include "gpu/device.hpp"
#include "gpu/kernels/types.hpp"

namespace llmos::gpu {

/// out[i] = table[tokens[i]], where a token -1 - j means chosen[j]. table: [·, table_stride] of
/// which `width` values count, tokens: [n_rows] below the table's rows, out: [n_rows, width]
/// float32.
result<void> embed(float* out, const bf16* table, uint32_t table_stride, const int32_t* tokens,
                   const int32_t* chosen, uint32_t n_rows, uint32_t width, stream_handle s);

}  // namespace llmos::gpu
