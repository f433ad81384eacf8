#pragma once

#include <map>
#include <memory>

#include "gpu/device.hpp"
#include "gpu/kernels/multiply_few.hpp"

struct cublasLtContext;

namespace llmos::gpu {

/// Products through cuBLASLt on the device in use. One per executor: it owns the handle, the
/// workspace and, for each shape, the algorithm that cuBLASLt advised when the shape first came.
class gemm {
public:
  static result<gemm> create();
  gemm(gemm&&) noexcept;
  gemm& operator=(gemm&&) noexcept;
  ~gemm();

  /// The product for any number of rows. Runs on `s` and does not wait. Errors: unsupported
  /// (cuBLASLt has no algorithm for it), internal.
  result<void> multiply(const product_args& a, stream_handle s);

  static constexpr size_t workspace_size = size_t{32} << 20;  ///< NVIDIA's advice for Hopper.

private:
  struct shape {
    uint32_t n_rows, n, stride;
    product_output output;
    auto operator<=>(const shape&) const = default;
  };
  struct algorithm;

  gemm(cublasLtContext* handle, buffer workspace);
  result<const algorithm*> algorithm_for(const product_args& a);

  struct destroyer {
    void operator()(cublasLtContext* x) const;
  };
  std::unique_ptr<cublasLtContext, destroyer> handle_;
  buffer workspace_;
  std::map<shape, std::unique_ptr<algorithm>> algorithms_;
};

}  // namespace llmos::gpu
