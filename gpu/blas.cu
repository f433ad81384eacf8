#include "gpu/blas.hpp"

#include <utility>

#include "gpu/error.hpp"

namespace llmos::gpu {

result<blas> blas::create() {
  cublasHandle_t handle = nullptr;
  LLMOS_CUDA(cublasCreate(&handle));
  return blas{handle};
}

blas::blas(blas&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

blas& blas::operator=(blas&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

blas::~blas() {
  if (handle_ != nullptr) cublasDestroy(handle_);
}

result<void> blas::sgemm(float* c, const float* a, const float* b, int m, int n, int k,
                         stream_handle s) const {
  LLMOS_CHECK(m > 0 && n > 0 && k > 0);
  const float one = 1.0f, zero = 0.0f;
  LLMOS_CUDA(cublasSetStream(handle_, s));
  // cuBLAS counts by columns: what is c row by row here is cᵀ = bᵀ · aᵀ there.
  LLMOS_CUDA(
      cublasSgemm(handle_, CUBLAS_OP_N, CUBLAS_OP_N, n, m, k, &one, b, n, a, k, &zero, c, n));
  return {};
}

}  // namespace llmos::gpu
