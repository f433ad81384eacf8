#include "runtime/openai/answer.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace llmos;
using namespace llmos::openai;

namespace {

constexpr const char* call_of_f = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>";

completion_request request_of(endpoint where, uint32_t n, bool stream) {
  completion_request out;
  out.where = where;
  out.prompts.emplace_back();
  out.n = n;
  out.stream = stream;
  return out;
}

answer answer_to(completion_request request, const tool_parser_options& tools = {}) {
  response_head head{request.where, "id-1", 7, "m", request.include_usage};
  return answer(std::move(request), std::move(head), tools, [](token_id) { return "t"; });
}

tool_parser_options one_call() {
  tool_parser_options out;
  out.style = tool_style::hermes;
  out.names = {"f"};
  out.max_calls = 1;
  return out;
}

text_chunk text(const char* x) {
  return {{}, x, {}};
}

generation_done done(finish_reason why, uint32_t num_tokens = 1) {
  generation_done out;
  out.reason = why;
  out.usage.prompt_tokens = 10;
  out.usage.completion_tokens = num_tokens;
  return out;
}

/// The data of each event of a stream.
std::vector<json> events(std::string_view stream) {
  std::vector<json> out;
  while (!stream.empty()) {
    const size_t end = stream.find("\n\n");
    REQUIRE(end != std::string_view::npos);
    const auto data = stream.substr(6, end - 6);
    out.push_back(data == "[DONE]" ? json("[DONE]") : json::parse(data));
    stream.remove_prefix(end + 2);
  }
  return out;
}

}  // namespace

TEST_SUITE("runtime.openai.answer") {
  TEST_CASE("an answer that is not streamed comes at its end, choices in their order") {
    auto a = answer_to(request_of(endpoint::completions, 2, false));
    CHECK(a.begin().empty());
    CHECK(a.add(1, text("b")).empty());
    CHECK(a.end(1, done(finish_reason::length, 3)).empty());
    CHECK_FALSE(a.has_ended());
    CHECK(a.add(0, text("a")).empty());
    CHECK(a.end(0, done(finish_reason::stop, 2)).empty());
    REQUIRE(a.has_ended());
    const json got = json::parse(a.finish());
    CHECK(got["choices"][0]["text"] == "a");
    CHECK(got["choices"][0]["finish_reason"] == "stop");
    CHECK(got["choices"][1]["text"] == "b");
    CHECK(got["choices"][1]["finish_reason"] == "length");
    CHECK(got["usage"]["prompt_tokens"] == 10);
    CHECK(got["usage"]["completion_tokens"] == 5);
  }

  TEST_CASE("a stream tells each choice's text as it comes, then its reason, usage and the end") {
    auto request = request_of(endpoint::chat, 2, true);
    request.include_usage = true;
    auto a = answer_to(std::move(request));
    CHECK(events(a.begin()).size() == 2);
    const auto piece = events(a.add(1, text("b")));
    REQUIRE(piece.size() == 1);
    CHECK(piece[0]["choices"][0]["index"] == 1);
    CHECK(piece[0]["choices"][0]["delta"]["content"] == "b");
    const auto last = events(a.end(1, done(finish_reason::stop)));
    REQUIRE(last.size() == 1);
    CHECK(last[0]["choices"][0]["finish_reason"] == "stop");
    a.end(0, done(finish_reason::length));
    REQUIRE(a.has_ended());
    const auto rest = events(a.finish());
    REQUIRE(rest.size() == 2);
    CHECK(rest[0]["usage"]["total_tokens"] == 12);
    CHECK(rest[1] == "[DONE]");
  }

  TEST_CASE("a chunk that brings nothing for the client is no event") {
    auto a = answer_to(request_of(endpoint::chat, 1, true));
    CHECK(a.add(0, text("")).empty());
  }

  TEST_CASE("a choice that has its calls may be cancelled and ends as one that called") {
    for (const bool stream : {false, true}) {
      CAPTURE(stream);
      auto a = answer_to(request_of(endpoint::chat, 1, stream), one_call());
      std::string told = a.add(0, text(call_of_f));
      REQUIRE(a.is_full(0));
      told += a.end(0, done(finish_reason::cancelled));
      const json got = stream ? events(told).back() : json::parse(a.finish());
      CHECK(got["choices"][0]["finish_reason"] == "tool_calls");
      CHECK(a.verdict().ok());
    }
  }

  TEST_CASE("one that a client cancelled says so, though it had begun a call") {
    auto a = answer_to(request_of(endpoint::chat, 1, false), one_call());
    a.add(0, text("<tool_call>{\"name\":"));
    CHECK_FALSE(a.is_full(0));
    a.end(0, done(finish_reason::cancelled));
    const json choice = json::parse(a.finish())["choices"][0];
    CHECK(choice["message"]["content"] == "<tool_call>{\"name\":");
    CHECK(choice["finish_reason"] == "abort");
  }

  TEST_CASE("each choice's calls have ids of their own") {
    auto a = answer_to(request_of(endpoint::chat, 2, false), one_call());
    for (const size_t i : {0, 1}) {
      a.add(i, text(call_of_f));
      a.end(i, done(finish_reason::stop));
    }
    const json choices = json::parse(a.finish())["choices"];
    CHECK(choices[0]["message"]["tool_calls"][0]["id"] !=
          choices[1]["message"]["tool_calls"][0]["id"]);
  }

  TEST_CASE("a choice without the call that was asked for is an error of the whole") {
    auto request = request_of(endpoint::chat, 2, false);
    request.tool_use.what = tool_choice::kind::required;
    auto a = answer_to(std::move(request), one_call());
    a.add(0, text(call_of_f));
    a.add(1, text("no"));
    for (const size_t i : {0, 1}) a.end(i, done(finish_reason::stop));
    REQUIRE_FALSE(a.verdict().ok());
    CHECK(a.verdict().error().status == 500);
  }
}
