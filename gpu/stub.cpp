// gpu/ in a build without CUDA: no device, and every way to get at one fails.
#include "gpu/blas.hpp"
#include "gpu/kernels/axpy.hpp"

namespace llmos::gpu {

namespace {

failure no_cuda() {
  return {ec::unsupported, "this program was built without CUDA",
          "build it with the CUDA toolkit 12 or newer and -Dcuda=enabled"};
}

}  // namespace

int device_count() {
  return 0;
}

result<device_info> describe(int) {
  return no_cuda();
}

result<void> use(int) {
  return no_cuda();
}

result<stream> stream::create() {
  return no_cuda();
}

stream::stream(stream&& other) noexcept : handle_(other.handle_) {}
stream& stream::operator=(stream&&) noexcept {
  return *this;
}
stream::~stream() = default;

result<void> stream::synchronize() const {
  return no_cuda();
}

result<buffer> buffer::create(size_t) {
  return no_cuda();
}

buffer::buffer(buffer&& other) noexcept : data_(other.data_), size_bytes_(other.size_bytes_) {}
buffer& buffer::operator=(buffer&&) noexcept {
  return *this;
}
buffer::~buffer() = default;

result<void> buffer::copy_from_host(const void*, size_t, stream_handle) {
  return no_cuda();
}

result<void> buffer::copy_to_host(void*, size_t, stream_handle) const {
  return no_cuda();
}

result<blas> blas::create() {
  return no_cuda();
}

blas::blas(blas&& other) noexcept : handle_(other.handle_) {}
blas& blas::operator=(blas&&) noexcept {
  return *this;
}
blas::~blas() = default;

result<void> blas::sgemm(float*, const float*, const float*, int, int, int, stream_handle) const {
  return no_cuda();
}

result<void> axpy(float*, const float*, size_t, float, stream_handle) {
  return no_cuda();
}

}  // namespace llmos::gpu
