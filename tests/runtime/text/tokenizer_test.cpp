#include "runtime/text/tokenizer.hpp"

#include <doctest/doctest.h>

#include <string>

#include "runtime/text/vocabulary.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/small_vocabulary.hpp"
#include "tests/support/splitmix64.hpp"

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

  TEST_CASE("how many tokens a text becomes at least follows from its bytes") {
    const auto bpe = test::make(test::small_bpe({"a a", "aa aa"}));  // the longest: <|im_start|>
    auto phi = test::small_bpe({});
    phi.general_name = "Phi-3 Mini";
    auto lossy = test::small_bpe({});
    lossy.tokens['z'] = "lost";
    const auto spm = test::make(test::small_spm({{"▁▁▁▁▁", -1}}));  // 15 bytes, 5 spaces
    struct row {
      const char* name;
      std::shared_ptr<const tokenizer> t;
      std::string text;
      uint64_t want;
    };
    const row table[] = {
        {"nothing", bpe, "", 0},
        {"one byte", bpe, "x", 1},
        {"as long as the longest", bpe, std::string(12, 'a'), 1},
        {"one more", bpe, std::string(13, 'a'), 2},
        {"bytes without a token may vanish", test::make(lossy), std::string(1000, 'z'), 0},
        {"white space that a token strips", test::make(phi), std::string(1000, ' '), 0},
        {"spaces of SentencePiece", spm, std::string(10, ' '), 2},
        {"its other bytes", spm, std::string(31, 'x'), 3},
        {"ill-formed UTF-8", bpe, std::string(1000, '\xff'), 0},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      CHECK(r.t->tokens_at_least(r.text) == r.want);
    }
  }

  TEST_CASE("no text has fewer tokens than it has at least") {
    auto phi = test::small_bpe({"a a", "aa aa", "Ġ Ġ", "ĠĠ ĠĠ"});
    phi.general_name = "Phi-3 Mini";
    auto lossy = test::small_bpe({"a a", "aa aa", "aaaa aaaa", "aaaaaaaa aaaaaaaa"});
    lossy.tokens[' '] = "lost";
    auto few_bytes = test::small_spm({{"▁▁", -1}, {"aa", -2}});
    few_bytes.tokens[3 + 'a'] = "lost";
    few_bytes.kinds->at(3 + 'a') = static_cast<int32_t>(token_kind::normal);
    const std::shared_ptr<const tokenizer> all[] = {
        test::make(phi), test::make(lossy), test::make(few_bytes),
        test::make(test::small_spm({{"▁▁", -1}, {"▁▁▁▁▁▁▁▁", -1}, {"aaaaaaaaaaaaaaaa", -1}}))};
    const std::string_view parts[] = {
        " ", "    ", "a", "aaaaaaaaaaaaaaaa", "▁", "é", "<|im_start|>", "<user>", "\n", "<unk>"};
    test::splitmix64 random{5};
    for (const auto& t : all) {
      for (int i = 0; i < test::scaled(2000); ++i) {
        std::string text;
        for (uint64_t n = random.below(30); n > 0; --n)
          text += parts[random.below(std::size(parts))];
        CAPTURE(text);
        const auto ids = t->encode(text, {.special = true});
        REQUIRE(ids.ok());
        CHECK(t->tokens_at_least(text) <= ids->size());
      }
    }
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
