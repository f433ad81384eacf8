// A backend as others may write one: a shared library that the program finds by its name. It lies
// beside the test programs, so the suite that every backend has to pass runs it as well.
//
// It has the devices that $LLMOS_EXAMPLE_DEVICES counts, faster than any other: the first has 1 MiB
// of memory, the second 1 TiB.
#include <cstdlib>
#include <memory>
#include <utility>

#include "runtime/backend/reference/reference_backend.hpp"
#include "runtime/backend/registry.hpp"

namespace {

using namespace llmos;

class example_backend final : public backend {
public:
  explicit example_backend(std::unique_ptr<backend> inner)
      : inner_(std::move(inner)), info_(inner_->info()) {
    info_.name = "example";
  }

  const backend_info& info() const override { return info_; }
  const backend_limits& limits() const override { return inner_->limits(); }
  result<std::span<const float>> forward(const step_batch& batch) override {
    return inner_->forward(batch);
  }
  result<void> copy_blocks(std::span<const block_id> from, std::span<const block_id> to) override {
    return inner_->copy_blocks(from, to);
  }

private:
  std::unique_ptr<backend> inner_;
  backend_info info_;
};

result<std::unique_ptr<backend>> make(uint32_t device, std::shared_ptr<const model> m,
                                      const backend_limits& limits) {
  if (device > 1) {
    return failure{ec::not_found, "there is no example:" + std::to_string(device), "use example:0"};
  }
  LLMOS_TRY(auto inner, make_reference_backend(std::move(m), limits));
  return std::unique_ptr<backend>(std::make_unique<example_backend>(std::move(inner)));
}

result<backend_memory> memory(uint32_t, const model& m, const backend_limits& limits) {
  return memory_of_reference_backend(m, limits);
}

result<uint64_t> free_bytes(uint32_t device) {
  return device == 0 ? uint64_t{1} << 20 : uint64_t{1} << 40;
}

uint32_t num_devices() {
  const char* count = std::getenv("LLMOS_EXAMPLE_DEVICES");
  return count == nullptr ? 0 : static_cast<uint32_t>(std::atoi(count));
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) const char* llmos_module_version() {
  return LLMOS_VERSION;
}

__attribute__((visibility("default"))) void llmos_module_add(backend_registry& to) {
  to.add({"example", make, memory, free_bytes, [](uint32_t) { return result<double>(1e18); },
          num_devices});
}

}  // extern "C"
