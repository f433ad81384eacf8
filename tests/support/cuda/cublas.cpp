#include "tests/support/cuda/cublasLt.h"

#include "tests/support/cuda/cuda_bf16.h"

namespace {

/// A matrix as cuBLASLt sees it: element (i, j), transposed if asked.
struct matrix {
  const void* data;
  cublasLtMatrixLayoutOpaque_t layout;
  bool transposed;

  uint64_t rows() const { return transposed ? layout.columns : layout.rows; }
  uint64_t columns() const { return transposed ? layout.rows : layout.columns; }
  float at(uint64_t i, uint64_t j) const {
    if (transposed) std::swap(i, j);
    const uint64_t index = j * static_cast<uint64_t>(layout.stride) + i;
    if (layout.type == CUDA_R_32F) return static_cast<const float*>(data)[index];
    return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[index]);
  }
};

void multiply(float alpha, const matrix& a, const matrix& b, float beta, const matrix& c, void* d) {
  for (uint64_t j = 0; j < b.columns(); ++j) {
    for (uint64_t i = 0; i < a.rows(); ++i) {
      float sum = 0.0f;
      for (uint64_t k = 0; k < a.columns(); ++k) sum += a.at(i, k) * b.at(k, j);
      sum = alpha * sum + (beta == 0.0f ? 0.0f : beta * c.at(i, j));
      const uint64_t index = j * static_cast<uint64_t>(c.layout.stride) + i;
      if (c.layout.type == CUDA_R_32F) {
        static_cast<float*>(d)[index] = sum;
      } else {
        static_cast<__nv_bfloat16*>(d)[index] = __float2bfloat16_rn(sum);
      }
    }
  }
}

}  // namespace

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_INVALID_VALUE";
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* out) {
  *out = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* out, cublasComputeType_t,
                                        cudaDataType_t) {
  *out = new cublasLtMatmulDescOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t x,
                                              cublasLtMatmulDescAttributes_t which,
                                              const void* value, size_t size) {
  if (size != sizeof(cublasOperation_t)) return CUBLAS_STATUS_INVALID_VALUE;
  auto& operation = which == CUBLASLT_MATMUL_DESC_TRANSA ? x->a : x->b;
  std::memcpy(&operation, value, size);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t x) {
  delete x;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* out, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t stride) {
  if (stride < static_cast<int64_t>(rows)) return CUBLAS_STATUS_INVALID_VALUE;
  *out = new cublasLtMatrixLayoutOpaque_t{type, rows, columns, stride};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t x) {
  delete x;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* out) {
  *out = new cublasLtMatmulPreferenceOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t x,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void* value, size_t size) {
  if (size != sizeof x->workspace) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&x->workspace, value, size);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t x) {
  delete x;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t* out, int* n_found) {
  *out = {};
  *n_found = n_wanted > 0 ? 1 : 0;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t,
                              const cublasLtMatmulAlgo_t*, void*, size_t, cudaStream_t stream) {
  const matrix left{a, *a_layout, product->a == CUBLAS_OP_T};
  const matrix right{b, *b_layout, product->b == CUBLAS_OP_T};
  const matrix kept{c, *c_layout, false};
  if (left.columns() != right.rows() || left.rows() != kept.rows() ||
      right.columns() != kept.columns()) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  float by, keep;  // the host's scalars are read now
  std::memcpy(&by, alpha, sizeof by);
  std::memcpy(&keep, beta, sizeof keep);
  llmos::cuda_on_host::enqueue(stream, [=] { multiply(by, left, right, keep, kept, d); });
  return CUBLAS_STATUS_SUCCESS;
}
