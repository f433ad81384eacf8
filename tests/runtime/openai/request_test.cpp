#include "runtime/openai/request.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/chat_templates.hpp"

using namespace llmos;
using namespace llmos::openai;

namespace {

/// The fields of `text` beside what has to be there.
std::string body_of(endpoint where, const std::string& fields) {
  const char* needed = where == endpoint::chat
                           ? R"({"model": "m", "messages": [{"role": "user", "content": "Hi"}])"
                           : R"({"model": "m", "prompt": "Hi")";
  return needed + (fields.empty() ? "" : ", " + fields) + "}";
}

completion_request read(endpoint where, const std::string& fields,
                        const parse_options& options = {}) {
  auto got = parse_completion_request(where, body_of(where, fields), options);
  if (!got.ok()) FAIL(got.error().message);
  return *std::move(got);
}

api_error refused(endpoint where, const std::string& fields, const parse_options& options = {}) {
  const auto got = parse_completion_request(where, body_of(where, fields), options);
  if (got.ok()) FAIL("taken: " << fields);
  CHECK(got.error().status == 400);
  CHECK(got.error().type == "invalid_request_error");
  return got.error();
}

sampling_params sampling(const std::string& fields, endpoint where = endpoint::chat) {
  return read(where, fields).prompts.at(0).sampling;
}

constexpr endpoint both[] = {endpoint::chat, endpoint::completions};
constexpr const char* tools = R"("tools": [{"type": "function", "function": {"name": "f"}},
                                           {"type": "function", "function": {"name": "g"}}])";

}  // namespace

TEST_SUITE("runtime.openai.request") {
  TEST_CASE("what a request leaves out or sends as null is the node's default") {
    parse_options options;
    options.defaults.temperature = 0.5f;
    options.defaults.max_tokens = 7;
    for (const endpoint where : both) {
      for (const char* fields : {"", R"("temperature": null, "max_tokens": null, "stop": null,
              "seed": null, "stream": null, "n": null, "logit_bias": null, "functions": null,
              "stream_options": null, "user": null, "echo": null, "logprobs": null)"}) {
        CAPTURE(fields);
        const auto got = read(where, fields, options);
        CHECK(got.model == "m");
        CHECK(got.num_choices() == 1);
        CHECK_FALSE(got.stream);
        CHECK(got.prompts.at(0).sampling == options.defaults);
        CHECK(got.prompts.at(0).model == "m");
      }
    }
    CHECK(parse_completion_request(endpoint::completions, R"({"prompt": "x"})", {})->model.empty());
  }

  TEST_CASE("every sampling field reaches the sampler") {
    for (const endpoint where : both) {
      const auto p = sampling(R"("temperature": 0, "top_k": 5.0, "top_p": 0.5, "min_p": 0.25,
          "typical_p": 0.75, "repetition_penalty": 1.5, "frequency_penalty": -2,
          "presence_penalty": 2, "logit_bias": {"7": -100, "0": 0.5}, "max_tokens": 9,
          "min_tokens": 3, "ignore_eos": true, "stop_token_ids": [1, 2], "stop": ["a", "b"],
          "seed": 18446744073709551615, "priority": 0)",
                              where);
      CHECK(p.temperature == 0);
      CHECK(p.top_k == 5);
      CHECK(p.top_p == 0.5f);
      CHECK(p.min_p == 0.25f);
      CHECK(p.typical_p == 0.75f);
      CHECK(p.repetition_penalty == 1.5f);
      CHECK(p.frequency_penalty == -2);
      CHECK(p.presence_penalty == 2);
      CHECK(p.logit_bias == std::map<token_id, float>{{0, 0.5f}, {7, -100}});
      CHECK(p.max_tokens == 9);
      CHECK(p.max_tokens_asked);
      CHECK(p.min_tokens == 3);
      CHECK(p.ignore_eos);
      CHECK(p.stop_token_ids == std::vector<token_id>{1, 2});
      CHECK(p.stop == std::vector<std::string>{"a", "b"});
      CHECK(p.seed == UINT64_MAX);
    }
    CHECK(read(endpoint::chat, R"("priority": -2147483648)").priority() == -2147483647 - 1);
    CHECK(read(endpoint::completions, R"("priority": 7.0)").choice(0).priority == 7);
    CHECK(sampling(R"("stop": "END")").stop == std::vector<std::string>{"END"});
    CHECK(sampling(R"("max_completion_tokens": 4)").max_tokens == 4);
    CHECK(sampling(R"("max_completion_tokens": 4, "max_tokens": 4)").max_tokens == 4);
  }

  TEST_CASE("log-probabilities are asked for in either way") {
    CHECK_FALSE(sampling(R"("logprobs": false)").logprobs);
    CHECK(sampling(R"("logprobs": true)").top_logprobs == 0);
    CHECK(sampling(R"("top_logprobs": 20, "logprobs": true)").top_logprobs == 20);
    CHECK(refused(endpoint::chat, R"("top_logprobs": 2)").param == "top_logprobs");
    CHECK(refused(endpoint::chat, R"("logprobs": true, "top_logprobs": 21)").param ==
          "top_logprobs");
    CHECK(refused(endpoint::chat, R"("logprobs": 2)").param == "logprobs");
    CHECK(sampling(R"("logprobs": 0)", endpoint::completions).logprobs);
    CHECK(sampling(R"("logprobs": 5)", endpoint::completions).top_logprobs == 5);
    CHECK(refused(endpoint::completions, R"("logprobs": 6)").param == "logprobs");
    CHECK(refused(endpoint::completions, R"("logprobs": true)").param == "logprobs");
    CHECK(refused(endpoint::completions, R"("top_logprobs": 1)").param == "top_logprobs");
  }

  TEST_CASE("a field that cannot be used is refused by name") {
    struct row {
      const char* fields;
      const char* param;
      const char* code;
    };
    const std::string stops = "\"stop\": [" + test::repeat("\"a\",", 16) + "\"a\"]";
    const row rows[] = {
        {R"("temperature": 100.5)", "temperature", "invalid_value"},
        {R"("temperature": -0.1)", "temperature", "invalid_value"},
        {R"("temperature": 1e308)", "temperature", "invalid_value"},
        {R"("temperature": "1")", "temperature", "invalid_value"},
        {R"("temperature": true)", "temperature", "invalid_value"},
        {R"("top_p": 0)", "top_p", "invalid_value"},
        {R"("top_p": 1e-60)", "top_p", "invalid_value"},
        {R"("top_k": 5.5)", "top_k", "invalid_value"},
        {R"("top_k": -1)", "top_k", "invalid_value"},
        {R"("top_k": 2147483648)", "top_k", "invalid_value"},
        {R"("seed": -1)", "seed", "invalid_value"},
        {R"("seed": 18446744073709551616)", "seed", "invalid_value"},
        {R"("seed": 9007199254740994.0)", "seed", "invalid_value"},
        {R"("seed": 1e300)", "seed", "invalid_value"},
        {R"("max_tokens": -1)", "max_tokens", "invalid_value"},
        {R"("max_tokens": 4294967297)", "max_tokens", "invalid_value"},
        {R"("min_tokens": 5, "max_tokens": 4)", "min_tokens", "invalid_value"},
        {R"("frequency_penalty": 2.1)", "frequency_penalty", "invalid_value"},
        {R"("logit_bias": {"a": 1})", "logit_bias", "invalid_value"},
        {R"("logit_bias": {"-1": 1})", "logit_bias", "invalid_value"},
        {R"("logit_bias": {"01": 1})", "logit_bias", "invalid_value"},
        {R"("logit_bias": {"1": 100.1})", "logit_bias", "invalid_value"},
        {R"("logit_bias": [1])", "logit_bias", "invalid_value"},
        {R"("stop": 1)", "stop", "invalid_value"},
        {R"("stop": [""])", "stop", "invalid_value"},
        {stops.c_str(), "stop", "invalid_value"},
        {R"("stop_token_ids": ["a"])", "stop_token_ids", "invalid_value"},
        {R"("n": 0)", "n", "invalid_value"},
        {R"("n": 17)", "n", "invalid_value"},
        {R"("n": 1.5)", "n", "invalid_value"},
        {R"("stream": 1)", "stream", "invalid_value"},
        {R"("stream_options": {})", nullptr, nullptr},
        {R"("stream_options": {"include_usage": true})", "stream_options", "invalid_value"},
        {R"("stream": true, "stream_options": {"x": 1})", "stream_options.x", "unsupported"},
        {R"("user": 5)", "user", "invalid_value"},
        {R"("priority": 2147483647)", nullptr, nullptr},
        {R"("priority": 2147483648)", "priority", "invalid_value"},
        {R"("priority": -2147483649)", "priority", "invalid_value"},
        {R"("priority": 0.5)", "priority", "invalid_value"},
        {R"("response_format": {"type": "json_object"})", "response_format", "unsupported"},
        {R"("response_format": {"type": "text"})", nullptr, nullptr},
        {R"("functions": [])", "functions", "unsupported"},
        {R"("function_call": "auto")", "function_call", "unsupported"},
        {R"("echo": true)", "echo", "unsupported"},
        {R"("echo": false)", nullptr, nullptr},
        {R"("suffix": "x")", "suffix", "unsupported"},
        {R"("store": true)", "store", "unsupported"},
        {R"("modalities": ["text"])", nullptr, nullptr},
        {R"("modalities": ["audio"])", "modalities", "unsupported"},
        {R"("temprature": 1)", "temprature", "unknown_field"},
        {R"("temprature": null)", "temprature", "unknown_field"},
    };
    for (const endpoint where : both) {
      for (const row& r : rows) {
        CAPTURE(r.fields);
        if (r.param == nullptr) {
          read(where, r.fields);
          continue;
        }
        const api_error got = refused(where, r.fields);
        CHECK(got.param == r.param);
        CHECK(got.code == r.code);
        CHECK(got.message.find(r.param) != std::string::npos);
      }
    }
  }

  TEST_CASE("errors tell what is allowed, and what was probably meant") {
    CHECK(refused(endpoint::chat, R"("temperature": 101)").message ==
          "temperature: 101 is out of range; allowed: 0 to 100");
    CHECK(refused(endpoint::chat, R"("top_k": "5")").message ==
          "top_k: expected a whole number, found a text");
    CHECK(refused(endpoint::chat, R"("temprature": 1)").message ==
          "unknown field 'temprature'; did you mean temperature?");
    CHECK(refused(endpoint::chat, R"("max_tokens": 1, "max_completion_tokens": 2)").message ==
          "max_tokens and max_completion_tokens differ; send one");
    const std::string long_name(100'000, 'x');
    CHECK(refused(endpoint::chat, "\"" + long_name + "\": 1").message.size() < 200);
  }

  TEST_CASE("fields of one endpoint are unknown to the other") {
    for (const char* fields : {R"("prompt": "x")", R"("best_of": 1)"}) {
      CHECK(refused(endpoint::chat, fields).code == "unknown_field");
    }
    for (const char* fields : {R"("messages": [])", tools, R"("tool_choice": "none")",
                               R"("parallel_tool_calls": true)", R"("max_completion_tokens": 1)"}) {
      CHECK(refused(endpoint::completions, fields).code == "unknown_field");
    }
  }

  TEST_CASE("messages or a prompt have to be there") {
    CHECK(parse_completion_request(endpoint::chat, "{}", {}).error().param == "messages");
    CHECK(parse_completion_request(endpoint::completions, "{}", {}).error().param == "prompt");
    CHECK(parse_completion_request(endpoint::chat, "[]", {}).error().param.empty());
  }

  TEST_CASE("a prompt is a text or several; token ids are refused") {
    const auto parse = [](const std::string& prompt, uint32_t n = 1) {
      const std::string body = R"({"n": )" + std::to_string(n) + R"(, "prompt": )" + prompt + "}";
      parse_options options;
      options.max_choices = 4;
      return parse_completion_request(endpoint::completions, body, options);
    };
    const auto got = parse(R"(["a", "b"])", 2);
    REQUIRE(got.ok());
    CHECK(got->num_choices() == 4);
    CHECK(got->choice(1).prompt == "a");
    CHECK(got->choice(2).prompt == "b");
    CHECK(parse("\"\"")->prompts.at(0).prompt.empty());
    for (const char* prompt : {"[1, 2]", "[[1, 2], [3]]"}) {
      CHECK(parse(prompt).error().code == "unsupported");
      CHECK(parse(prompt).error().message == "prompt: token ids are not supported; send texts");
    }
    for (const char* prompt : {"[]", "5", "{}", "[true]", "[\"a\", null]"}) {
      CHECK(parse(prompt).error().param == "prompt");
    }
    CHECK(parse(R"(["a", "b", "c"])", 2).error().message ==
          "3 prompts times n 2 are more than 4 answers");
  }

  TEST_CASE("each of n answers has a seed of its own, the same for every prompt") {
    const auto got = *parse_completion_request(
        endpoint::completions, R"({"prompt": ["a", "b"], "n": 3, "seed": 18446744073709551614})",
        {});
    REQUIRE(got.num_choices() == 6);
    const uint64_t first = UINT64_MAX - 1;
    for (size_t i = 0; i < 6; ++i) CHECK(got.choice(i).sampling.seed == first + i % 3);
    CHECK_FALSE(read(endpoint::chat, R"("n": 2)").choice(1).sampling.seed);
  }

  TEST_CASE("best_of may only repeat n") {
    CHECK(read(endpoint::completions, R"("best_of": 2, "n": 2)").n == 2);
    CHECK(refused(endpoint::completions, R"("best_of": 2)").param == "best_of");
  }

  TEST_CASE("token ids that a model does not have are refused by name") {
    const auto refusal = [](const std::string& fields) {
      const auto got = check_token_ids(read(endpoint::chat, fields), 10);
      return got.ok() ? "" : got.error().param;
    };
    CHECK(refusal(R"("logit_bias": {"0": 1, "9": 1}, "stop_token_ids": [0, 9])").empty());
    CHECK(refusal(R"("logit_bias": {"9": 1, "10": 1})") == "logit_bias");
    CHECK(refusal(R"("stop_token_ids": [9, 10])") == "stop_token_ids");
  }

  TEST_CASE("a model is told of the tools it may call") {
    struct row {
      const char* choice;
      std::vector<std::string> names;
    };
    const row rows[] = {
        {"null", {"f", "g"}},
        {R"("auto")", {"f", "g"}},
        {R"("required")", {"f", "g"}},
        {R"("none")", {}},
        {R"({"type": "function", "function": {"name": "g"}})", {"g"}},
    };
    for (const row& r : rows) {
      CAPTURE(r.choice);
      // The choice may stand before the tools.
      const auto got = read(endpoint::chat, std::string{R"("tool_choice": )"} + r.choice + ", " +
                                                tools + R"(, "parallel_tool_calls": false)");
      CHECK(got.tool_names == r.names);
      CHECK(got.prompts.at(0).tools.size() == r.names.size());
      CHECK_FALSE(got.parallel_tool_calls);
    }
    CHECK(refused(endpoint::chat, R"("tool_choice": "required")").param == "tool_choice");
    CHECK(read(endpoint::chat, R"("tools": [])").prompts.at(0).tools.is_null());
  }
}
