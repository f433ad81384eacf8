#include "gpu/device.hpp"

#include <utility>

#include "gpu/error.hpp"

namespace llmos::gpu {

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

stream::stream(stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

stream& stream::operator=(stream&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

stream::~stream() {
  if (handle_ != nullptr) cudaStreamDestroy(handle_);
}

result<void> stream::synchronize() const {
  LLMOS_CUDA(cudaStreamSynchronize(handle_));
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

graph::graph(graph&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

graph& graph::operator=(graph&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

graph::~graph() {
  if (handle_ != nullptr) cudaGraphExecDestroy(handle_);
}

result<void> graph::launch(stream_handle s) const {
  LLMOS_CUDA(cudaGraphLaunch(handle_, s));
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

buffer::buffer(buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

buffer& buffer::operator=(buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

buffer::~buffer() {
  if (data_ != nullptr) cudaFree(data_);
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
  LLMOS_CUDA(cudaMemsetAsync(data_, 0, size_bytes_, s));
  return {};
}

result<pinned> pinned::create(size_t size_bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMallocHost(&data, size_bytes);
  if (status == cudaSuccess) return pinned{data};
  return cannot_allocate(status, "cudaMallocHost", size_bytes, __LINE__);
}

pinned::pinned(pinned&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}

pinned& pinned::operator=(pinned&& other) noexcept {
  std::swap(data_, other.data_);
  return *this;
}

pinned::~pinned() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

}  // namespace llmos::gpu
