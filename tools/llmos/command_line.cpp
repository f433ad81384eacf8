#include "tools/llmos/command_line.hpp"

#include <cstdlib>
#include <filesystem>

#include "runtime/base/home.hpp"
#include "runtime/base/log.hpp"
#include "runtime/base/utf8.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

/// The configuration file that nobody had to name, or nothing.
std::string default_config_path() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
  };
  if (auto path = variable("LLMOS_CONFIG"); !path.empty()) return path;
  auto folder = variable("XDG_CONFIG_HOME");
  if (folder.empty()) folder = home_folder() + "/.config";
  const auto path = folder + "/llmos/node.yaml";
  std::error_code ignored;  // a folder that cannot be looked into holds no file for us
  return std::filesystem::exists(path, ignored) ? path : "";
}

}  // namespace

exit_code exit_code_of(ec code) {
  switch (code) {
    case ec::invalid_argument:
    case ec::over_context:
    case ec::over_limit: return exit_code::usage;
    case ec::not_found:
    case ec::io_error:
    case ec::bad_file:
    case ec::unsupported: return exit_code::file;
    default: return exit_code::failed;
  }
}

exit_code report(const failure& why) {
  if (why == reader_gone()) return exit_code::ok;
  write_error("llmos: error: " + why.text + "\n");
  if (!why.hint.empty()) write_error("hint: " + why.hint + "\n");
  return exit_code_of(why.code);
}

result<void> check_text(const std::string& what, const std::string& text) {
  const auto bad = first_invalid_utf8(text);
  if (!bad) return {};
  return failure{
      ec::invalid_argument,
      what + " is no valid UTF-8: byte " + std::to_string(*bad) + " belongs to no character",
      "convert the text to UTF-8"};
}

result<node_config> effective_config(const global_options& options) {
  node_config config;
  const auto path = options.config_path.empty() ? default_config_path() : options.config_path;
  if (!path.empty()) {
    LLMOS_TRY(config, load_node_config(path));
  }
  for (const auto& setting : options.settings) LLMOS_TRY_VOID(set_config_key(config, setting));
  if (!options.log_level.empty()) {
    LLMOS_TRY_VOID(set_config_key(config, "log.level=" + options.log_level));
  }
  if (!options.memory_limit.empty()) {
    LLMOS_TRY_VOID(set_config_key(config, "kernel.memory_limit_bytes=" + options.memory_limit));
  }
  LLMOS_TRY_VOID(validate(config));
  LLMOS_TRY_VOID(set_up_log(config.log.level, config.log.file));
  return config;
}

}  // namespace llmos
