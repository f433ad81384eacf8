#include "runtime/backend/backend.hpp"

#include <utility>

#include "runtime/backend/cpu/cpu_backend.hpp"
#include "runtime/backend/reference/reference_backend.hpp"
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

failure unknown_backend(std::string_view name) {
  std::string known = "auto";
  for (const std::string& x : backend_names()) known += ", " + x;
  return {ec::not_found, "no backend is called '" + std::string(name) + "'", "known are " + known};
}

}  // namespace

uint64_t backend_memory::total() const {
  const auto some = checked_add(weight_bytes, kv_bytes);
  const auto all = some ? checked_add(*some, scratch_bytes) : std::nullopt;
  return all.value_or(UINT64_MAX);
}

result<std::unique_ptr<backend>> make_backend(std::string_view name, std::shared_ptr<const model> m,
                                              const backend_limits& limits) {
  LLMOS_CHECK(m != nullptr);
  LLMOS_TRY_VOID(validate_limits(limits));
  if (name == "cpu" || name == "auto") return make_cpu_backend(std::move(m), limits);
  if (name == "reference") return make_reference_backend(std::move(m), limits);
  return unknown_backend(name);
}

result<backend_memory> memory_of_backend(std::string_view name, const model& m,
                                         const backend_limits& limits) {
  LLMOS_TRY_VOID(validate_limits(limits));
  if (name == "cpu" || name == "auto") return memory_of_cpu_backend(m, limits);
  if (name == "reference") return memory_of_reference_backend(m, limits);
  return unknown_backend(name);
}

std::vector<std::string> backend_names() {
  return {"cpu", "reference"};
}

}  // namespace llmos
