#include "runtime/schedule/engine_plan.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "runtime/backend/placement.hpp"
#include "runtime/base/checked.hpp"

namespace llmos {

namespace {

constexpr uint32_t context_max_by_default = 8192;
constexpr uint32_t context_min_by_default = 256;  ///< Memory shrinks it no further.
constexpr uint64_t contexts_by_default = 4;
/// Each takes a row of logits: 0.2 MB for a vocabulary of 50,000.
constexpr uint32_t max_step_drafts = 16;

result<std::shared_ptr<const chat_template>> read_chat_template(const gguf_file& file) {
  if (file.find("tokenizer.chat_template") == nullptr)
    return std::shared_ptr<const chat_template>{};
  LLMOS_TRY(auto source, file.get_string("tokenizer.chat_template"));
  LLMOS_TRY(auto parsed, chat_template::parse(std::string{source}));
  return std::make_shared<const chat_template>(std::move(parsed));
}

/// Context of one sequence, in tokens, where memory does not matter.
result<uint32_t> wanted_context(const model& m, const node_config& config) {
  const auto asked = config.engine.context;
  const auto trained = m.hp.n_ctx_train;
  if (asked > trained) {
    return failure{ec::invalid_argument,
                   "engine.context = " + std::to_string(asked) + " exceeds the model's " +
                       std::to_string(trained) + " tokens",
                   "set engine.context to at most " + std::to_string(trained)};
  }
  return asked != 0 ? asked : std::min(trained, context_max_by_default);
}

/// Blocks that memory allows: for one context, and for the pool where nobody asked for a size.
struct block_room {
  uint64_t for_context, for_pool;
};

/// A limit, or a device of its own, is granted to us whole; of what is free on the host a half is
/// the most, a quarter the usual.
block_room room_for_blocks(const node_config& config, const backend_memory& one_block,
                           const memory_room& room) {
  if (const auto asked = config.engine.kv_bytes; asked != 0) {
    return {asked / one_block.kv_bytes, asked / one_block.kv_bytes};
  }
  const uint64_t fixed = one_block.total() - one_block.kv_bytes;
  const uint64_t left = (room.bytes - std::min(room.bytes, fixed)) / one_block.kv_bytes;
  return room.is_ours() ? block_room{left, left} : block_room{left / 2, left / 4};
}

/// Why the context is shorter than it would be.
std::string shrunk_note(uint32_t wanted, uint32_t context, const node_config& config,
                        const memory_room& room) {
  const char* why = config.engine.kv_bytes != 0 ? "engine.kv_bytes"
                    : room.of_device            ? "the device's free memory"
                    : room.limit_bytes != 0     ? "the memory limit"
                                                : "free memory";
  return "the context is " + std::to_string(context) + " tokens instead of " +
         std::to_string(wanted) + ": " + why + " allows no more";
}

failure small_pool(uint32_t context, uint64_t needed, uint64_t kv_bytes) {
  return {ec::out_of_memory,
          "a context of " + std::to_string(context) + " tokens needs " + std::to_string(needed) +
              " bytes of KV memory, engine.kv_bytes is " + std::to_string(kv_bytes),
          "lower engine.context or raise engine.kv_bytes"};
}

/// Everything but the memory's sizes.
engine_plan sizes_of(const node_config& config) {
  const auto& e = config.engine;
  const uint32_t drafts = e.speculation == "off" ? 0 : max_step_drafts;
  engine_plan plan;
  plan.device = {.max_rows = e.step_tokens,
                 .max_logits = e.max_running + drafts,
                 .max_seqs = e.max_running,
                 .block_tokens = e.block_tokens,
                 .num_threads = e.threads};
  plan.schedule = {.max_step_tokens = e.step_tokens,
                   .max_prefill_chunk = e.prefill_chunk,
                   .max_running = e.max_running,
                   .max_waiting = e.max_waiting,
                   .block_tokens = e.block_tokens,
                   .max_step_drafts = drafts,
                   .max_stall_us = uint64_t{e.max_stall_ms} * 1000};
  return plan;
}

void set_memory(engine_plan& plan, uint32_t context, uint64_t blocks) {
  plan.device.max_context = plan.schedule.max_context = context;
  plan.device.num_blocks = plan.schedule.num_blocks =
      static_cast<uint32_t>(std::min<uint64_t>(blocks, std::numeric_limits<int32_t>::max()));
}

/// Blocks of the host for what a device has no room for.
result<void> add_host_blocks(engine_plan& plan, uint64_t swap_bytes,
                             const backend_memory& one_block, const memory_room& of_host) {
  constexpr uint64_t most = std::numeric_limits<int32_t>::max();
  const uint64_t n_blocks = std::min(swap_bytes / one_block.kv_bytes, most);
  plan.device.num_host_blocks = static_cast<uint32_t>(n_blocks);
  plan.memory.host_bytes = n_blocks * one_block.kv_bytes;
  if (plan.memory.host_bytes <= of_host.bytes) return {};
  return failure{ec::out_of_memory,
                 "engine.swap_bytes takes " + std::to_string(plan.memory.host_bytes >> 20) +
                     " MiB, " + std::to_string(of_host.bytes >> 20) + " MiB of the host are free",
                 "lower engine.swap_bytes"};
}

/// An engine on that backend. `plan` has the sizes that memory does not change, and the context
/// that is wanted.
result<engine_plan> plan_on(const std::string& backend, engine_plan plan, const model& m,
                            const node_config& config, const memory_room& of_host,
                            const device_promises& promised) {
  const auto& e = config.engine;
  LLMOS_TRY(const memory_room room, room_of_backend(backend, of_host, promised));
  const uint32_t wanted = plan.device.max_context;
  LLMOS_TRY(plan.backend, canonical_backend(backend));
  plan.on_device = room.of_device;
  LLMOS_TRY(const backend_memory one_block, memory_of_backend(backend, m, plan.device));
  const block_room left = room_for_blocks(config, one_block, room);

  const uint32_t least = e.context != 0 ? wanted : std::min(wanted, context_min_by_default);
  const auto context =
      static_cast<uint32_t>(std::clamp<uint64_t>(left.for_context * e.block_tokens, least, wanted));
  const uint64_t context_blocks = ceil_div(context, e.block_tokens);
  if (e.kv_bytes != 0 && context_blocks > left.for_pool) {
    return small_pool(context, context_blocks * one_block.kv_bytes, e.kv_bytes);
  }
  const uint64_t contexts = room.of_device ? e.max_running : contexts_by_default;
  const uint64_t most = e.kv_bytes != 0 ? left.for_pool : contexts * context_blocks;
  set_memory(plan, context, std::max(context_blocks, std::min(most, left.for_pool)));
  if (context < wanted) plan.note = shrunk_note(wanted, context, config, room);
  if (e.swap_bytes != 0 && !room.of_device) {
    plan.note += std::string(plan.note.empty() ? "" : "; ") +
                 "engine.swap_bytes is not used: KV memory is the host's";
  }

  plan.memory = one_block;
  plan.memory.kv_bytes = plan.device.num_blocks * one_block.kv_bytes;
  if (room.of_device) LLMOS_TRY_VOID(add_host_blocks(plan, e.swap_bytes, one_block, of_host));
  // What is free may become more: of a pool, one context must fit. A limit binds the whole pool.
  backend_memory need = plan.memory;
  if (!room.is_ours()) need.kv_bytes = context_blocks * one_block.kv_bytes;
  LLMOS_TRY_VOID(check_room(need, room));
  LLMOS_TRY_VOID(validate(plan.schedule));
  return plan;
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

result<engine_plan> plan_engine(const model& m, const node_config& config,
                                const memory_room& of_host, const device_promises& promised) {
  LLMOS_TRY(const uint32_t wanted, wanted_context(m, config));
  engine_plan sizes = sizes_of(config);
  LLMOS_TRY(sizes.device.kv, kv_type_named(config.engine.kv_type));
  set_memory(sizes, wanted, 1);
  std::string note;
  const auto devices = devices_meant(config.engine.backend, m, sizes.device);
  LLMOS_TRY(auto plan, with_first_of(devices, note, [&](const std::string& backend) {
              return plan_on(backend, sizes, m, config, of_host, promised);
            }));
  if (!note.empty()) plan.note = plan.note.empty() ? note : note + "; " + plan.note;
  return plan;
}

uint64_t of_host_memory(bool on_device, const backend_memory& x) {
  return on_device ? x.host_bytes : x.total();
}

result<std::vector<engine_plan>> plan_engines(const model& m, const node_config& config,
                                              const memory_room& of_host,
                                              const device_promises& promised) {
  const auto names = backends_listed(config.engine.backend);
  std::vector<engine_plan> out;
  memory_room left = of_host;
  node_config one = config;
  for (const std::string& name : names) {
    one.engine.backend = name;
    LLMOS_TRY(auto plan, plan_engine(m, one, left, promised));
    const bool again = std::any_of(out.begin(), out.end(),
                                   [&](const auto& p) { return p.backend == plan.backend; });
    if (again) {
      return failure{ec::invalid_argument, "engine.backend names " + plan.backend + " twice",
                     "name each device once"};
    }
    left.bytes -= std::min(left.bytes, of_host_memory(plan.on_device, plan.memory));
    if (names.size() > 1) {
      const auto seconds = pass_seconds(plan.backend, m, plan.device);
      plan.pass_seconds = seconds ? *seconds : 0;
    }
    out.push_back(std::move(plan));
  }
  return out;
}

}  // namespace llmos
