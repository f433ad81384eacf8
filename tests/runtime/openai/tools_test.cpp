#include "runtime/openai/tools.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace llmos;
using namespace llmos::openai;

namespace {

json object(const char* text) {
  return json::parse(text);
}

struct refusal {
  const char* sent;
  const char* param;
  const char* message;
};

const json weather = object(R"([{"type": "function", "function": {"name": "weather"}},
                                {"type": "function", "function": {"name": "time"}}])");

}  // namespace

TEST_SUITE("runtime.openai.tools") {
  TEST_CASE("tools keep what a template prints, and none is as if there were no list") {
    const auto got = read_tools(object(R"([{"type": "function", "function": {"strict": false,
        "description": null, "parameters": {"type": "object", "x": null}, "name": "f"}}])"));
    REQUIRE_MESSAGE(got.ok(), got.error().message);
    CHECK(
        got->dump() ==
        R"([{"type":"function","function":{"name":"f","parameters":{"type":"object","x":null}}}])");
    CHECK(read_tools(json::array())->is_null());
  }

  TEST_CASE("a tool that cannot be used is refused by name") {
    const refusal rows[] = {
        {"{}", "tools", "tools: expected a list, found an object"},
        {R"([{"type": "web_search"}])", "tools[0].type",
         "tools[0].type: 'web_search' is not supported; allowed: function"},
        {R"([{"type": "function"}])", "tools[0].function", "tools[0].function is missing"},
        {R"([{"type": "function", "function": {"name": "a b"}}])", "tools[0].function.name",
         "tools[0].function.name: allowed: 1 to 64 of a-z, A-Z, 0-9, _ and -"},
        {R"([{"type": "function", "function": {"name": "f", "strict": true}}])",
         "tools[0].function.strict",
         "tools[0].function.strict: answers cannot be held to a schema yet; leave it out or send "
         "false"},
        {R"([{"type": "function", "function": {"name": "f", "parameters": "x"}}])",
         "tools[0].function.parameters",
         "tools[0].function.parameters: expected an object, found a text"},
        {R"([{"type": "function", "function": {"name": "f"}},
             {"type": "function", "function": {"name": "f"}}])",
         "tools", "tools: two functions are named f"},
    };
    for (const refusal& r : rows) {
      CAPTURE(r.sent);
      const auto got = read_tools(object(r.sent));
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().param == r.param);
      CHECK(got.error().message == r.message);
    }
  }

  TEST_CASE("a choice of tools is a word or a named function") {
    using kind = tool_choice::kind;
    CHECK(read_tool_choice("none", weather)->what == kind::none);
    CHECK(read_tool_choice("auto", json{})->what == kind::automatic);
    CHECK(read_tool_choice("required", weather)->what == kind::required);
    const auto named =
        read_tool_choice(object(R"({"type": "function", "function": {"name": "time"}})"), weather);
    REQUIRE(named.ok());
    CHECK(named->what == kind::function);
    CHECK(named->function == "time");
  }

  TEST_CASE("a choice that no tool can meet is refused") {
    struct row {
      json sent;
      json tools;
      const char* message;
    };
    const row rows[] = {
        {"any", weather, "tool_choice: 'any'; allowed: none, auto, required, or a named function"},
        {"required", nullptr, "tool_choice asks for a call, but there are no tools"},
        {object(R"({"type": "function", "function": {"name": "f"}})"), weather,
         "tool_choice: no tool is named f"},
        {3, weather, "tool_choice: expected an object, found 3"},
    };
    for (const row& r : rows) {
      CAPTURE(r.message);
      const auto got = read_tool_choice(r.sent, r.tools);
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().param == "tool_choice");
      CHECK(got.error().message == r.message);
    }
  }
}
