#include <algorithm>
#include <cstdio>

#include "runtime/config/model_path.hpp"
#include "runtime/gguf/printable.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

constexpr size_t max_path_bytes = 4096;

struct models_options {};

exit_code run(const models_options&, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  LLMOS_CLI_TRY_VOID(check_models_folder(config));
  auto files = list_model_files(config);
  if (files.empty()) {
    write_error("No models in " + models_folder(config) +
                "\nhint: tools/get-model fetches the default model\n");
  }
  for (auto& m : files) {  // a file's name may hold what a terminal obeys
    m.name = printable(m.name, max_path_bytes);
    m.path = printable(m.path, max_path_bytes);
  }
  size_t width = 0;
  for (const auto& m : files) width = std::max(width, m.name.size());
  std::string out;
  for (const auto& m : files) {
    char size[32];
    std::snprintf(size, sizeof size, "%8.1f MB  ", static_cast<double>(m.bytes) / 1e6);
    out += m.name + std::string(width - m.name.size(), ' ') + size + m.path + "\n";
  }
  LLMOS_CLI_TRY_VOID(write_out(out));
  return exit_code::ok;
}

}  // namespace

void add_models(command_line& line) {
  const auto define = [](CLI::App& app, models_options&) {
    app.footer(
        "The models folder is models.folder, else $LLMOS_MODELS, else\n"
        "~/.local/share/llmos/models. tools/get-model puts models there.");
  };
  add_command<models_options>(line, "models", "List the models folder", define, run);
}

}  // namespace llmos
