#include "actors/gateway/shell/command.hpp"

#include <algorithm>
#include <optional>

#include "runtime/base/nearest.hpp"
#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

constexpr std::string_view white_space = " \t\r\n";
constexpr size_t max_shown_bytes = 60;

using enum verb_spec::arguments;

constexpr verb_spec verbs[] = {
    {shell_verb::help, "help", "?", none, "", "This list."},
    {shell_verb::set, "set", nullptr, maybe_pair, "[KEY [VALUE]]",
     "Set how answers are made; without a value, explain KEY; without KEY, list all."},
    {shell_verb::show, "show", nullptr, maybe_word, "[settings|model|system|history]",
     "Show what is set and what was said."},
    {shell_verb::system, "system", nullptr, text, "[TEXT]",
     "Set the system prompt; without TEXT, go back to the model's own."},
    {shell_verb::clear, "clear", "new", none, "", "Forget the conversation."},
    {shell_verb::regen, "regen", nullptr, none, "", "Drop the last answer and ask again."},
    {shell_verb::read, "read", nullptr, word_text, "FILE [TEXT]",
     "Ask TEXT about what FILE holds, or just its text."},
    {shell_verb::load, "load", nullptr, word, "MODEL",
     "Go on with another model, by name or path. The conversation stays."},
    {shell_verb::unload, "unload", nullptr, word, "MODEL", "Free a model's memory."},
    {shell_verb::models, "models", "list", none, "", "List the models."},
    {shell_verb::ps, "ps", nullptr, none, "", "List the generations that run."},
    {shell_verb::kill, "kill", nullptr, word, "ID", "End a generation."},
    {shell_verb::stats, "stats", nullptr, none, "", "Counters and latencies of this node."},
    {shell_verb::save, "save", nullptr, word, "FILE.json|FILE.md", "Write the conversation."},
    {shell_verb::exit, "exit", "bye", none, "", "Leave (also Ctrl-D)."},
};

std::string_view trim(std::string_view x) {
  const auto begin = x.find_first_not_of(white_space);
  if (begin == x.npos) return {};
  return x.substr(begin, x.find_last_not_of(white_space) - begin + 1);
}

std::string usage_of(const verb_spec& v) {
  return std::string{"/"} + v.name + (*v.usage != '\0' ? " " : "") + v.usage;
}

failure misuse(const verb_spec& v, const std::string& what) {
  return {ec::invalid_argument, std::string{"/"} + v.name + ": " + what, "usage: " + usage_of(v)};
}

/// Takes the first word from `rest`; nothing when a quote stays open.
std::optional<std::string> take_word(std::string_view& rest) {
  std::string out;
  char quote = 0;
  size_t i = 0;
  for (; i < rest.size(); ++i) {
    const char c = rest[i];
    if (c == '\\' && quote != '\'' && i + 1 < rest.size()) {
      out += rest[++i];
    } else if (quote != 0) {
      c == quote ? void(quote = 0) : out.push_back(c);
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (white_space.find(c) != white_space.npos) {
      break;
    } else {
      out += c;
    }
  }
  rest = trim(rest.substr(i));
  if (quote != 0) return std::nullopt;
  return out;
}

result<shell_command> read_arguments(const verb_spec& v, std::string_view rest) {
  shell_command out{v.verb, "", ""};
  if (v.takes == text) {
    out.text = rest;
    return out;
  }
  const bool may_be_empty = v.takes == none || v.takes == maybe_word || v.takes == maybe_pair;
  if (rest.empty()) {
    if (may_be_empty) return out;
    return misuse(v, std::string{"needs "} + v.usage);
  }
  if (v.takes == none) return misuse(v, "takes no argument");
  auto word_read = take_word(rest);
  if (!word_read) return misuse(v, "a quote stays open");
  out.word = *std::move(word_read);
  if (v.takes == word_text || v.takes == maybe_pair) {
    out.text = rest;
  } else if (!rest.empty()) {
    return misuse(v, "one argument too many: '" + printable(rest, max_shown_bytes) +
                         "' (quote a name with spaces)");
  }
  return out;
}

const verb_spec* find_verb(std::string_view name) {
  const auto it = std::find_if(std::begin(verbs), std::end(verbs), [name](const verb_spec& v) {
    return name == v.name || (v.alias != nullptr && name == v.alias);
  });
  return it != std::end(verbs) ? it : nullptr;
}

/// The command that a person most likely meant: the only one that begins so, or the nearest.
std::optional<std::string> nearest_verb(std::string_view name) {
  std::vector<std::string> names, longer;
  for (const auto& v : verbs) {
    names.emplace_back(v.name);
    if (names.back().starts_with(name)) longer.push_back(names.back());
  }
  return longer.size() == 1 ? longer.front() : nearest_name(name, names);
}

failure unknown_command(std::string_view name) {
  const auto near = nearest_verb(name);
  return {ec::invalid_argument, "unknown command /" + printable(name, max_shown_bytes),
          (near ? "did you mean /" + *near + "? " : "/help lists the commands. ") +
              "// at the start sends the line as a question"};
}

}  // namespace

std::span<const verb_spec> shell_verbs() {
  return verbs;
}

result<shell_line> parse_shell_line(std::string_view line) {
  const auto all = trim(line);
  if (all.empty()) return shell_line{};
  if (all[0] != '/') return shell_line{std::string{all}};
  if (all.starts_with("//")) return shell_line{std::string{all.substr(1)}};
  const auto name = all.substr(1, all.find_first_of(white_space) - 1);
  const auto* spec = find_verb(name);
  if (spec == nullptr) return unknown_command(name);
  LLMOS_TRY(auto command, read_arguments(*spec, trim(all.substr(1 + name.size()))));
  return shell_line{std::move(command)};
}

std::string shell_help() {
  constexpr size_t column = 40;
  std::string out;
  for (const auto& v : verbs) {
    auto line = usage_of(v);
    if (v.alias != nullptr) line += std::string{"  (/"} + v.alias + ")";
    line.resize(std::max(line.size() + 2, column), ' ');
    out += line + v.doc + "\n";
  }
  return out +
         "Anything else is a question. \"\"\" begins a text of several lines and \"\"\" ends it; a "
         "line that\nbegins with // is sent with one slash. Ctrl-C stops the answer, Ctrl-D "
         "leaves.\n";
}

}  // namespace llmos
