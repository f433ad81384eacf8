#pragma once

// The part of the CUDA runtime that gpu/ uses, on the host (see machine.hpp). Named like the real
// header, so that gpu/ compiles unchanged: tests put this folder before the toolkit's.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#include "tests/support/cuda/machine.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::llmos::cuda_on_host::here().thread)
#define blockIdx (::llmos::cuda_on_host::here().block)
#define blockDim (::llmos::cuda_on_host::here().block_dim)
#define gridDim (::llmos::cuda_on_host::here().grid_dim)

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};

// ---- threads --------------------------------------------------------------------------------

inline void __syncthreads() {
  ::llmos::cuda_on_host::sync_block();
}
inline void __syncwarp(unsigned = 0xffffffffu) {
  ::llmos::cuda_on_host::sync_warp();
}

template <class T>
T llmos_lane_value(const T& mine, unsigned lane) {
  namespace host = ::llmos::cuda_on_host;
  const std::byte* all = host::exchange(&mine, sizeof mine);
  T out;
  std::memcpy(&out, all + lane * host::exchange_stride, sizeof out);
  return out;
}
inline unsigned llmos_lane() {
  return threadIdx.x % 32;  // blocks have one dimension, or a whole number of warps in x
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return llmos_lane_value(value, static_cast<unsigned>(lane) % 32);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return llmos_lane_value(value, llmos_lane() ^ static_cast<unsigned>(mask));
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned by) {
  const unsigned lane = llmos_lane();
  return llmos_lane_value(value, lane >= by ? lane - by : lane);
}

inline float __expf(float x) {
  return std::exp(x);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T atomicAdd(T* at, T value) {
  return std::exchange(*at, *at + value);
}

// ---- the runtime's calls --------------------------------------------------------------------

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209,
};
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();

struct CUevent_st;
struct CUstream_st;
struct CUgraph_st;
struct CUgraphExec_st;
using cudaEvent_t = CUevent_st*;
using cudaStream_t = CUstream_st*;
using cudaGraph_t = CUgraph_st*;
using cudaGraphExec_t = CUgraphExec_st*;

enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
constexpr unsigned cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventBlockingSync = 1, cudaEventDisableTiming = 2;

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  size_t sharedMemPerBlockOptin;
  int multiProcessorCount;
  int major, minor;
};

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);

cudaError_t cudaMalloc(void** out, size_t size);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMallocHost(void** out, size_t size);
cudaError_t cudaFreeHost(void* memory);

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* out);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph);

namespace llmos::cuda_on_host {
/// Appends work to a stream, or to the graph that it captures.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
/// Whether a kernel may have that much shared memory: more than 48 KiB only where it asked.
cudaError_t check_shared(const void* kernel, size_t shared_bytes);
cudaError_t allow_shared(const void* kernel, size_t shared_bytes);
}  // namespace llmos::cuda_on_host

template <class... Params>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Params...), cudaFuncAttribute, int value) {
  return ::llmos::cuda_on_host::allow_shared(reinterpret_cast<const void*>(kernel),
                                             static_cast<size_t>(value));
}

namespace llmos::cuda_on_host {

/// What `kernel<<<grid, block, shared_bytes, stream>>>(args...)` does.
template <class... Params, class... Args>
cudaError_t launch(void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, Args&&... args) {
  const size_t blocks = size_t{grid.x} * grid.y * grid.z;
  if (blocks == 0 || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidValue;
  const auto checked = check_shared(reinterpret_cast<const void*>(kernel), shared_bytes);
  if (checked != cudaSuccess) return checked;
  std::tuple<Params...> kept(std::forward<Args>(args)...);
  return enqueue(stream,
                 [=] { run_grid(grid, block, shared_bytes, [&] { std::apply(kernel, kept); }); });
}

}  // namespace llmos::cuda_on_host
