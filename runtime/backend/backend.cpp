#include "runtime/backend/backend.hpp"

#include <utility>

#include "runtime/backend/registry.hpp"
#include "runtime/base/checked.hpp"

namespace llmos {

namespace {

result<void> validate_limits(const backend_limits& limits) {
  const std::pair<const char*, uint32_t> sizes[] = {
      {"max_rows", limits.max_rows},     {"max_logits", limits.max_logits},
      {"max_seqs", limits.max_seqs},     {"max_context", limits.max_context},
      {"num_blocks", limits.num_blocks}, {"block_tokens", limits.block_tokens},
  };
  for (const auto& [name, value] : sizes) {
    if (value != 0) continue;
    return failure{ec::invalid_argument, std::string("backend limit '") + name + "' is 0",
                   "set it to 1 or more"};
  }
  return {};
}

}  // namespace

uint64_t backend_memory::total() const {
  const auto some = checked_add(weight_bytes, kv_bytes);
  const auto all = some ? checked_add(*some, scratch_bytes) : std::nullopt;
  return all.value_or(UINT64_MAX);
}

result<std::span<const token_id>> backend::forward_and_choose(const step_batch&,
                                                              const step_choices&) {
  LLMOS_CHECK(!"a backend that chooses overrides this");
  return std::span<const token_id>{};
}

result<void> backend::begin(const step_batch&, const step_choices&) {
  LLMOS_CHECK(!"a backend that runs ahead overrides this");
  return {};
}

result<void> backend::move_blocks(std::span<const block_move>) {
  return failure{ec::unsupported, "the backend " + info().name + " has no blocks on the host", ""};
}

void backend::wait() {
  LLMOS_CHECK(!"a backend that runs ahead overrides this");
}

result<std::span<const token_id>> backend::finish() {
  LLMOS_CHECK(!"a backend that runs ahead overrides this");
  return std::span<const token_id>{};
}

result<std::unique_ptr<backend>> make_backend(std::string_view name, std::shared_ptr<const model> m,
                                              const backend_limits& limits) {
  LLMOS_CHECK(m != nullptr);
  LLMOS_TRY_VOID(validate_limits(limits));
  LLMOS_TRY(const auto found, backends().find(name));
  return found.kind->make(found.device, std::move(m), limits);
}

result<backend_memory> memory_of_backend(std::string_view name, const model& m,
                                         const backend_limits& limits) {
  LLMOS_TRY_VOID(validate_limits(limits));
  LLMOS_TRY(const auto found, backends().find(name));
  return found.kind->memory(found.device, m, limits);
}

result<std::optional<uint64_t>> device_room_of_backend(std::string_view name) {
  LLMOS_TRY(const auto found, backends().find(name));
  if (!found.kind->free_bytes) return std::optional<uint64_t>{};
  LLMOS_TRY(const uint64_t bytes, found.kind->free_bytes(found.device));
  return std::optional<uint64_t>{bytes};
}

std::vector<std::string> backend_names() {
  return backends().names();
}

}  // namespace llmos
