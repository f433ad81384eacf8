#include "runtime/config/node_config.hpp"

#include <bit>
#include <cstdlib>

#include "runtime/base/home.hpp"
#include "runtime/config/keys.hpp"

namespace llmos {

result<node_config> load_node_config(const std::string& path) {
  LLMOS_TRY(const std::string text, read_yaml_file(path, "check that it is the right file"));
  LLMOS_TRY(const yaml_node root, parse_yaml(text, path));
  node_config config;
  LLMOS_TRY_VOID(assign_map(keys_of(config), root, "", path));
  return config;
}

result<void> set_config_key(node_config& config, const std::string& assignment) {
  const auto equals = assignment.find('=');
  if (equals == assignment.npos) {
    return failure{ec::invalid_argument, quote_short(assignment) + " is no key=value",
                   "write for example engine.threads=2"};
  }
  auto key = find_key(keys_of(config), assignment.substr(0, equals));
  if (!key) return failure{ec::invalid_argument, key.error().text, key.error().hint};
  return assign_text(*key, std::string_view{assignment}.substr(equals + 1));
}

result<void> validate(const node_config& config) {
  const auto& e = config.engine;
  if (e.max_running > e.step_tokens) {
    return failure{
        ec::invalid_argument,
        "engine.max_running is " + std::to_string(e.max_running) +
            ", but a step has room for engine.step_tokens = " + std::to_string(e.step_tokens),
        "lower engine.max_running or raise engine.step_tokens"};
  }
  if (!std::has_single_bit(e.block_tokens)) {
    return failure{
        ec::invalid_argument,
        "engine.block_tokens is " + std::to_string(e.block_tokens) + ", which is no power of two",
        "set engine.block_tokens to 16, 32, 64, 128 or 256"};
  }
  if (e.context != 0 && e.context < e.block_tokens) {
    return failure{
        ec::invalid_argument,
        "engine.context is " + std::to_string(e.context) +
            ", less than one block: engine.block_tokens = " + std::to_string(e.block_tokens),
        "raise engine.context or lower engine.block_tokens"};
  }
  if (config.sampling.min_tokens > config.sampling.max_tokens) {
    return failure{
        ec::invalid_argument,
        "sampling.min_tokens is " + std::to_string(config.sampling.min_tokens) +
            ", more than sampling.max_tokens = " + std::to_string(config.sampling.max_tokens),
        "lower sampling.min_tokens or raise sampling.max_tokens"};
  }
  return {};
}

std::string models_folder(const node_config& config) {
  if (!config.models.folder.empty()) return expand_home(config.models.folder);
  const char* folder = std::getenv("LLMOS_MODELS");
  if (folder != nullptr && *folder != '\0') return folder;
  return home_folder() + "/.local/share/llmos/models";
}

}  // namespace llmos
