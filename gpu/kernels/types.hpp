#pragma once

struct __nv_bfloat16;
struct __half;

namespace llmos::gpu {

/// 16-bit floats as CUDA names them, for headers that do not include it.
using bf16 = __nv_bfloat16;
using f16 = __half;

}  // namespace llmos::gpu
