#include "runtime/openai/tool_calls.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "tests/support/chat_templates.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;
using namespace llmos::openai;
using test::repeat;

namespace {

/// "text|f{}|g{}": the text, then each call.
std::string render(const tool_output& x) {
  std::string out = x.text;
  for (const auto& call : x.calls) out += "|" + call.name + call.arguments;
  return out;
}

tool_parser_options options_of(tool_style style, uint32_t max_calls = UINT32_MAX) {
  return {style, {"f", "g"}, 5, max_calls};
}

void append(tool_output& all, tool_output more) {
  all.text += more.text;
  for (auto& call : more.calls) all.calls.push_back(std::move(call));
}

tool_output parse_whole(const tool_parser_options& options, std::string_view text) {
  tool_call_parser parser{options};
  tool_output out = parser.push(text);
  append(out, parser.finish());
  return out;
}

/// Pieces of 0 to `longest` bytes.
tool_output parse_cut(const tool_parser_options& options, std::string_view text, size_t longest,
                      test::splitmix64& rng) {
  tool_call_parser parser{options};
  tool_output out;
  while (!text.empty()) {
    const auto n = std::min(text.size(), static_cast<size_t>(rng.below(longest + 1)));
    append(out, parser.push(text.substr(0, n)));
    text.remove_prefix(n);
  }
  append(out, parser.finish());
  return out;
}

struct row {
  const char* text;
  const char* want;
};

constexpr row hermes_rows[] = {
    {"", ""},
    {"Hello.", "Hello."},
    {"  Hello.\n\n", "  Hello.\n\n"},
    {"a < b <tool", "a < b <tool"},
    {R"(<tool_call>{"name": "f", "arguments": {"a": 1.0}}</tool_call>)", R"(|f{"a": 1.0})"},
    {"<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>", "|f{}"},
    {"I look.\n<tool_call>\n{\"arguments\": {}, \"name\": \"f\"}\n</tool_call>\n"
     "<tool_call>\n{\"name\": \"unknown\"}\n</tool_call>\n",
     "I look.|f{}|unknown{}"},
    {R"(<tool_call>{"name": "f", "arguments": {}}</tool_call>  Done. <b>)", "Done. <b>|f{}"},
    {R"(<tool_call>{"name": "f", "arguments": {"x": "</tool_call><tool_call>"}}</tool_call>)",
     R"(|f{"x": "</tool_call><tool_call>"})"},
    {R"(<tool_call>{"name": "f", "arguments": {"n": 123456789012345678901234567890}}</tool_call>)",
     R"(|f{"n": 123456789012345678901234567890})"},
    {R"(<tool_call>{"name": "f", "arguments": {}})", "|f{}"},
    {R"(<tool_call>{"name": "f", "arguments": {}} </tool_)", "|f{}"},
    {R"(<tool_call>{"name": "f", "arguments": {})", R"(<tool_call>{"name": "f", "arguments": {})"},
    {R"(<tool_call>{"name": "f"} x</tool_call>)", R"(<tool_call>{"name": "f"} x</tool_call>)"},
    {R"(<tool_call>{"name": 5}</tool_call>)", R"(<tool_call>{"name": 5}</tool_call>)"},
    {R"(<tool_call>{"name": ""}</tool_call>)", R"(<tool_call>{"name": ""}</tool_call>)"},
    {R"(<tool_call>{"name": "f", "name": "g"}</tool_call>)",
     R"(<tool_call>{"name": "f", "name": "g"}</tool_call>)"},
    {R"(<tool_call>{"name": "f", "arguments": "x"}</tool_call>)",
     R"(<tool_call>{"name": "f", "arguments": "x"}</tool_call>)"},
    {R"(<tool_call>{"name": "f", "arguments": {"a": 01}}</tool_call>)",
     R"(<tool_call>{"name": "f", "arguments": {"a": 01}}</tool_call>)"},
    {R"(<tool_call>["f"]</tool_call>)", R"(<tool_call>["f"]</tool_call>)"},
    {"<tool_call>", "<tool_call>"},
    {" \n<tool_call> ", " \n<tool_call> "},
    {R"(<tool_call><tool_call>{bad}</tool_call> <tool_call>{"name": "f"}</tool_call>)",
     "<tool_call><tool_call>{bad}</tool_call>|f{}"},
    {R"({"name": "f", "arguments": {}})", R"({"name": "f", "arguments": {}})"},
};

constexpr row llama3_rows[] = {
    {"", ""},
    {"Hello.", "Hello."},
    {" \n", " \n"},
    {R"({"name": "f", "parameters": {"a": 1}})", R"(|f{"a": 1})"},
    {"\n\n{\"name\": \"f\", \"arguments\": {}}\n", "|f{}"},
    {R"(<|python_tag|>{"type": "function", "name": "f", "parameters": {}})", "|f{}"},
    {R"( <|python_tag|> {"name": "f", "parameters": {}})", "|f{}"},
    {R"({"name": "f", "parameters": {}}; {"name": "g", "parameters": {"x": []}})",
     R"(|f{}|g{"x": []})"},
    {R"({"name": "f", "parameters": {}} That was it.)",
     R"({"name": "f", "parameters": {}} That was it.)"},
    {R"({"name": "Ada", "parameters": {}})", R"({"name": "Ada", "parameters": {}})"},
    {R"({"name": "f", "parameters": {}}{"name": "h"})",
     R"({"name": "f", "parameters": {}}{"name": "h"})"},
    {R"({"name": "f", "parameters": {)", R"({"name": "f", "parameters": {)"},
    {R"(<|python_tag|>f.call(query="x"))", R"(<|python_tag|>f.call(query="x"))"},
    {"<|python", "<|python"},
    {"<|python_tag|>", "<|python_tag|>"},
    {R"(I call {"name": "f", "parameters": {}})", R"(I call {"name": "f", "parameters": {}})"},
    {R"([{"name": "f"}])", R"([{"name": "f"}])"},
};

constexpr row mistral_rows[] = {
    {"", ""},
    {"Hello. [1] [TOOL", "Hello. [1] [TOOL"},
    {R"([TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}])",
     R"(|f{"a": 1}|g{})"},
    {R"([TOOL_CALLS][{"name": "h", "arguments": {}, "id": "123456789"}])", "|h{}"},
    {"Let me see. [TOOL_CALLS][{\"name\": \"f\"}]\n ok", "Let me see.ok|f{}"},
    {R"([{"name": "f", "arguments": {}}])", "|f{}"},
    {R"( [{"name": "f"}] )", "|f{}"},
    {R"([{"name": "Ada", "arguments": {}}])", R"([{"name": "Ada", "arguments": {}}])"},
    {R"([{"name": "f"}] and more)", R"([{"name": "f"}] and more)"},
    {"[1, 2]", "[1, 2]"},
    {"[TOOL_CALLS][]", "[TOOL_CALLS][]"},
    {R"([TOOL_CALLS][{"name": "f"}, 1])", R"([TOOL_CALLS][{"name": "f"}, 1])"},
    {R"([TOOL_CALLS][{"name": "f"})", R"([TOOL_CALLS][{"name": "f"})"},
    {R"([TOOL_CALLS]{"name": "f"})", R"([TOOL_CALLS]{"name": "f"})"},
    {R"([TOOL_CALLS] [TOOL_CALLS][{"name": "f"}])", "[TOOL_CALLS]|f{}"},
};

struct table {
  tool_style style;
  std::span<const row> rows;
};
const table tables[] = {{tool_style::hermes, hermes_rows},
                        {tool_style::llama3, llama3_rows},
                        {tool_style::mistral, mistral_rows}};

/// Text that has much to do with calls: a row's, cut up and mixed with its like.
std::string noise(std::span<const row> rows, test::splitmix64& rng) {
  constexpr const char* bits[] = {"<tool_call>",
                                  "</tool_call>",
                                  "[TOOL_CALLS]",
                                  "<|python_tag|>",
                                  "{",
                                  "}",
                                  "[",
                                  "]",
                                  "\"",
                                  "\\",
                                  ",",
                                  ":",
                                  " ",
                                  "\n",
                                  "f",
                                  "1",
                                  "{\"name\": \"f\"}",
                                  "\"name\": \"g\"",
                                  "\"arguments\": {}"};
  std::string out;
  for (auto n = rng.below(6); n > 0; --n) {
    const std::string text = rows[rng.below(rows.size())].text;
    const auto from = rng.below(text.size() + 1);
    out += rng.below(2) == 0 ? text : text.substr(from, rng.below(text.size() + 1));
    for (auto k = rng.below(4); k > 0; --k) out += bits[rng.below(std::size(bits))];
  }
  return out;
}

std::string template_of(const std::string& name) {
  std::ifstream file{"tests/golden/templates/chat/" + name + ".jinja"};
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

TEST_SUITE("runtime.openai.tool_calls") {
  TEST_CASE("a template tells how its model writes calls") {
    CHECK(tool_style_of(template_of("qwen25_tools")) == tool_style::hermes);
    CHECK(tool_style_of(template_of("qwen3_thinking")) == tool_style::hermes);
    CHECK(tool_style_of(template_of("hermes_tools")) == tool_style::hermes);
    CHECK(tool_style_of(template_of("llama31_tools")) == tool_style::llama3);
    CHECK(tool_style_of(template_of("mistral_nemo_tools")) == tool_style::mistral);
    for (const char* name : {"chatml", "smollm2", "llama3", "deepseek_r1", "functionary", "gemma",
                             "granite", "command_r_tools", "phi4_mini", "pythonic_calls"}) {
      CAPTURE(name);
      CHECK(tool_style_of(template_of(name)) == tool_style::none);
    }
  }

  TEST_CASE("calls are found, and what is none stays text") {
    for (const table& t : tables) {
      CAPTURE(static_cast<int>(t.style));
      for (const row& r : t.rows) {
        CAPTURE(r.text);
        CHECK(render(parse_whole(options_of(t.style), r.text)) == r.want);
      }
    }
  }

  TEST_CASE("however the text is cut, the result is the same") {
    test::splitmix64 rng{3};
    for (const table& t : tables) {
      const auto options = options_of(t.style);
      for (const row& r : t.rows) {
        for (const size_t longest : {1, 2, 7, 30}) {
          CAPTURE(r.text);
          REQUIRE(render(parse_cut(options, r.text, longest, rng)) == r.want);
        }
      }
      for (int i = 0; i < 3000; ++i) {
        const std::string text = noise(t.rows, rng);
        const auto whole = parse_whole(options, text);
        const auto cut = parse_cut(options, text, 1 + rng.below(20), rng);
        CAPTURE(text);
        REQUIRE(cut.text == whole.text);
        REQUIRE(cut.calls == whole.calls);
      }
    }
  }

  TEST_CASE("text without calls comes out byte by byte as it was") {
    test::splitmix64 rng{4};
    for (const table& t : tables) {
      for (int i = 0; i < 3000; ++i) {
        const std::string text = noise(t.rows, rng);
        const auto got = parse_whole(options_of(t.style), text);
        CAPTURE(text);
        if (got.calls.empty()) REQUIRE(got.text == text);
      }
    }
    const tool_parser_options without{tool_style::none, {"f"}, 1};
    const tool_parser_options nameless{tool_style::hermes, {}, 1};
    for (const row& r : hermes_rows) {
      CHECK(render(parse_whole(without, r.text)) == r.text);
      CHECK(render(parse_whole(nameless, r.text)) == r.text);
    }
  }

  TEST_CASE("only what may become a call is held back") {
    tool_call_parser parser{options_of(tool_style::hermes)};
    CHECK(parser.push("Hello ").text == "Hello");
    CHECK(parser.push("you <b").text == " you <b");
    CHECK(parser.push(" a <to").text == " a");
    CHECK(parser.push("p>").text == " <top>");
    CHECK(parser.push(repeat("\n", 100)).text == repeat("\n", 36));
    CHECK(parser.push("<tool_call>{\"name\": \"f\"").text.empty());
    CHECK(render(parser.push("}</tool_call>")) == "|f{}");
    CHECK(parser.push("\n\n").text.empty());
    CHECK(parser.push("\nx").text == "x");
    tool_call_parser llama{options_of(tool_style::llama3)};
    CHECK(llama.push("The answer").text == "The answer");
    CHECK(llama.push(" is {").text == " is {");
  }

  TEST_CASE("behind the last call that is wanted nothing more comes") {
    const std::string call = R"(<tool_call>{"name": "f"}</tool_call>)";
    tool_call_parser parser{options_of(tool_style::hermes, 1)};
    CHECK(render(parser.push("a " + call + " b " + call)) == "a|f{}");
    CHECK(parser.is_full());
    CHECK(render(parser.push("more")).empty());
    CHECK(render(parser.finish()).empty());
    CHECK(render(parse_whole(options_of(tool_style::mistral, 1),
                             R"([TOOL_CALLS][{"name": "f"}, {"name": "g"}])")) == "|f{}");
  }

  TEST_CASE("ids differ, follow from the seed and have the form that templates want") {
    const std::string call = R"(<tool_call>{"name": "f"}</tool_call>)";
    const auto got = parse_whole(options_of(tool_style::hermes), call + call).calls;
    REQUIRE(got.size() == 2);
    CHECK(got[0].id.starts_with("call_"));
    CHECK(got[0].id.size() == 29);
    CHECK(got[0].id != got[1].id);
    CHECK(got == parse_whole(options_of(tool_style::hermes), call + call).calls);
    const auto short_one =
        parse_whole(options_of(tool_style::mistral), R"([TOOL_CALLS][{"name": "f"}])").calls;
    CHECK(short_one.at(0).id.size() == 9);
  }

  TEST_CASE("text made to be read again and again is read in linear time") {
    for (const char* piece :
         {"<tool_call>", "<tool_call>{\"", "<tool_call>{\",\":\"", "\n", "<tool_call>{\"a\":[\"",
          "[TOOL_CALLS][", "[TOOL_CALLS][{\"", "[", "{"}) {
      const std::string text = repeat(piece, 50'000);
      for (const table& t : tables) {
        tool_call_parser parser{options_of(t.style)};
        tool_output all;
        for (size_t i = 0; i < text.size(); i += 5) {
          append(all, parser.push(std::string_view{text}.substr(i, 5)));
        }
        append(all, parser.finish());
        CHECK(all.text == text);
      }
    }
  }
}
