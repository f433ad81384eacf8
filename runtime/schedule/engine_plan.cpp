#include "runtime/schedule/engine_plan.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "runtime/base/checked.hpp"

namespace llmos {

namespace {

constexpr uint32_t context_max_by_default = 8192;
constexpr uint64_t contexts_by_default = 4;
/// Each takes a row of logits: 0.2 MB for a vocabulary of 50,000.
constexpr uint32_t max_step_drafts = 16;

std::string mib(uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

result<std::shared_ptr<const chat_template>> read_chat_template(const gguf_file& file) {
  if (file.find("tokenizer.chat_template") == nullptr)
    return std::shared_ptr<const chat_template>{};
  LLMOS_TRY(auto source, file.get_string("tokenizer.chat_template"));
  LLMOS_TRY(auto parsed, chat_template::parse(std::string{source}));
  return std::make_shared<const chat_template>(std::move(parsed));
}

/// Context of one sequence, in tokens: as configured, or as large as memory allows.
result<uint32_t> choose_context(const model& m, const node_config& config,
                                uint64_t pool_bytes_max) {
  const auto asked = config.engine.context;
  const auto trained = m.hp.n_ctx_train;
  if (asked > trained) {
    return failure{ec::invalid_argument,
                   "engine.context = " + std::to_string(asked) + " exceeds the model's " +
                       std::to_string(trained) + " tokens",
                   "set engine.context to at most " + std::to_string(trained)};
  }
  const auto per_token = need_of(m).kv_bytes_per_token;
  const auto fits = pool_bytes_max / per_token;
  const auto context = asked != 0 ? asked : std::min(trained, context_max_by_default);
  if (context <= fits) return context;
  if (asked == 0 && fits >= 256) return static_cast<uint32_t>(fits);
  return failure{ec::out_of_memory,
                 "a context of " + std::to_string(context) + " tokens needs " +
                     mib(context * per_token) + " of KV memory, " + mib(pool_bytes_max) +
                     " are available",
                 "lower engine.context or raise engine.kv_bytes"};
}

}  // namespace

result<loaded_model_ptr> load_model_file(const std::string& name, const std::string& path) {
  LLMOS_TRY(auto file, gguf_file::open(path));
  auto out = std::make_shared<loaded_model>();
  out->name = name;
  LLMOS_TRY(out->weights, load_model(file));
  LLMOS_TRY(out->vocabulary, make_tokenizer(*file));
  LLMOS_TRY(out->chat, read_chat_template(*file));
  if (out->vocabulary->size() > out->weights->hp.n_vocab) {
    return failure{ec::bad_file,
                   path + ": the vocabulary has " + std::to_string(out->vocabulary->size()) +
                       " tokens, the model " + std::to_string(out->weights->hp.n_vocab),
                   "get another copy of the file"};
  }
  return loaded_model_ptr{std::move(out)};
}

result<engine_plan> plan_engine(const model& m, const node_config& config, uint64_t free_bytes) {
  const auto& e = config.engine;
  const auto per_token = need_of(m).kv_bytes_per_token;
  const auto pool_bytes_max = e.kv_bytes != 0 ? e.kv_bytes : free_bytes / 2;
  LLMOS_TRY(const uint32_t context, choose_context(m, config, pool_bytes_max));
  const uint64_t block_bytes = per_token * e.block_tokens;
  const uint64_t context_blocks = ceil_div(context, e.block_tokens);
  uint64_t blocks = e.kv_bytes / block_bytes;
  if (e.kv_bytes == 0) {
    blocks = std::max(context_blocks,
                      std::min(contexts_by_default * context_blocks, free_bytes / 4 / block_bytes));
  }
  blocks = std::clamp<uint64_t>(blocks, context_blocks, std::numeric_limits<int32_t>::max());
  const uint32_t drafts = e.speculation == "off" ? 0 : max_step_drafts;
  engine_plan plan;
  plan.backend = e.backend;
  plan.device = {.max_rows = e.step_tokens,
                 .max_logits = e.max_running + drafts,
                 .max_seqs = e.max_running,
                 .max_context = context,
                 .num_blocks = static_cast<uint32_t>(blocks),
                 .block_tokens = e.block_tokens,
                 .num_threads = e.threads};
  plan.schedule = {.max_step_tokens = e.step_tokens,
                   .max_prefill_chunk = e.prefill_chunk,
                   .max_running = e.max_running,
                   .max_waiting = e.max_waiting,
                   .max_context = context,
                   .num_blocks = static_cast<uint32_t>(blocks),
                   .block_tokens = e.block_tokens,
                   .max_step_drafts = drafts,
                   .max_stall_us = uint64_t{e.max_stall_ms} * 1000};
  LLMOS_TRY_VOID(validate(plan.schedule));
  return plan;
}

}  // namespace llmos
