#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/result.hpp"

namespace llmos {

/// What the shell can be told beside questions.
enum class shell_verb : uint8_t {
  help,
  set,
  show,
  system,
  clear,
  regen,
  read,
  load,
  unload,
  models,
  ps,
  kill,
  stats,
  save,
  exit,
};

/// One row of the table of commands.
struct verb_spec {
  /// How the text after the name is taken.
  enum class arguments : uint8_t {
    none,        ///< There must be none.
    text,        ///< As it stands, in `text`; may be empty.
    word,        ///< One word, in `word`.
    maybe_word,  ///< One word or none.
    word_text,   ///< A word, then text as it stands.
    maybe_pair,  ///< A word and text, either of which may be missing.
  };

  shell_verb verb;
  const char* name;   ///< Without the slash.
  const char* alias;  ///< A second name that other shells use, or nullptr.
  arguments takes;
  const char* usage;  ///< "KEY VALUE"
  const char* doc;
};

/// Every command, in the order of /help.
std::span<const verb_spec> shell_verbs();

/// One command as typed.
struct shell_command {
  shell_verb verb = shell_verb::help;
  std::string word;
  std::string text;
  friend bool operator==(const shell_command&, const shell_command&) = default;
};

/// Nothing, a question for the model, or a command.
using shell_line = std::variant<std::monostate, std::string, shell_command>;

/// Reads one input. `/name …` is a command, `//…` a question that begins with one slash, white
/// space alone is nothing, the rest is a question. A word may stand in quotes ("a b", 'a b');
/// outside single quotes a backslash takes the next character as it is.
/// Errors: invalid_argument: an unknown command (with the nearest), arguments missing, too many or
/// badly quoted (with the usage).
result<shell_line> parse_shell_line(std::string_view line);

/// "/set KEY VALUE" and what it does, one command per line.
std::string shell_help();

}  // namespace llmos
