#include "gpu/gemm.hpp"

#include <cublasLt.h>

#include <utility>

#include "gpu/error.hpp"

namespace llmos::gpu {

namespace {

/// Destroys what cuBLASLt made.
struct destroyer {
  void operator()(cublasLtMatmulDesc_t x) const { cublasLtMatmulDescDestroy(x); }
  void operator()(cublasLtMatrixLayout_t x) const { cublasLtMatrixLayoutDestroy(x); }
  void operator()(cublasLtMatmulPreference_t x) const { cublasLtMatmulPreferenceDestroy(x); }
};
template <class Handle>
using owned = std::unique_ptr<std::remove_pointer_t<Handle>, destroyer>;

result<owned<cublasLtMatrixLayout_t>> make_layout(cudaDataType_t type, uint64_t rows, uint64_t cols,
                                                  int64_t stride) {
  cublasLtMatrixLayout_t out = nullptr;
  LLMOS_CUDA(cublasLtMatrixLayoutCreate(&out, type, rows, cols, stride));
  return owned<cublasLtMatrixLayout_t>(out);
}

}  // namespace

/// cuBLASLt counts by columns: what is out row by row here is outᵀ = w · xᵀ there, with the
/// transposed w first and x as it stands.
struct gemm::algorithm {
  owned<cublasLtMatmulDesc_t> product;
  owned<cublasLtMatrixLayout_t> w, x, out;
  cublasLtMatmulAlgo_t choice;
};

namespace {

result<owned<cublasLtMatmulDesc_t>> make_product() {
  cublasLtMatmulDesc_t out = nullptr;
  LLMOS_CUDA(cublasLtMatmulDescCreate(&out, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  owned<cublasLtMatmulDesc_t> product(out);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  LLMOS_CUDA(cublasLtMatmulDescSetAttribute(out, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                            sizeof transposed));
  return product;
}

}  // namespace

result<gemm> gemm::create() {
  LLMOS_TRY(buffer workspace, buffer::create(workspace_size));
  cublasLtHandle_t handle = nullptr;
  LLMOS_CUDA(cublasLtCreate(&handle));
  return gemm(handle, std::move(workspace));
}

gemm::gemm(cublasLtContext* handle, buffer workspace)
    : handle_(handle), workspace_(std::move(workspace)) {}

gemm::gemm(gemm&&) noexcept = default;
gemm& gemm::operator=(gemm&&) noexcept = default;
gemm::~gemm() = default;

void gemm::destroyer::operator()(cublasLtContext* x) const {
  cublasLtDestroy(x);
}

result<const gemm::algorithm*> gemm::algorithm_for(const product_args& a) {
  const shape key{a.n_rows, a.n, a.stride, a.output};
  if (const auto it = algorithms_.find(key); it != algorithms_.end()) return it->second.get();
  auto made = std::make_unique<algorithm>();
  LLMOS_TRY(made->product, make_product());
  const auto out_type = a.output == product_output::bf16 ? CUDA_R_16BF : CUDA_R_32F;
  LLMOS_TRY(made->w, make_layout(CUDA_R_16BF, a.stride, a.n, a.stride));
  LLMOS_TRY(made->x, make_layout(CUDA_R_16BF, a.stride, a.n_rows, a.stride));
  LLMOS_TRY(made->out, make_layout(out_type, a.n, a.n_rows, a.n));
  cublasLtMatmulPreference_t raw = nullptr;
  LLMOS_CUDA(cublasLtMatmulPreferenceCreate(&raw));
  const owned<cublasLtMatmulPreference_t> preference(raw);
  const size_t most = workspace_size;
  LLMOS_CUDA(cublasLtMatmulPreferenceSetAttribute(raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                  &most, sizeof most));
  cublasLtMatmulHeuristicResult_t best = {};
  int n_found = 0;
  LLMOS_CUDA(cublasLtMatmulAlgoGetHeuristic(handle_.get(), made->product.get(), made->w.get(),
                                            made->x.get(), made->out.get(), made->out.get(), raw, 1,
                                            &best, &n_found));
  if (n_found == 0) {
    return failure{ec::unsupported,
                   "cuBLASLt has no algorithm for " + std::to_string(a.n_rows) + " rows by " +
                       std::to_string(a.n) + " outputs of " + std::to_string(a.stride) + " inputs",
                   "use another cuBLAS"};
  }
  made->choice = best.algo;
  return algorithms_.emplace(key, std::move(made)).first->second.get();
}

result<void> gemm::multiply(const product_args& a, stream_handle s) {
  LLMOS_CHECK(a.n_rows > 0 && a.n > 0 && a.stride > 0);
  LLMOS_TRY(const algorithm* how, algorithm_for(a));
  const float one = 1.0f, kept = a.output == product_output::add_f32 ? 1.0f : 0.0f;
  LLMOS_CUDA(cublasLtMatmul(handle_.get(), how->product.get(), &one, a.w, how->w.get(), a.x,
                            how->x.get(), &kept, a.out, how->out.get(), a.out, how->out.get(),
                            &how->choice, workspace_.data<void>(), workspace_.size_bytes(), s));
  return {};
}

}  // namespace llmos::gpu
