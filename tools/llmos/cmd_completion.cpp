#include "tools/llmos/commands.hpp"
#include "tools/llmos/completion.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

void add_completion(command_line& line) {
  struct completion_options {
    std::string shell;
  };
  auto options = std::make_shared<completion_options>();
  auto* command = line.app.add_subcommand("completion", "Print a shell's completion script");
  command->add_option("shell", options->shell, "bash, zsh or fish")->type_name("SHELL")->required();
  command->footer(
      "Examples:\n"
      "  source <(llmos completion bash)\n"
      "  llmos completion fish > ~/.config/fish/completions/llmos.fish");
  command->callback([&line, options] {
    line.chosen = [&line, options] {
      LLMOS_CLI_TRY(const auto script, completion_script(line.app, options->shell));
      LLMOS_CLI_TRY_VOID(write_out(script));
      return exit_code::ok;
    };
  });
}

}  // namespace llmos
