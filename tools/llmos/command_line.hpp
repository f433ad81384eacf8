#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/config/node_config.hpp"

namespace llmos {

/// What a script learns from the program's end. 128 + n: signal n ended it (130: Ctrl-C).
enum class exit_code : int {
  ok = 0,
  failed = 1,  ///< The work failed: an item, a request, the machine.
  usage = 2,   ///< The command line, a parameter or the input is wrong.
  file = 3,    ///< A model or another file is missing, broken or not supported.
};

/// The kind of end that an error means.
exit_code exit_code_of(ec code);

/// Says on standard error what failed and how to mend it.
exit_code report(const failure& why);

/// Errors: invalid_argument when `text` is no UTF-8; `what` names it.
result<void> check_text(const std::string& what, const std::string& text);

/// Options that every command takes.
struct global_options {
  std::string config_path;
  std::vector<std::string> settings;  ///< key=value
  std::string log_level;
  std::string memory_limit;
  std::string connect;  ///< HOST:PORT of a node in another process; empty: this one.
};

/// The configuration in effect: the program's defaults, then the file (--config, else
/// $LLMOS_CONFIG, else ~/.config/llmos/node.yaml if there is one), then --set, --log-level and
/// --memory-limit. Logging is set up by it. Errors: those of the file; invalid_argument.
result<node_config> effective_config(const global_options& options);

/// The program's command line while it is built and parsed. Parsing only chooses: commands run
/// when parsing, which throws, is over.
struct command_line {
  CLI::App app;
  global_options global;
  std::function<exit_code()> chosen;
};

/// Adds a command. `define` gives it its options, kept in an `Options` of its own; `run` does the
/// work.
template <class Options, class Define>
CLI::App* add_command(command_line& line, const std::string& name, const std::string& what,
                      Define define, exit_code (*run)(const Options&, const global_options&)) {
  auto options = std::make_shared<Options>();
  CLI::App* command = line.app.add_subcommand(name, what);
  define(*command, *options);
  command->callback([&line, options, run] {
    line.chosen = [&line, options, run] { return run(*options, line.global); };
  });
  return command;
}

/// Runs `expr`, reports its failure and leaves the command with its exit code, or binds its value.
#define LLMOS_CLI_TRY(decl, expr) LLMOS_CLI_TRY_(LLMOS_CONCAT(llmos_cli_, __LINE__), decl, expr)
#define LLMOS_CLI_TRY_(tmp, decl, expr)      \
  auto tmp = (expr);                         \
  if (!tmp.ok()) return report(tmp.error()); \
  decl = std::move(tmp).value()

#define LLMOS_CLI_TRY_VOID(expr)                              \
  if (auto llmos_cli_result = (expr); !llmos_cli_result.ok()) \
  return report(llmos_cli_result.error())

}  // namespace llmos
