#include "gpu/error.hpp"

namespace llmos::gpu {

namespace {

failure described(ec code, const char* what, const char* call, const char* file, int line,
                  std::string hint) {
  return {code, std::string{file} + ":" + std::to_string(line) + ": " + call + ": " + what,
          std::move(hint)};
}

}  // namespace

failure to_failure(cudaError_t status, const char* call, const char* file, int line) {
  const auto with = [&](ec code, std::string hint) {
    return described(code, cudaGetErrorString(status), call, file, line, std::move(hint));
  };
  // A status that is not sticky would otherwise be found again by the next cudaGetLastError().
  cudaGetLastError();
  switch (status) {
    case cudaErrorMemoryAllocation: return with(ec::out_of_memory, "give the pools fewer bytes");
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorInsufficientDriver: return with(ec::not_found, "nvidia-smi lists the devices");
    case cudaErrorNoKernelImageForDevice:
      return with(ec::unsupported, "build with -Dgpu_arch= this device's compute capability");
    default: return with(ec::internal, "");
  }
}

failure to_failure(cublasStatus_t status, const char* call, const char* file, int line) {
  const auto with = [&](ec code, std::string hint) {
    return described(code, cublasLtGetStatusString(status), call, file, line, std::move(hint));
  };
  switch (status) {
    case CUBLAS_STATUS_ALLOC_FAILED: return with(ec::out_of_memory, "give the pools fewer bytes");
    case CUBLAS_STATUS_ARCH_MISMATCH: return with(ec::unsupported, "this cuBLAS is too new for it");
    default: return with(ec::internal, "");
  }
}

}  // namespace llmos::gpu
