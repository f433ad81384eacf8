#include <cstdio>
#include <nlohmann/json.hpp>

#include "runtime/gguf/inspect.hpp"
#include "runtime/model/model.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/model_tools.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

using json = nlohmann::ordered_json;

struct inspect_options {
  std::string model;
  bool as_json = false;
};

/// Memory that running the model takes, or why it cannot run here.
json needs_of(const result<std::shared_ptr<const model>>& loaded, kv_type kv) {
  if (!loaded) return {{"runs", false}, {"problem", loaded.error().text}};
  const auto need = need_of(**loaded, kv);
  const uint64_t context = (*loaded)->hp.n_ctx_train;
  return {{"runs", true},
          {"weights_bytes", need.weights_bytes},
          {"kv_type", name_of(kv)},
          {"kv_bytes_per_token", need.kv_bytes_per_token},
          {"context_tokens", context},
          {"full_context_bytes", need.weights_bytes + need.kv_bytes_per_token * context}};
}

std::string megabytes(uint64_t bytes) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return buffer;
}

std::string describe_needs(const result<std::shared_ptr<const model>>& loaded, kv_type kv) {
  if (!loaded) return "\nMemory\n  llmos cannot run it: " + loaded.error().text + "\n";
  const auto need = need_of(**loaded, kv);
  const uint64_t context = (*loaded)->hp.n_ctx_train;
  std::string out = "\nMemory\n  weights " + megabytes(need.weights_bytes);
  out += ", KV cache " + std::to_string(need.kv_bytes_per_token) + " bytes per token (" +
         std::string(name_of(kv)) + "), together " +
         megabytes(need.weights_bytes + need.kv_bytes_per_token * context);
  return out += " at the full context of " + std::to_string(context) + " tokens\n";
}

exit_code run(const inspect_options& options, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  LLMOS_CLI_TRY(const auto file, open_model_file(config, options.model));
  LLMOS_CLI_TRY(const kv_type kv, kv_type_named(config.engine.kv_type));
  const auto loaded = load_model(file);
  if (options.as_json) {
    json all = describe_json(*file);
    all["memory"] = needs_of(loaded, kv);
    LLMOS_CLI_TRY_VOID(write_out(all.dump(2, ' ', false, json::error_handler_t::replace) + "\n"));
  } else {
    LLMOS_CLI_TRY_VOID(write_out(describe(*file) + describe_needs(loaded, kv)));
  }
  return exit_code::ok;
}

}  // namespace

void add_inspect(command_line& line) {
  const auto define = [](CLI::App& app, inspect_options& o) {
    app.add_option("model", o.model, "A GGUF file or a model's name; default: the default model")
        ->type_name("FILE|NAME");
    app.add_flag("--json", o.as_json, "Print JSON for a program");
    app.footer(
        "Examples:\n"
        "  llmos inspect model.gguf\n"
        "  llmos inspect model.gguf --json | jq .memory");
  };
  add_command<inspect_options>(line, "inspect",
                               "Show a GGUF file: metadata, tensors, memory needed", define, run);
}

}  // namespace llmos
