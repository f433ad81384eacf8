#include "runtime/config/keys.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

struct config_options {
  bool defaults = false;
};

exit_code run(const config_options& options, const global_options& global) {
  node_config config;
  if (!options.defaults) {
    LLMOS_CLI_TRY(config, effective_config(global));
  }
  LLMOS_CLI_TRY_VOID(write_out(to_yaml(config)));
  return exit_code::ok;
}

}  // namespace

void add_config(command_line& line) {
  const auto define = [](CLI::App& app, config_options& o) {
    app.add_flag("--defaults", o.defaults, "Print the program's defaults instead");
    app.footer(
        "Examples:\n"
        "  llmos config                              what is in effect, every key explained\n"
        "  llmos --set engine.threads=2 config       the same with one key set\n"
        "  llmos config --defaults > node.yaml       a file to start from");
  };
  add_command<config_options>(line, "config", "Print the configuration in effect as YAML", define,
                              run);
}

}  // namespace llmos
