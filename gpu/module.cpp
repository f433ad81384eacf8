// The library `llmos-cuda.so`: what the program loads when a model shall run on "cuda".
#include "gpu/backend.hpp"
#include "gpu/device.hpp"
#include "runtime/backend/registry.hpp"

extern "C" {

__attribute__((visibility("default"))) const char* llmos_module_version() {
  return LLMOS_VERSION;
}

__attribute__((visibility("default"))) void llmos_module_add(llmos::backend_registry& to) {
  using namespace llmos;
  to.add({"cuda",
          [](uint32_t device, std::shared_ptr<const model> m, const backend_limits& limits) {
            return gpu::make_cuda_backend(static_cast<int>(device), std::move(m), limits);
          },
          [](uint32_t device, const model& m, const backend_limits& limits) {
            return gpu::memory_of_cuda_backend(static_cast<int>(device), m, limits);
          },
          [](uint32_t device) { return gpu::free_bytes(static_cast<int>(device)); },
          [](uint32_t device) { return gpu::read_speed(static_cast<int>(device)); },
          [] { return static_cast<uint32_t>(gpu::device_count()); }});
}

}  // extern "C"
