#include "runtime/schedule/generation.hpp"

#include <doctest/doctest.h>

#include "runtime/schedule/engine_plan.hpp"
#include "runtime/schedule/prompt.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tiny_model.hpp"

using namespace llmos;
using kind = generation_update::kind;

namespace {

loaded_model_ptr tiny() {
  static const auto loaded = [] {
    test::temp_dir dir;
    test::write_tiny_model(dir.file("tiny.gguf"));
    return load_model_file("tiny", dir.file("tiny.gguf")).value();
  }();
  return loaded;
}

generation start(std::vector<std::string> stop = {}, bool logprobs = false) {
  generate_request r;
  r.prompt = "p";
  r.sampling.stop = std::move(stop);
  r.sampling.logprobs = logprobs;
  return generation{make_spec(*tiny(), r, {1}, {4}, 9, 4096).value(), tiny()->vocabulary};
}

token_event byte(uint32_t index, char c, stop_reason stop = stop_reason::none) {
  token_event e;
  e.id = {1};
  e.index = index;
  e.token.id = static_cast<token_id>(static_cast<unsigned char>(c)) + 3;
  e.stop = stop;
  return e;
}

}  // namespace

TEST_SUITE("runtime.schedule.generation") {
  TEST_CASE("half a character waits for its other half") {
    auto g = start();
    CHECK(g.accept(byte(0, '\xc3')).what == kind::none);
    const auto u = g.accept(byte(1, '\xa9'));
    CHECK(u.what == kind::text);
    CHECK(u.chunk.text == "é");
  }

  TEST_CASE("an end in mid-character gives the replacement character") {
    auto g = start();
    const auto u = g.accept(byte(0, '\xc3', stop_reason::length));
    CHECK(u.what == kind::finished);
    CHECK(u.reason == finish_reason::length);
    CHECK(u.chunk.text == "\xef\xbf\xbd");
  }

  TEST_CASE("text that could become a stop string is held back and given out at the end") {
    auto g = start({"xyz"});
    CHECK(g.accept(byte(0, 'a')).chunk.text == "a");
    CHECK(g.accept(byte(1, 'x')).what == kind::none);
    CHECK(g.accept(byte(2, 'y', stop_reason::length)).chunk.text == "xy");
  }

  TEST_CASE("a stop string ends before the engine knows") {
    auto g = start({"xy"});
    g.accept(byte(0, 'a'));
    g.accept(byte(1, 'x'));
    const auto u = g.accept(byte(2, 'y'));
    CHECK(u.what == kind::finished);
    CHECK(u.engine_runs);
    CHECK(u.chunk.text.empty());
    CHECK(g.stop_string() == "xy");
  }

  TEST_CASE("an end token has no text but counts") {
    auto g = start();
    g.accept(byte(0, 'a'));
    auto e = byte(1, 'b', stop_reason::end_token);
    e.token.id = 2;
    const auto u = g.accept(e);
    CHECK(u.what == kind::finished);
    CHECK(u.reason == finish_reason::stop);
    CHECK(u.chunk.text.empty());
    CHECK(g.tokens().size() == 2);
  }

  TEST_CASE(
      "repeats are dropped, gaps are noticed, the continuation starts after what was accepted") {
    auto g = start();
    g.accept(byte(0, 'a'));
    CHECK(g.accept(byte(0, 'a')).what == kind::none);
    CHECK(g.accept(byte(2, 'c')).what == kind::gap);
    CHECK(g.continuation()->tokens == std::vector<token_id>{4, 'a' + 3});
    CHECK(g.continuation()->num_prompt == 1);
  }

  TEST_CASE("tokens travel with their text only when asked for") {
    auto quiet = start();
    auto loud = start({}, true);
    CHECK(quiet.accept(byte(0, 'a')).chunk.tokens.empty());
    CHECK(loud.accept(byte(0, 'a')).chunk.tokens.size() == 1);
  }

  TEST_CASE("an evaluation without new tokens ends at once") {
    auto g = start();
    token_event e;
    e.id = {1};
    e.token.id = -1;
    e.stop = stop_reason::length;
    const auto u = g.accept(e);
    CHECK(u.what == kind::finished);
    CHECK(g.tokens().empty());
  }
}

TEST_SUITE("runtime.schedule.prompt") {
  TEST_CASE("messages go through the template, raw prompts do not") {
    generate_request chat;
    chat.messages = nlohmann::ordered_json::array({{{"role", "user"}, {"content", "hi"}}});
    const auto tokens = encode_prompt(*tiny(), chat, {}, 4096).value();
    CHECK(tiny()->vocabulary->decode(tokens, true) ==
          "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    CHECK(tokens.front() == 1);
    generate_request raw;
    raw.prompt = "hi";
    CHECK(encode_prompt(*tiny(), raw, {}, 4096).value().size() == 2);
  }

  TEST_CASE("a prompt that is no prompt is refused") {
    generate_request r;
    CHECK(encode_prompt(*tiny(), r, {}, 4096).error().code == ec::invalid_argument);
    r.prompt = "x";
    r.messages = nlohmann::ordered_json::array();
    CHECK(encode_prompt(*tiny(), r, {}, 4096).error().text ==
          "both messages and a raw prompt were given");
  }

  TEST_CASE("a text that cannot fit the context is not encoded") {
    // The tiny vocabulary's longest token, <|endoftext|>, has 13 bytes.
    generate_request r;
    r.prompt = std::string(13 * 20 + 1, 'x');
    const auto refused = encode_prompt(*tiny(), r, {}, 20).error();
    CHECK(refused.code == ec::over_context);
    CHECK(refused.text == "the prompt has at least 21 tokens; they exceed the context of 20");
    CHECK(encode_prompt(*tiny(), r, {}, 21).value().size() == 13 * 20 + 1);
    r.prompt.clear();
    for (int i = 0; i < 20; ++i) r.prompt += "<|endoftext|>";
    CHECK(encode_prompt(*tiny(), r, {}, 20).value().size() == 20);
  }

  TEST_CASE("max_tokens shrinks to the context unless the request asked for it") {
    struct row {
      const char* name;
      uint32_t num_prompt, max_tokens, min_tokens;
      bool asked;
      const char* want;
    };
    const row table[] = {
        {"a default that fits", 10, 54, 0, false, "54"},
        {"a default beyond the context", 10, 512, 0, false, "54"},
        {"room for one token", 63, 512, 0, false, "1"},
        {"no room", 64, 512, 0, false,
         "64 prompt tokens leave no room for an answer: they fill or exceed the context of 64"},
        {"a prompt that is too long", 70, 512, 0, false,
         "70 prompt tokens leave no room for an answer: they fill or exceed the context of 64"},
        {"only evaluated", 64, 0, 0, false, "0"},
        {"min_tokens holds", 10, 512, 60, false, "60"},
        {"asked for", 10, 512, 0, true, "512"},
        {"asked for without room", 64, 1, 0, true, "1"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      generate_request ask;
      ask.sampling.max_tokens = r.max_tokens;
      ask.sampling.min_tokens = r.min_tokens;
      ask.sampling.max_tokens_asked = r.asked;
      const auto got = make_spec(*tiny(), ask, {1}, std::vector<token_id>(r.num_prompt, 4), 9, 64);
      CHECK((got ? std::to_string((*got)->sampling.max_tokens) : got.error().text) == r.want);
      if (!got) CHECK(got.error().code == ec::over_context);
    }
  }

  TEST_CASE("ids that end a sequence follow ignore_eos") {
    generate_request r;
    r.sampling.stop_token_ids = {50};
    auto s = make_spec(*tiny(), r, {1}, {4}, 9, 4096).value();
    CHECK(s->end_ids.size() == 1 + s->eog_ids.size());
    r.sampling.ignore_eos = true;
    s = make_spec(*tiny(), r, {1}, {4}, 9, 4096).value();
    CHECK(s->end_ids == std::vector<token_id>{50});
  }
}
