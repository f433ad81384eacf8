#pragma once

#include "gpu/device.hpp"

namespace llmos::gpu {

/// y[i] += a * x[i] for i < n, float32 in device memory, rounded once; y may be x. Runs on `s` and
/// does not wait.
result<void> axpy(float* y, const float* x, size_t n, float a, stream_handle s);

}  // namespace llmos::gpu
