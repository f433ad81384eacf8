#include <csignal>

#include "runtime/backend/cpu/dispatch.hpp"
#include "runtime/base/nearest.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/help_format.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

std::string version_text() {
  const auto kernels = cpu::choose_kernels();
  return "llmos " LLMOS_VERSION " (" LLMOS_BUILD_TYPE ", cpu: " +
         (kernels ? std::string{(*kernels)->name} : kernels.error().text) + ")\n";
}

void define(command_line& line) {
  auto& app = line.app;
  app.name("llmos");
  app.description(
      "Runs GGUF language models: ask one, chat with it, feed it a whole file of work.");
  app.set_version_flag("--version", version_text(), "Print version, build type and CPU kernels");
  app.add_option("--config", line.global.config_path,
                 "Configuration; default: $LLMOS_CONFIG, else ~/.config/llmos/node.yaml")
      ->type_name("FILE");
  app.add_option("--set", line.global.settings, "Set one configuration key; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--log-level", line.global.log_level, "trace, debug, info, warn, error or off")
      ->type_name("LEVEL");
  app.add_option("--memory-limit", line.global.memory_limit,
                 "Most memory that the program may hold, as 256MiB or 4GiB")
      ->type_name("SIZE");
  app.add_option("--connect", line.global.connect,
                 "Of run, shell and batch: use the node that serves there, as remote.client")
      ->type_name("HOST:PORT");
  app.footer(
      "The five options above may also follow the command. `llmos COMMAND --help` says more.\n\n"
      "Exit status: 0 done; 1 the work failed; 2 the command line or the input is wrong; 3 a "
      "model\n"
      "or another file is missing, broken or unsupported; 130 interrupted.\n\n"
      "Examples:\n"
      "  llmos run \"Why is the sky blue?\"\n"
      "  llmos batch configs/jobs/hello.yaml");
  app.fallthrough();
  app.require_subcommand(0, 1);
  app.formatter(std::make_shared<help_format>());
  for (const auto add : {add_run, add_shell, add_batch, add_serve, add_init, add_key, add_models,
                         add_inspect, add_perplexity, add_bench, add_tokenize, add_template,
                         add_logits, add_config, add_completion}) {
    add(line);
  }
}

const CLI::App& parsed_command(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : *chosen.front();
}

/// The option or command that a mistyped word most likely meant.
std::string suggestion(const CLI::App& app, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::App* x : {&parsed_command(app), &app}) {
    for (const auto* o : x->get_options()) {
      for (const auto& name : o->get_lnames()) known.push_back("--" + name);
    }
  }
  if (!word.starts_with('-')) {
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
      known.push_back(sub->get_name());
    }
  }
  const auto near = nearest_name(word.substr(0, word.find('=')), known);
  return near ? "did you mean " + *near + "?" : "";
}

exit_code report_usage(const CLI::App& app, const CLI::ParseError& e) {
  const auto& command = parsed_command(app);
  const auto unknown = app.remaining(true);
  failure why{ec::invalid_argument, e.what(), ""};
  if (!unknown.empty()) {
    const auto& word = unknown.front();
    const bool is_command = &command == &app && !word.starts_with('-');
    why.text = (is_command ? "unknown command '" : "unexpected '") + word + "'";
    why.hint = suggestion(app, word);
    if (why.hint.empty() && !is_command && !word.starts_with('-')) {
      why.hint = "put text of several words in quotes";
    }
  }
  if (why.hint.empty()) {
    why.hint = "llmos " + (&command == &app ? "" : command.get_name() + " ") + "--help";
  }
  return report(why);
}

/// `--name=` with nothing after it would swallow the next word.
const char* find_empty_value(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") return nullptr;
    if (word.size() > 3 && word.starts_with("--") && word.find('=') == word.size() - 1) {
      return argv[i];
    }
  }
  return nullptr;
}

/// Whether its work may be done by the node of another process.
bool may_connect(std::string_view command) {
  return command == "run" || command == "shell" || command == "batch" || command == "llmos";
}

exit_code run_command_line(int argc, char** argv) {
  command_line line;
  define(line);
  if (const char* word = find_empty_value(argc, argv)) {
    const std::string name = word;
    return report({ec::invalid_argument, name + " has no value",
                   "write " + name.substr(0, name.size() - 1) + " \"\""});
  }
  try {  // CLI11 says everything with exceptions
    line.app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help, --version
    const bool is_version = dynamic_cast<const CLI::CallForVersion*>(&e) != nullptr;
    const auto written = write_out(is_version ? e.what() : line.app.help());
    return written ? exit_code::ok : report(written.error());
  } catch (const CLI::ParseError& e) {
    return report_usage(line.app, e);
  }
  const std::string command = parsed_command(line.app).get_name();
  if (!line.global.connect.empty() && !may_connect(command)) {
    return report({ec::invalid_argument, "llmos " + command + " takes no --connect",
                   "run, shell and batch do; the shell's /models, /ps and /stats tell of a node"});
  }
  if (line.chosen) return line.chosen();
  write_error(line.app.help());
  return exit_code::usage;
}

}  // namespace
}  // namespace llmos

int main(int argc, char** argv) {
  if (!llmos::fill_standard_descriptors()) return static_cast<int>(llmos::exit_code::failed);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write, not our end
  return static_cast<int>(llmos::run_command_line(argc, argv));
}
