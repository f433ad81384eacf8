#include "gpu/device.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "gpu/error.hpp"

namespace llmos::gpu {

void give_back::operator()(CUevent_st* x) const {
  cudaEventDestroy(x);
}
void give_back::operator()(CUstream_st* x) const {
  cudaStreamDestroy(x);
}
void give_back::operator()(CUgraphExec_st* x) const {
  cudaGraphExecDestroy(x);
}
void free_device::operator()(void* x) const {
  cudaFree(x);
}
void free_pinned::operator()(void* x) const {
  cudaFreeHost(x);
}

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

result<device_info> describe(int device) {
  cudaDeviceProp p;
  LLMOS_CUDA(cudaGetDeviceProperties(&p, device));
  return device_info{p.name, std::to_string(p.major) + "." + std::to_string(p.minor),
                     p.totalGlobalMem, static_cast<uint32_t>(p.multiProcessorCount)};
}

result<void> use(int device) {
  LLMOS_CUDA(cudaSetDevice(device));
  return {};
}

result<uint64_t> free_bytes(int device) {
  LLMOS_TRY_VOID(use(device));
  size_t free = 0, total = 0;
  LLMOS_CUDA(cudaMemGetInfo(&free, &total));
  return uint64_t{free};
}

result<stream> stream::create() {
  cudaStream_t handle = nullptr;
  LLMOS_CUDA(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking));
  return stream{handle};
}

result<void> stream::synchronize() const {
  LLMOS_CUDA(cudaStreamSynchronize(handle()));
  return {};
}

result<event> event::create() {
  cudaEvent_t handle = nullptr;
  LLMOS_CUDA(cudaEventCreateWithFlags(&handle, cudaEventBlockingSync | cudaEventDisableTiming));
  return event{handle};
}

result<void> event::record(const stream& s) {
  LLMOS_CUDA(cudaEventRecord(handle_.get(), s.handle()));
  return {};
}

result<void> event::synchronize() const {
  LLMOS_CUDA(cudaEventSynchronize(handle_.get()));
  return {};
}

result<graph> graph::record(const stream& s, const std::function<result<void>()>& work) {
  LLMOS_CUDA(cudaStreamBeginCapture(s.handle(), cudaStreamCaptureModeThreadLocal));
  auto done = work();
  cudaGraph_t recorded = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(s.handle(), &recorded);
  if (!done) {
    if (recorded != nullptr) cudaGraphDestroy(recorded);
    return std::move(done).error();
  }
  LLMOS_CUDA(ended);
  cudaGraphExec_t handle = nullptr;
  const cudaError_t made = cudaGraphInstantiate(&handle, recorded, 0);
  cudaGraphDestroy(recorded);
  LLMOS_CUDA(made);
  return graph{handle};
}

result<void> graph::launch(stream_handle s) const {
  LLMOS_CUDA(cudaGraphLaunch(handle_.get(), s));
  return {};
}

namespace {

/// Says how many bytes were asked for.
failure cannot_allocate(cudaError_t status, const char* call, size_t size_bytes, int line) {
  failure why = to_failure(status, call, __FILE__, line);
  why.text += " (asked for " + std::to_string(size_bytes) + " bytes)";
  return why;
}

}  // namespace

result<buffer> buffer::create(size_t size_bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, size_bytes);
  if (status == cudaSuccess) return buffer{data, size_bytes};
  return cannot_allocate(status, "cudaMalloc", size_bytes, __LINE__);
}

result<void> buffer::copy_from_host(size_t at, const void* host, size_t n_bytes, stream_handle s) {
  LLMOS_CHECK(at <= size_bytes_ && n_bytes <= size_bytes_ - at);
  if (n_bytes == 0) return {};
  LLMOS_CUDA(cudaMemcpyAsync(data<std::byte>() + at, host, n_bytes, cudaMemcpyHostToDevice, s));
  return {};
}

result<void> buffer::copy_to_host(size_t at, void* host, size_t n_bytes, stream_handle s) const {
  LLMOS_CHECK(at <= size_bytes_ && n_bytes <= size_bytes_ - at);
  if (n_bytes == 0) return {};
  LLMOS_CUDA(cudaMemcpyAsync(host, data<std::byte>() + at, n_bytes, cudaMemcpyDeviceToHost, s));
  return {};
}

result<void> buffer::copy_within(size_t to, size_t from, size_t n_bytes, stream_handle s) {
  LLMOS_CHECK(to <= size_bytes_ && n_bytes <= size_bytes_ - to);
  LLMOS_CHECK(from <= size_bytes_ && n_bytes <= size_bytes_ - from);
  LLMOS_CUDA(cudaMemcpyAsync(data<std::byte>() + to, data<std::byte>() + from, n_bytes,
                             cudaMemcpyDeviceToDevice, s));
  return {};
}

result<void> buffer::clear(stream_handle s) {
  LLMOS_CUDA(cudaMemsetAsync(data_.get(), 0, size_bytes_, s));
  return {};
}

result<pinned> pinned::create(size_t size_bytes) {
  void* data = nullptr;
  if (size_bytes == 0) return pinned{data};
  const cudaError_t status = cudaMallocHost(&data, size_bytes);
  if (status == cudaSuccess) return pinned{data};
  return cannot_allocate(status, "cudaMallocHost", size_bytes, __LINE__);
}

result<double> read_speed(int device) {
  constexpr size_t n_bytes = size_t{128} << 20;
  LLMOS_TRY_VOID(use(device));
  LLMOS_TRY(const stream s, stream::create());
  LLMOS_TRY(buffer both, buffer::create(2 * n_bytes));
  double best = 0;
  for (int copy = 0; copy < 4; ++copy) {
    const auto start = std::chrono::steady_clock::now();
    LLMOS_TRY_VOID(both.copy_within(n_bytes, 0, n_bytes, s.handle()));
    LLMOS_TRY_VOID(s.synchronize());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    if (copy > 0) best = std::max(best, 2 * static_cast<double>(n_bytes) / took.count());
  }
  return best;  // the first copy warmed up
}

}  // namespace llmos::gpu
