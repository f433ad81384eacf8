#include "runtime/openai/models.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace llmos;
using namespace llmos::openai;

namespace {

std::vector<model_status> two_models() {
  std::vector<model_status> out(2);
  out[0].name = "smollm2";
  out[1].name = "qwen3/8b";
  return out;
}

}  // namespace

TEST_SUITE("runtime.openai.models") {
  TEST_CASE("models are listed as OpenAI lists them") {
    CHECK(render_models(two_models(), 7) ==
          R"({"object":"list","data":[)"
          R"({"id":"smollm2","object":"model","created":7,"owned_by":"llmos"},)"
          R"({"id":"qwen3/8b","object":"model","created":7,"owned_by":"llmos"}]})");
    CHECK(render_models({}, 7) == R"({"object":"list","data":[]})");
  }

  TEST_CASE("one model is shown by name, an unknown one is 404") {
    CHECK(*render_model(two_models(), "qwen3/8b", 7) ==
          R"({"id":"qwen3/8b","object":"model","created":7,"owned_by":"llmos"})");
    const auto got = render_model(two_models(), "gpt-4", 7);
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().status == 404);
    CHECK(got.error().code == "model_not_found");
    CHECK(got.error().param == "model");
  }

  TEST_CASE("a text or a chat is tokenized") {
    const auto text = parse_tokenize_request(
        R"({"model": "m", "prompt": "", "add_special_tokens": false, "messages": null})");
    REQUIRE(text.ok());
    CHECK(text->model == "m");
    CHECK_FALSE(text->add_special_tokens);
    const auto chat = parse_tokenize_request(
        R"({"messages": [{"role": "developer", "content": "x"}], "add_generation_prompt": true})");
    REQUIRE(chat.ok());
    CHECK(chat->messages.dump() == R"([{"role":"system","content":"x"}])");
    CHECK(chat->add_special_tokens);
    const token_id ids[] = {1, 2};
    CHECK(render_tokens(ids, 8192) == R"({"count":2,"max_model_len":8192,"tokens":[1,2]})");
  }

  TEST_CASE("ids are turned into text") {
    const auto got = parse_detokenize_request(R"({"model": null, "tokens": [0, 5.0, 2147483647]})");
    REQUIRE(got.ok());
    CHECK(got->tokens == std::vector<token_id>{0, 5, 2147483647});
    CHECK(render_prompt("a\"b") == R"({"prompt":"a\"b"})");
  }

  TEST_CASE("a body that makes no sense names its field") {
    struct row {
      const char* body;
      const char* param;
    };
    for (const row& r :
         {row{"{}", "prompt"}, row{R"({"prompt": "a", "messages": []})", "messages"},
          row{R"({"prompt": "a", "messages": [{"role": "user", "content": "x"}]})", "prompt"},
          row{R"({"prompt": 5})", "prompt"}, row{R"({"prompt": "a", "colour": 1})", "colour"},
          row{R"({"prompt": "a", "return_token_strs": true})", "return_token_strs"},
          row{R"({"prompt": "a", "tools": [{"type": "function", "function": {"name": "f"}}]})",
              "tools"}}) {
      CAPTURE(r.body);
      const auto got = parse_tokenize_request(r.body);
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().param == r.param);
    }
    for (const char* body : {"{}", R"({"tokens": 1})", R"({"tokens": [1.5]})",
                             R"({"tokens": [-1]})", R"({"tokens": [2147483648]})"}) {
      CAPTURE(body);
      const auto got = parse_detokenize_request(body);
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().param == "tokens");
    }
  }
}
