#pragma once

#include "gpu/device.hpp"

struct cublasContext;

namespace llmos::gpu {

/// cuBLAS on the device in use. One per executor: a handle serves one thread and one stream at
/// once.
class blas {
public:
  static result<blas> create();
  blas(blas&& other) noexcept;
  blas& operator=(blas&& other) noexcept;
  ~blas();

  /// c[m, n] = a[m, k] · b[k, n], float32, row-major without gaps, in device memory; c overlaps
  /// neither input. Runs on `s` and does not wait. REQUIRES: m, n, k > 0.
  result<void> sgemm(float* c, const float* a, const float* b, int m, int n, int k,
                     stream_handle s) const;

private:
  explicit blas(cublasContext* handle) : handle_(handle) {}
  cublasContext* handle_;
};

}  // namespace llmos::gpu
