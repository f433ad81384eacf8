#include "tools/llmos/completion.hpp"

#include <algorithm>
#include <vector>

namespace llmos {

namespace {

/// What a shell can offer for a value.
enum class value_kind { none, text, file, model };

struct option_words {
  std::vector<std::string> names;  // "-n", "--max-tokens"
  std::string what;
  std::string type;
  value_kind value = value_kind::none;
};

struct command_words {
  std::string name;  // empty: the program itself
  std::string what;
  std::vector<option_words> options;
  option_words argument;  // what stands without a name
};

value_kind kind_of(const CLI::Option& o) {
  if (o.get_expected_max() == 0) return value_kind::none;  // a flag
  const auto type = o.get_type_name();
  if (type == "FILE|NAME") return value_kind::model;
  return type.starts_with("FILE") ? value_kind::file : value_kind::text;
}

option_words words_of(const CLI::Option& o) {
  option_words w{{}, o.get_description(), o.get_type_name(), kind_of(o)};
  for (const auto& name : o.get_snames()) w.names.push_back("-" + name);
  for (const auto& name : o.get_lnames()) w.names.push_back("--" + name);
  return w;
}

command_words words_of(const CLI::App& app) {
  command_words command{app.get_name(), app.get_description(), {}, {}};
  for (const auto* o : app.get_options()) {
    if (o->get_group().empty()) continue;  // hidden
    auto words = words_of(*o);
    if (words.names.empty()) {
      command.argument = std::move(words);
    } else {
      command.options.push_back(std::move(words));
    }
  }
  return command;
}

/// The program first, then its subcommands; each of those also takes the program's options.
std::vector<command_words> commands_of(const CLI::App& app) {
  std::vector<command_words> commands = {words_of(app)};
  commands[0].name.clear();
  for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    auto command = words_of(*sub);
    for (const auto& o : commands[0].options) {
      const bool is_own = std::any_of(command.options.begin(), command.options.end(),
                                      [&](const auto& x) { return x.names == o.names; });
      if (!is_own && o.value != value_kind::none) command.options.push_back(o);
    }
    commands.push_back(std::move(command));
  }
  return commands;
}

/// `text` inside single quotes of any shell.
std::string in_quotes(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out += '\'';
}

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const auto& w : words) out += (out.empty() ? "" : between) + w;
  return out;
}

std::vector<std::string> option_names(const command_words& command) {
  std::vector<std::string> names;
  for (const auto& o : command.options) names.insert(names.end(), o.names.begin(), o.names.end());
  return names;
}

std::vector<std::string> command_names(const std::vector<command_words>& commands) {
  std::vector<std::string> names;
  for (const auto& c : commands) {
    if (!c.name.empty()) names.push_back(c.name);
  }
  return names;
}

/// Names of all options, of any command, whose value is of that kind.
std::vector<std::string> options_with(const std::vector<command_words>& commands, value_kind kind) {
  std::vector<std::string> names;
  for (const auto& c : commands) {
    for (const auto& o : c.options) {
      if (o.value == kind) names.insert(names.end(), o.names.begin(), o.names.end());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string bash_script(const std::vector<command_words>& commands) {
  const auto names = command_names(commands);
  std::string out =
      "# bash completion for llmos\n"
      "_llmos_models() { llmos models 2>/dev/null | cut -d ' ' -f 1; }\n"
      "_llmos() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local command= word words= models=\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case $word in " +
      joined(names, "|") +
      ") command=$word; break ;; esac\n"
      "  done\n"
      "  COMPREPLY=()\n"
      "  case $previous in\n"
      "    " +
      joined(options_with(commands, value_kind::model), "|") +
      ")\n"
      "      mapfile -t COMPREPLY < <(compgen -f -W \"$(_llmos_models)\" -- \"$current\"); return "
      ";;\n"
      "    " +
      joined(options_with(commands, value_kind::file), "|") +
      ")\n"
      "      mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;;\n"
      "    " +
      joined(options_with(commands, value_kind::text), "|") +
      ") return ;;\n"
      "  esac\n"
      "  case $command in\n";
  for (const auto& c : commands) {
    const auto offered = c.name.empty() ? joined(names, " ") + " " : std::string{};
    out += "    " + (c.name.empty() ? "''" : c.name) + ") words='" + offered +
           joined(option_names(c), " ") + "'";
    if (c.argument.value == value_kind::model) out += "; models=$(_llmos_models)";
    out += " ;;\n";
  }
  return out +
         "  esac\n"
         "  if [[ $current == -* || -z $command ]]; then\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "  else\n"
         "    mapfile -t COMPREPLY < <(compgen -f -W \"$models\" -- \"$current\")\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _llmos llmos\n";
}

const char* zsh_action(value_kind kind) {
  switch (kind) {
    case value_kind::file: return "_files";
    case value_kind::model: return "_llmos_models";
    default: return " ";
  }
}

/// One argument of zsh's _arguments: '*--name[what]:type:action'.
std::string zsh_option(const option_words& o, const std::string& name) {
  std::string what;
  for (const char c : o.what) {
    if (c == '[' || c == ']' || c == ':') what += '\\';
    what += c;
  }
  std::string out = "*" + name + "[" + what + "]";
  if (o.value != value_kind::none) {
    out += ":" + o.type + ":";
    out += zsh_action(o.value);
  }
  return in_quotes(out);
}

std::string zsh_arguments(const command_words& command, const std::string& indent) {
  std::string out;
  for (const auto& o : command.options) {
    for (const auto& name : o.names) out += " \\\n" + indent + zsh_option(o, name);
  }
  return out;
}

std::string zsh_script(const std::vector<command_words>& commands) {
  std::string out =
      "#compdef llmos\n"
      "_llmos_models() {\n"
      "  compadd -- ${(f)\"$(llmos models 2>/dev/null | cut -d ' ' -f 1)\"}\n"
      "  _files\n"
      "}\n"
      "_llmos() {\n"
      "  local state line\n"
      "  local -a commands=(\n";
  for (const auto& c : commands) {
    if (!c.name.empty()) out += "    " + in_quotes(c.name + ":" + c.what) + "\n";
  }
  out += "  )\n  _arguments -C" + zsh_arguments(commands[0], "    ") +
         " \\\n    '1:command:->command' '*::argument:->argument'\n"
         "  case $state in\n"
         "    command) _describe command commands ;;\n"
         "    argument)\n"
         "      case $line[1] in\n";
  for (const auto& c : commands) {
    if (c.name.empty()) continue;
    out += "        " + c.name + ") _arguments" + zsh_arguments(c, "          ");
    if (c.argument.value != value_kind::none) {
      out += " \\\n          " +
             in_quotes("*:" + c.argument.type + ":" + zsh_action(c.argument.value));
    }
    out += " ;;\n";
  }
  return out +
         "      esac ;;\n"
         "  esac\n"
         "}\n"
         "[[ $funcstack[1] = _llmos ]] && _llmos \"$@\" || compdef _llmos llmos\n";
}

std::string fish_option(const option_words& o, const std::string& condition) {
  std::string out = "complete -c llmos " + condition;
  for (const auto& name : o.names) {
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  if (o.value != value_kind::none) out += o.value == value_kind::text ? " -x" : " -r";
  if (o.value == value_kind::model) out += " -a '(__llmos_models)'";
  return out + " -d " + in_quotes(o.what) + "\n";
}

std::string fish_script(const std::vector<command_words>& commands) {
  std::string out =
      "# fish completion for llmos\n"
      "function __llmos_models\n"
      "  llmos models 2>/dev/null | string replace -r ' .*' ''\n"
      "end\n"
      "complete -c llmos -n __fish_use_subcommand -f\n";
  for (const auto& c : commands) {
    if (c.name.empty()) {
      for (const auto& o : c.options) out += fish_option(o, "-n __fish_use_subcommand");
      continue;
    }
    out += "complete -c llmos -n __fish_use_subcommand -a " + c.name + " -d " + in_quotes(c.what) +
           "\n";
    const auto condition = "-n '__fish_seen_subcommand_from " + c.name + "'";
    for (const auto& o : c.options) out += fish_option(o, condition);
    if (c.argument.value == value_kind::model) {
      out += "complete -c llmos " + condition + " -a '(__llmos_models)'\n";
    }
  }
  return out;
}

}  // namespace

result<std::string> completion_script(const CLI::App& app, const std::string& shell) {
  const auto commands = commands_of(app);
  if (shell == "bash") return bash_script(commands);
  if (shell == "zsh") return zsh_script(commands);
  if (shell == "fish") return fish_script(commands);
  return failure{ec::invalid_argument, "no completion for the shell '" + shell + "'",
                 "allowed: bash, zsh or fish"};
}

}  // namespace llmos
