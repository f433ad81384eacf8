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
                     p.totalGlobalMem};
}

result<void> use(int device) {
  LLMOS_CUDA(cudaSetDevice(device));
  return {};
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

result<buffer> buffer::create(size_t size_bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, size_bytes);
  if (status == cudaSuccess) return buffer{data, size_bytes};
  failure why = to_failure(status, "cudaMalloc", __FILE__, __LINE__);
  why.text += " (asked for " + std::to_string(size_bytes) + " bytes)";
  return why;
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

result<void> buffer::copy_from_host(const void* host, size_t size_bytes, stream_handle s) {
  LLMOS_CHECK(size_bytes <= size_bytes_);
  LLMOS_CUDA(cudaMemcpyAsync(data_, host, size_bytes, cudaMemcpyHostToDevice, s));
  return {};
}

result<void> buffer::copy_to_host(void* host, size_t size_bytes, stream_handle s) const {
  LLMOS_CHECK(size_bytes <= size_bytes_);
  LLMOS_CUDA(cudaMemcpyAsync(host, data_, size_bytes, cudaMemcpyDeviceToHost, s));
  return {};
}

}  // namespace llmos::gpu
