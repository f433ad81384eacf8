#include "runtime/text/tokenizer.hpp"

#include <doctest/doctest.h>

#include <string>

#include "runtime/text/vocabulary.hpp"
#include "tests/support/small_vocabulary.hpp"

using namespace llmos;
using test::encoded;

TEST_SUITE("runtime.text.tokenizer") {
  TEST_CASE("control tokens are recognised on request, user-defined ones always") {
    const auto t = test::make(test::small_bpe({}));
    encode_options special;
    special.special = true;
    CHECK(encoded(*t, "a<|im_end|>b", special) == "a <|im_end|> b");
    CHECK(encoded(*t, "<|im_end|", special) == "< | i m _ e n d |");
    CHECK(encoded(*t, "<|im_end|>") == "< | i m _ e n d | >");
    CHECK(encoded(*t, "a<user>b") == "a <user> b");
    CHECK(encoded(*t, "<<user><user>>") == "< <user> <user> >");
  }

  TEST_CASE("of overlapping special tokens the longest wins, then the leftmost") {
    auto source = test::small_bpe({});
    const auto add = [&](const char* text) {
      source.tokens.emplace_back(text);
      source.kinds->push_back(static_cast<int32_t>(token_kind::user_defined));
    };
    add("<a>"), add("<a><b>"), add("b><cc>"), add("xx");
    const auto t = test::make(source);
    CHECK(encoded(*t, "<a><b><cc>") == "<a><b> < c c >");
    CHECK(encoded(*t, "<b><cc><a>") == "< b><cc> <a>");
    CHECK(encoded(*t, "xxxxx") == "xx xx x");
  }

  TEST_CASE("Phi-3 takes the white space after special tokens away") {
    auto source = test::small_bpe({});
    source.general_name = "Phi-3 Mini";
    encode_options special;
    special.special = true;
    CHECK(encoded(*test::make(source), "<|im_end|> \n a", special) == "<|im_end|> a");
    CHECK(encoded(*test::make(source), "<|im_end|>\n<|im_end|>", special) ==
          "<|im_end|> <|im_end|>");
  }

  TEST_CASE("bos and eos frame the text on request") {
    const auto t = test::make(test::small_bpe({}));
    CHECK(encoded(*t, "a", {.add_bos = true, .add_eos = true}) == "<|im_start|> a <|im_end|>");
    auto source = test::small_bpe({});
    source.bos.reset();
    source.eos.reset();
    const auto without = test::make(source);
    CHECK(without->encode("a", {.add_bos = true}).error().code == ec::invalid_argument);
    CHECK(without->encode("a", {.add_eos = true}).error().code == ec::invalid_argument);
  }

  TEST_CASE("plain text never becomes a control token") {
    auto bpe = test::small_bpe({}, "llama-bpe");
    bpe.tokens.emplace_back("EOS");
    bpe.kinds->push_back(static_cast<int32_t>(token_kind::control));
    CHECK(encoded(*test::make(bpe), "EOS") == "E O S");
    const auto spm = test::make(test::small_spm({{"s>", -1}, {"<s", -2}, {"▁", -3}}));
    CHECK(encoded(*spm, "<s>") == "▁ <0x3C> s>");
  }

  TEST_CASE("a file without tokenizer.ggml.pre gets the default pattern") {
    auto source = test::small_bpe({"1 2", "12 3"});
    source.pre.reset();
    const auto without = test::make(source);
    source.pre = "default";
    CHECK(encoded(*without, "1234 +5") == encoded(*test::make(source), "1234 +5"));
  }
}
