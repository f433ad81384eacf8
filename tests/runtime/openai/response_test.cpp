#include "runtime/openai/response.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

using namespace llmos;
using namespace llmos::openai;

namespace {

response_head head_of(endpoint where) {
  return {where, "id-1", 7, "m", false};
}

/// Token 1 is "a", 2 an umlaut, 3 and 4 its halves.
std::string bytes_of(token_id id) {
  const char* texts[] = {"", "a", "\u00fc", "\xc3", "\xbc"};
  return texts[id];
}

json data_of(const std::string& event) {
  REQUIRE(event.starts_with("data: "));
  REQUIRE(event.ends_with("\n\n"));
  CHECK(event.find('\n') == event.size() - 2);
  return json::parse(event.substr(6));
}

std::vector<sampled_token> two_tokens() {
  return {{1, -0.5f, {{1, -0.5f}, {3, -1.5f}}},
          {3, -2, {{2, -0.25f}}},
          {4, -std::numeric_limits<float>::infinity(), {}}};
}

}  // namespace

TEST_SUITE("runtime.openai.response") {
  TEST_CASE("an id says which endpoint it comes from") {
    CHECK(response_id(endpoint::chat, 1, 0xab) == "chatcmpl-000000000000000100000000000000ab");
    CHECK(response_id(endpoint::completions, UINT64_MAX, 0) ==
          "cmpl-ffffffffffffffff0000000000000000");
  }

  TEST_CASE("usage counts a prompt once and every choice's tokens") {
    usage_counts u;
    generation_usage x;
    x.prompt_tokens = 10, x.cached_tokens = 4, x.completion_tokens = 3;
    u.add(x, true);
    u.add(x, false);
    CHECK(u.prompt_tokens == 10);
    CHECK(u.cached_tokens == 4);
    CHECK(u.completion_tokens == 6);
  }

  TEST_CASE("a chat's answer") {
    const choice_result choices[] = {{"Hi\xff", {}, finish_reason::length, {}}};
    CHECK(
        render_completion(head_of(endpoint::chat), choices, {10, 4, 3}, false, bytes_of) ==
        R"({"id":"id-1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,)"
        "\"message\":{\"role\":\"assistant\",\"content\":\"Hi\xef\xbf\xbd\",\"refusal\":null},"
        R"("logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":10,)"
        R"("completion_tokens":3,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":4}}})");
  }

  TEST_CASE("a text's answer, two of them") {
    const choice_result choices[] = {{"a", {}, finish_reason::stop, {}},
                                     {"b", {}, finish_reason::cancelled, {}}};
    CHECK(render_completion(head_of(endpoint::completions), choices, {}, false, bytes_of) ==
          R"({"id":"id-1","object":"text_completion","created":7,"model":"m","choices":[)"
          R"({"index":0,"text":"a","logprobs":null,"finish_reason":"stop"},)"
          R"({"index":1,"text":"b","logprobs":null,"finish_reason":"abort"}],)"
          R"("usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,)"
          R"("prompt_tokens_details":{"cached_tokens":0}}})");
  }

  TEST_CASE("calls of tools replace an empty content and the reason to stop") {
    const choice_result choices[] = {
        {"", {{"call_1", "f", "{\"a\": 1}"}}, finish_reason::stop, {}}};
    const auto got = json::parse(
        render_completion(head_of(endpoint::chat), choices, {}, false, bytes_of))["choices"][0];
    CHECK(got.dump() == R"({"index":0,"message":{"role":"assistant","content":null,"refusal":null,)"
                        R"("tool_calls":[{"id":"call_1","type":"function",)"
                        R"("function":{"name":"f","arguments":"{\"a\": 1}"}}]},)"
                        R"("logprobs":null,"finish_reason":"tool_calls"})");
  }

  TEST_CASE("a chat's log-probabilities have texts, bytes and alternatives") {
    const choice_result choices[] = {{"a\u00fc", {}, finish_reason::stop, two_tokens()}};
    const auto got =
        json::parse(render_completion(head_of(endpoint::chat), choices, {}, true, bytes_of));
    CHECK(got["choices"][0]["logprobs"].dump() ==
          R"({"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[)"
          R"({"token":"a","logprob":-0.5,"bytes":[97]},)"
          R"({"token":"bytes:\\xc3","logprob":-1.5,"bytes":[195]}]},)"
          R"({"token":"bytes:\\xc3","logprob":-2.0,"bytes":[195],"top_logprobs":[)"
          "{\"token\":\"\u00fc\",\"logprob\":-0.25,\"bytes\":[195,188]}]},"
          R"({"token":"bytes:\\xbc","logprob":-9999.0,"bytes":[188],"top_logprobs":[]}],)"
          R"("refusal":null})");
  }

  TEST_CASE("a text's log-probabilities are four lists, offsets in characters over all chunks") {
    const auto tokens = two_tokens();
    const std::span<const sampled_token> all{tokens};
    size_t offset = 0;
    const auto head = head_of(endpoint::completions);
    const auto first = data_of(chunk_event(head, 0, {"a", {}, 0, all.first(1)}, &offset, bytes_of));
    CHECK(first["choices"][0]["logprobs"].dump() ==
          R"({"tokens":["a"],"token_logprobs":[-0.5],)"
          R"("top_logprobs":[{"a":-0.5,"bytes:\\xc3":-1.5}],"text_offset":[0]})");
    const auto rest =
        data_of(chunk_event(head, 0, {"\u00fc", {}, 0, all.subspan(1)}, &offset, bytes_of));
    CHECK(rest["choices"][0]["logprobs"].dump() ==
          R"({"tokens":["bytes:\\xc3","bytes:\\xbc"],"token_logprobs":[-2.0,-9999.0],)"
          "\"top_logprobs\":[{\"\u00fc\":-0.25,\"bytes:\\\\xc3\":-2.0},null],"
          R"("text_offset":[1,2]})");
    CHECK(offset == 2);
  }

  TEST_CASE("a chat's stream: role, text, calls, reason, usage, end") {
    const auto head = head_of(endpoint::chat);
    CHECK(role_event(head, 1) ==
          R"(data: {"id":"id-1","object":"chat.completion.chunk","created":7,"model":"m",)"
          R"("choices":[{"index":1,"delta":{"role":"assistant","content":""},"logprobs":null,)"
          R"("finish_reason":null}]})"
          "\n\n");
    const auto choice = [](const std::string& event) { return data_of(event)["choices"][0]; };
    CHECK(choice(chunk_event(head, 0, {"x\ny", {}, 0, {}}, nullptr, bytes_of)).dump() ==
          R"({"index":0,"delta":{"content":"x\ny"},"logprobs":null,"finish_reason":null})");
    const tool_call calls[] = {{"call_1", "f", "{}"}};
    CHECK(choice(chunk_event(head, 0, {"", calls, 2, {}}, nullptr, bytes_of))["delta"].dump() ==
          R"({"tool_calls":[{"index":2,"id":"call_1","type":"function",)"
          R"("function":{"name":"f","arguments":"{}"}}]})");
    CHECK(choice(finish_event(head, 0, finish_reason::stop, true)).dump() ==
          R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"})");
    const auto usage = data_of(usage_event(head, {1, 0, 2}));
    CHECK(usage["choices"] == json::array());
    CHECK(usage["usage"]["total_tokens"] == 3);
    CHECK(done_event == "data: [DONE]\n\n");
  }

  TEST_CASE("a text's stream, and usage that is null until the end") {
    auto head = head_of(endpoint::completions);
    head.include_usage = true;
    CHECK(chunk_event(head, 0, {"x", {}, 0, {}}, nullptr, bytes_of) ==
          R"(data: {"id":"id-1","object":"text_completion","created":7,"model":"m","choices":[)"
          R"({"index":0,"text":"x","logprobs":null,"finish_reason":null}],"usage":null})"
          "\n\n");
    CHECK(data_of(finish_event(head, 0, finish_reason::length, false))["choices"][0].dump() ==
          R"({"index":0,"text":"","logprobs":null,"finish_reason":"length"})");
  }

  TEST_CASE("a stream that fails ends with the error") {
    CHECK(error_event(to_api_error({ec::engine_failed, "gone", ""})) ==
          R"(data: {"error":{"message":"gone","type":"server_error","param":null,)"
          R"("code":"engine_failed"}})"
          "\n\n");
  }

  TEST_CASE("a call that was asked for and did not come is an error") {
    using kind = tool_choice::kind;
    const tool_call f[] = {{"1", "f", "{}"}};
    CHECK(check_tool_choice({kind::automatic, ""}, {}).ok());
    CHECK(check_tool_choice({kind::none, ""}, {}).ok());
    CHECK(check_tool_choice({kind::required, ""}, f).ok());
    CHECK(check_tool_choice({kind::function, "f"}, f).ok());
    CHECK(check_tool_choice({kind::required, ""}, {}).error().param == "tool_choice");
    CHECK(check_tool_choice({kind::function, "g"}, f).error().code == "no_tool_call");
  }
}
