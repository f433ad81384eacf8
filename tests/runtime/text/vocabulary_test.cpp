#include "runtime/text/vocabulary.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "runtime/text/tokenizer.hpp"
#include "tests/support/gguf_writer.hpp"
#include "tests/support/small_vocabulary.hpp"

using namespace llmos;
using test::encoded;

namespace {

std::string error_of(const vocabulary_source& source) {
  const auto made = make_tokenizer(source);
  return made.ok() ? "" : to_string(made.error());
}

}  // namespace

TEST_SUITE("runtime.text.vocabulary") {
  TEST_CASE("contradictory vocabularies are refused by name") {
    struct row {
      const char* name;
      std::function<void(vocabulary_source&)> spoil;
      const char* want;
    };
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const row rows[] = {
        {"unknown model", [](auto& s) { s.model = "bert"; },
         "unsupported: tokenizer.ggml.model 'bert' is not known (llmos reads 'gpt2' (byte-level "
         "BPE) and 'llama' (SentencePiece) vocabularies)"},
        {"unknown pattern", [](auto& s) { s.pre = "xyz"; },
         "unsupported: pre-tokenizer 'xyz' is not known (its token ids cannot be guessed; use a "
         "model whose tokenizer.ggml.pre is known)"},
        {"no tokens", [](auto& s) { s.tokens.clear(); },
         "not_found: tokenizer.ggml.tokens is empty (the model has no vocabulary)"},
        {"a token twice", [](auto& s) { s.tokens[7] = s.tokens[5]; },
         "bad_file: tokenizer.ggml.tokens: 'ą' is token 5 and token 7"},
        {"kinds too short", [](auto& s) { s.kinds->pop_back(); },
         "bad_file: tokenizer.ggml.token_type has 258 entries for 259 tokens"},
        {"scores too long", [](auto& s) { s.scores.emplace(300, 0.0f); },
         "bad_file: tokenizer.ggml.scores has 300 entries for 259 tokens"},
        {"a score that is no number", [=](auto& s) { s.scores.emplace(259, nan); },
         "bad_file: tokenizer.ggml.scores: the score of token 0 is not a number"},
        {"bos out of range", [](auto& s) { s.bos = 259; },
         "bad_file: tokenizer.ggml.bos_token_id is 259 but the vocabulary has 259 tokens"},
        {"eot far out of range", [](auto& s) { s.eot = std::numeric_limits<uint64_t>::max(); },
         "bad_file: tokenizer.ggml.eot_token_id is 18446744073709551615 but the vocabulary has "
         "259 tokens"},
        {"add_bos without bos", [](auto& s) { s.bos.reset(), s.add_bos = true; },
         "bad_file: tokenizer.ggml.add_bos_token is true but there is no "
         "tokenizer.ggml.bos_token_id"},
        {"a merge of one part", [](auto& s) { s.merges = {"ab"}; },
         "bad_file: tokenizer.ggml.merges: entry 0 'ab' is not two parts with a space between"},
        {"a merge with nothing", [](auto& s) { s.merges = {"a "}; },
         "bad_file: tokenizer.ggml.merges: entry 0 'a ' is not two parts with a space between"},
        {"an odd byte token", [](auto& s) { (*s.kinds)[65] = 6; },
         "bad_file: tokenizer.ggml.tokens: byte token 65 reads 'A', not like <0x0A>"},
    };
    for (const auto& r : rows) {
      CAPTURE(r.name);
      auto source = test::small_bpe({});
      r.spoil(source);
      const auto got = error_of(source);
      CHECK(got.substr(0, got.find(" (get another copy")) == r.want);
    }
  }

  TEST_CASE("odd but harmless vocabularies load") {
    auto source = test::small_bpe({"q u"});
    source.merges = {"\xFF\xFE \xFF", "Ġ Ġ", "x y z"};
    source.tokens[1] = "";
    source.tokens[2] = "";
    source.tokens[3] = "\xC3\x28 raw \u4E2D";
    (*source.kinds)[4] = 99;
    const auto t = test::make(source);
    const auto ids = t->encode("qu\xFF  xy", {});
    REQUIRE(ids.ok());
    std::string piece;
    t->append_piece(3, piece, false);
    CHECK(piece == "\xC3\x28 raw \u4E2D");
    CHECK(t->vocabulary_text(1) == "");
  }

  TEST_CASE("the well-known endings end a generation") {
    auto source = test::small_bpe({});
    for (const char* text : {"<|eot_id|>", "<end_of_turn>", "<|endoftext|>", "<reponame>"}) {
      source.tokens.emplace_back(text);
      source.kinds->push_back(static_cast<int32_t>(token_kind::normal));
    }
    source.eot = 'x';
    const auto t = test::make(source);
    std::vector<token_id> want = {'x', 257};
    for (token_id id = 259; id < 263; ++id) want.push_back(id);
    const auto got = t->end_of_generation();
    CHECK(std::vector<token_id>(got.begin(), got.end()) == want);
    CHECK(t->is_control(262));
    CHECK_FALSE(t->is_control('x'));
  }

  TEST_CASE("the default of add_bos follows the pattern, the file has the last word") {
    auto source = test::small_bpe({}, "llama-bpe");
    CHECK(test::make(source)->add_bos_by_default());
    source.add_bos = false;
    CHECK_FALSE(test::make(source)->add_bos_by_default());
    CHECK_FALSE(test::make(test::small_bpe({}, "qwen2"))->add_bos_by_default());
    CHECK(test::make(test::small_spm({}))->add_bos_by_default());
  }

  TEST_CASE("a GGUF file says all of it") {
    const auto source = test::small_spm({{"▁", -9}, {"a", -9}, {"▁a", -1}});
    const auto write = [&](auto&& change) {
      test::gguf_writer w;
      w.add_kv("tokenizer.ggml.model", source.model);
      w.add_kv("tokenizer.ggml.tokens", source.tokens);
      w.add_kv("tokenizer.ggml.token_type", *source.kinds);
      w.add_kv("tokenizer.ggml.scores", *source.scores);
      w.add_kv("tokenizer.ggml.add_space_prefix", false);
      change(w);
      return w.bytes();
    };
    const auto load = [](const std::vector<std::byte>& bytes) {
      const auto file = gguf_file::parse(bytes, "test.gguf");
      REQUIRE(file.ok());
      return make_tokenizer(**file);
    };
    const auto good = load(write([](auto& w) {
      w.add_kv("tokenizer.ggml.eos_token_id", 1u);
      w.add_kv("tokenizer.ggml.add_bos_token", false);
      w.add_kv("tokenizer.ggml.eot_token_id", 4294967295u);  // -1: none
    }));
    REQUIRE(good.ok());
    CHECK(encoded(**good, "a a") == "a ▁a");
    CHECK((*good)->eos() == 1);
    CHECK((*good)->bos() == 1);  // the original LLaMA's, for want of a key
    CHECK_FALSE((*good)->add_bos_by_default());
    const auto bad = load(write([](auto& w) { w.add_kv("tokenizer.ggml.eos_token_id", 999u); }));
    REQUIRE_FALSE(bad.ok());
    CHECK(bad.error().code == ec::bad_file);
    CHECK(bad.error().text.find("test.gguf: tokenizer.ggml.eos_token_id is 999") == 0);
    const auto wrong = load(write([](auto& w) { w.add_kv("tokenizer.ggml.merges", 3u); }));
    REQUIRE_FALSE(wrong.ok());
    CHECK(wrong.error().code == ec::bad_file);
  }

  TEST_CASE("a file without a vocabulary says so") {
    test::gguf_writer w;
    w.add_kv("general.name", "nothing");
    const auto bytes = w.bytes();
    const auto file = gguf_file::parse(bytes, "test.gguf");
    REQUIRE(file.ok());
    const auto made = make_tokenizer(**file);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().code == ec::not_found);
    CHECK(made.error().text == "test.gguf: no tokenizer.ggml.model");
  }
}
