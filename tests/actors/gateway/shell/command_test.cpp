#include "actors/gateway/shell/command.hpp"

#include <doctest/doctest.h>

using namespace llmos;

namespace {

std::string render(const result<shell_line>& x) {
  if (!x) return to_string(x.error());
  if (const auto* question = std::get_if<std::string>(&*x)) return "ask " + *question;
  const auto* c = std::get_if<shell_command>(&*x);
  if (c == nullptr) return "nothing";
  for (const auto& v : shell_verbs()) {
    if (v.verb == c->verb) return std::string{v.name} + "[" + c->word + "][" + c->text + "]";
  }
  return "a verb without a row";
}

}  // namespace

TEST_SUITE("actors.gateway.shell.command") {
  TEST_CASE("a line is a question, a command or nothing") {
    struct row {
      const char* line;
      const char* want;
    };
    const row table[] = {
        {"", "nothing"},
        {" \t ", "nothing"},
        {"  How are you?  ", "ask How are you?"},
        {"two\nlines", "ask two\nlines"},
        {"//etc/passwd is a file", "ask /etc/passwd is a file"},
        {"a /help b", "ask a /help b"},
        {"/help", "help[][]"},
        {"  /help  ", "help[][]"},
        {"/?", "help[][]"},
        {"/bye", "exit[][]"},
        {"/set", "set[][]"},
        {"/set seed", "set[seed][]"},
        {"/set stop [\"a b\", c]", "set[stop][[\"a b\", c]]"},
        {"/show", "show[][]"},
        {"/show history", "show[history][]"},
        {"/system", "system[][]"},
        {"/system You are \"kind\".", "system[][You are \"kind\".]"},
        {"/system line one\nline two", "system[][line one\nline two]"},
        {"/load \"my models/a b.gguf\"", "load[my models/a b.gguf][]"},
        {"/load my\\ models/a", "load[my models/a][]"},
        {"/load 'a\\b'", "load[a\\b][]"},
        {"/load a'b c'd", "load[ab cd][]"},
        {"/read notes.md What is this?", "read[notes.md][What is this?]"},
        {"/read notes.md", "read[notes.md][]"},
        {"/kill 7", "kill[7][]"},
        {"/save chat.md", "save[chat.md][]"},
    };
    for (const auto& r : table) {
      CAPTURE(r.line);
      CHECK(render(parse_shell_line(r.line)) == r.want);
    }
  }

  TEST_CASE("a wrong line is named with its mend") {
    struct row {
      const char* line;
      const char* want;
    };
    const row table[] = {
        {"/helo",
         "invalid_argument: unknown command /helo (did you mean /help? // at the start sends the "
         "line as "
         "a question)"},
        {"/",
         "invalid_argument: unknown command / (/help lists the commands. // at the start sends the "
         "line as a question)"},
        {"/\x1b[2J",
         "invalid_argument: unknown command /\\x1b[2J (/help lists the commands. // at the "
         "start sends the line as a question)"},
        {"/kill", "invalid_argument: /kill: needs ID (usage: /kill ID)"},
        {"/kill 1 2",
         "invalid_argument: /kill: one argument too many: '2' (quote a name with spaces) (usage: "
         "/kill ID)"},
        {"/clear all", "invalid_argument: /clear: takes no argument (usage: /clear)"},
        {"/load \"a", "invalid_argument: /load: a quote stays open (usage: /load MODEL)"},
        {"/save",
         "invalid_argument: /save: needs FILE.json|FILE.md (usage: /save FILE.json|FILE.md)"},
    };
    for (const auto& r : table) {
      CAPTURE(r.line);
      CHECK(render(parse_shell_line(r.line)) == r.want);
    }
  }

  TEST_CASE("the help names every command with its usage") {
    const auto help = shell_help();
    for (const auto& v : shell_verbs()) {
      CAPTURE(v.name);
      CHECK(help.find(std::string{"/"} + v.name) != help.npos);
      CHECK(help.find(v.doc) != help.npos);
    }
    for (const auto* name : {"help", "set", "show", "system", "clear", "regen", "load", "models",
                             "ps", "kill", "stats", "save", "exit"}) {
      CHECK(help.find(std::string{"/"} + name) != help.npos);
    }
  }
}
