#include "tools/llmos/model_tools.hpp"

#include <spdlog/spdlog.h>

#include "runtime/backend/placement.hpp"
#include "runtime/base/checked.hpp"
#include "runtime/config/model_path.hpp"
#include "runtime/schedule/memory_room.hpp"

namespace llmos {

result<std::shared_ptr<const gguf_file>> open_model_file(const node_config& config,
                                                         const std::string& model) {
  LLMOS_TRY(const model_file found, find_model_file(config, model));
  return gguf_file::open(found.path);
}

namespace {

result<std::unique_ptr<backend>> make_on(const std::string& device,
                                         std::shared_ptr<const model> weights,
                                         const backend_limits& limits, const memory_room& of_host) {
  LLMOS_TRY(const backend_memory need, memory_of_backend(device, *weights, limits));
  LLMOS_TRY(const memory_room room, room_of_backend(device, of_host));
  LLMOS_TRY_VOID(check_room(need, room));
  return make_backend(device, std::move(weights), limits);
}

}  // namespace

result<std::unique_ptr<backend>> make_solo_backend(const node_config& config,
                                                   std::shared_ptr<const model> weights,
                                                   const std::string& backend_name,
                                                   uint32_t num_tokens, uint32_t max_logits) {
  backend_limits limits;
  LLMOS_TRY(limits.kv, kv_type_named(config.engine.kv_type));
  limits.max_rows = config.engine.step_tokens;
  limits.max_logits = max_logits;
  limits.max_seqs = 1;
  limits.max_context = num_tokens;
  limits.block_tokens = config.engine.block_tokens;
  limits.num_blocks = ceil_div(num_tokens, config.engine.block_tokens);
  limits.num_threads = config.engine.threads;
  const memory_room of_host = measure_room(config.kernel.memory_limit_bytes);
  std::string note;
  auto made = with_first_of(
      devices_meant(backends_listed(backend_name).front(), *weights, limits), note,
      [&](const std::string& device) { return make_on(device, weights, limits, of_host); });
  if (!note.empty()) spdlog::warn("{}", note);
  return made;
}

result<void> check_context(const model& weights, uint64_t num_tokens, const std::string& mend) {
  if (num_tokens <= weights.hp.n_ctx_train) return {};
  return failure{ec::over_context,
                 std::to_string(num_tokens) + " tokens, but the model's context is " +
                     std::to_string(weights.hp.n_ctx_train),
                 mend};
}

}  // namespace llmos
