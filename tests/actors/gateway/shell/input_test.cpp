#include "actors/gateway/shell/input.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace llmos;

namespace {

/// Each complete input as "text" or "literal: text", "…" for a line that leaves """ open.
std::vector<std::string> feed(const std::vector<std::string>& lines) {
  input_joiner joiner;
  std::vector<std::string> out;
  for (const auto& line : lines) {
    const auto input = joiner.add(line);
    if (!input) {
      out.push_back(to_string(input.error()));
    } else if (!*input) {
      out.push_back("…");
    } else {
      out.push_back(((*input)->literal ? "literal: " : "") + (*input)->text);
    }
    CHECK(joiner.open() == (out.back() == "…"));
  }
  return out;
}

}  // namespace

TEST_SUITE("actors.gateway.shell.input") {
  TEST_CASE("text in three quotes is one input") {
    struct row {
      const char* name;
      std::vector<std::string> lines;
      std::vector<std::string> want;
    };
    const row table[] = {
        {"plain lines", {"one", "/two", ""}, {"one", "/two", ""}},
        {"a block",
         {"\"\"\"", "one", "", " two", "\"\"\""},
         {"…", "…", "…", "…", "literal: one\n\n two"}},
        {"text beside the quotes", {"\"\"\"one", "two\"\"\""}, {"…", "literal: one\ntwo"}},
        {"on one line", {"\"\"\"/help\"\"\""}, {"literal: /help"}},
        {"empty", {"\"\"\"\"\"\""}, {"literal: "}},
        {"empty lines inside", {"\"\"\"", "", "\"\"\""}, {"…", "…", "literal: "}},
        {"blanks around", {"  \"\"\"one", "two\"\"\"  "}, {"…", "literal: one\ntwo"}},
        {"quotes inside a line",
         {"\"\"\"", "a \"\"\" b", "\"\"\""},
         {"…", "…", "literal: a \"\"\" b"}},
        {"quotes in a question", {"what is \"\"\" in Python?"}, {"what is \"\"\" in Python?"}},
        {"after a command", {"/system \"\"\"one", "two\"\"\""}, {"…", "/system one\ntwo"}},
        {"after a command's word", {"/set stop \"\"\""}, {"/set stop \"\"\""}},
        {"a paste of several lines", {"one\ntwo"}, {"one\ntwo"}},
        {"a paste with quotes", {"\"\"\"\none\n\"\"\""}, {"literal: one"}},
        {"two blocks", {"\"\"\"a\"\"\"", "\"\"\"b\"\"\""}, {"literal: a", "literal: b"}},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      CHECK(feed(r.lines) == r.want);
    }
  }

  TEST_CASE("what is no text is refused and drops what was open") {
    CHECK(feed({"\"\"\"", "a\xff", "after"}) ==
          std::vector<std::string>{"…",
                                   "invalid_argument: the input is not valid UTF-8 (byte 2) (set "
                                   "the terminal or the file to UTF-8)",
                                   "after"});
    CHECK(feed({std::string("a\0b", 3)}) ==
          std::vector<std::string>{"invalid_argument: the input holds a NUL byte (send text)"});
  }

  TEST_CASE("an input has a longest length, also over many lines") {
    const std::string half(max_input_bytes / 2, 'x');
    CHECK(feed({half + half}).front().size() == max_input_bytes);
    const auto heard = feed({"\"\"\"", half, half, "after"});
    CHECK(heard[2].starts_with("overloaded: the input is longer than 4194304 bytes"));
    CHECK(heard[3] == "after");
  }

  TEST_CASE("an open block can be dropped") {
    input_joiner joiner;
    REQUIRE(joiner.add("/system \"\"\"one"));
    joiner.clear();
    CHECK_FALSE(joiner.open());
    CHECK((*joiner.add("\"\"\"x\"\"\""))->text == "x");
  }
}
