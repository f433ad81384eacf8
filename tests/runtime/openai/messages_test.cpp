#include "runtime/openai/messages.hpp"

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

}  // namespace

TEST_SUITE("runtime.openai.messages") {
  TEST_CASE("messages reach a template as it expects them") {
    struct row {
      const char* sent;
      const char* read;
    };
    const row rows[] = {
        {R"([{"role": "user", "content": "Hi"}])", R"([{"role":"user","content":"Hi"}])"},
        {R"([{"role": "developer", "content": "Be brief.", "name": "me"}])",
         R"([{"role":"system","content":"Be brief.","name":"me"}])"},
        {R"([{"role": "user", "content": [{"type": "text", "text": "a"},
                                          {"type": "text", "text": "b"}]}])",
         R"([{"role":"user","content":"a\nb"}])"},
        {R"([{"role": "assistant", "content": null, "refusal": null, "audio": null,
              "annotations": [], "tool_calls": [{"id": "call_1", "type": "function", "index": 0,
                "function": {"name": "add", "arguments": "{\"a\": 1}"}}]},
             {"role": "tool", "tool_call_id": "call_1", "content": "2"}])",
         R"([{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",)"
         R"("function":{"name":"add","arguments":{"a":1}}}]},)"
         R"({"role":"tool","content":"2","tool_call_id":"call_1"}])"},
        {R"([{"role": "assistant", "content": "x", "reasoning_content": "y", "tool_calls": []}])",
         R"([{"role":"assistant","content":"x","reasoning_content":"y"}])"},
    };
    for (const row& r : rows) {
      CAPTURE(r.sent);
      const auto got = read_messages(object(r.sent));
      REQUIRE_MESSAGE(got.ok(), got.error().message);
      CHECK(got->dump() == r.read);
    }
  }

  TEST_CASE("a message that cannot be read is refused by name") {
    const refusal rows[] = {
        {R"("Hi")", "messages", "messages: expected a list, found a text"},
        {"[]", "messages", "messages is empty"},
        {"[1]", "messages[0]", "messages[0]: expected an object, found 1"},
        {R"([{"content": "x"}])", "messages[0].role", "messages[0].role is missing"},
        {R"([{"role": "wizard", "content": "x"}])", "messages[0].role",
         "messages[0].role: 'wizard' is no role; allowed: system, developer, user, assistant, "
         "tool"},
        {R"([{"role": "user", "content": "x"}, {"role": "user"}])", "messages[1].content",
         "messages[1].content is missing"},
        {R"([{"role": "user", "content": null}])", "messages[0].content",
         "messages[0].content is missing"},
        {R"([{"role": "user", "content": 3}])", "messages[0].content",
         "messages[0].content: expected a text or a list of parts, found 3"},
        {R"([{"role": "user", "content": [{"type": "text", "text": "x"},
                                          {"type": "image_url", "image_url": {}}]}])",
         "messages[0].content[1].type",
         "messages[0].content[1].type: 'image_url' is not supported; allowed: text"},
        {R"([{"role": "user", "content": []}])", "messages[0].content",
         "messages[0].content is empty"},
        {R"([{"role": "user", "content": "x", "colour": 1}])", "messages[0].colour",
         "messages[0].colour is not supported"},
        {R"([{"role": "user", "content": "x", "tool_calls": [{}]}])", "messages[0].tool_calls",
         "messages[0].tool_calls is not supported"},
        {R"([{"role": "assistant", "function_call": {}}])", "messages[0].function_call",
         "messages[0].function_call is not supported"},
        {R"([{"role": "tool", "content": "x"}])", "messages[0].tool_call_id",
         "messages[0].tool_call_id is missing"},
        {R"([{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f",
             "arguments": "[1]"}}]}])",
         "messages[0].tool_calls[0].function.arguments",
         "messages[0].tool_calls[0].function.arguments: no JSON object: the body has to be a JSON "
         "object"},
        {R"([{"role": "assistant", "tool_calls": [{"function": {}}]}])",
         "messages[0].tool_calls[0].id", "messages[0].tool_calls[0].id is missing"},
    };
    for (const refusal& r : rows) {
      CAPTURE(r.sent);
      const auto got = read_messages(object(r.sent));
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().status == 400);
      CHECK(got.error().param == r.param);
      CHECK(got.error().message == r.message);
    }
  }
}
