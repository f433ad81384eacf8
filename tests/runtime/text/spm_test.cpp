#include "runtime/text/spm.hpp"

#include <doctest/doctest.h>

#include <string>

#include "runtime/text/tokenizer.hpp"
#include "runtime/text/unicode.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/small_vocabulary.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;
using test::encoded;

TEST_SUITE("runtime.text.spm") {
  TEST_CASE("the pair with the highest score merges first") {
    const auto t = test::make(test::small_spm({{"▁", -9},
                                               {"a", -9},
                                               {"b", -9},
                                               {"c", -9},
                                               {"ab", -2},
                                               {"bc", -1},
                                               {"▁a", -3},
                                               {"abc", -4}}));
    struct row {
      const char* text;
      const char* want;
    };
    const row rows[] = {
        {"", ""},
        {"abc", "▁a bc"},
        {"ab", "▁ ab"},
        {"a b", "▁a ▁ b"},
        {"a  ", "▁a ▁ ▁"},
        {"\xC3\xA9", "▁ <0xC3> <0xA9>"},
        {"\xFF"
         "bc",
         "▁ <0xFF> <0x62> <0x63>"},  // FF claims four bytes, as in llama.cpp
        {"\n", "▁ <0x0A>"},
    };
    for (const auto& r : rows) {
      CAPTURE(r.text);
      CHECK(encoded(*t, r.text) == r.want);
    }
  }

  TEST_CASE("equal scores merge from the left") {
    const auto t = test::make(test::small_spm({{"a", 0}, {"aa", 0}, {"▁", -1}}));
    CHECK(encoded(*t, "aaaaa") == "▁ aa aa a");
  }

  TEST_CASE("words are merged apart only where no token reaches across") {
    const auto t =
        test::make(test::small_spm({{"▁", -9}, {"a", -9}, {"b", -9}, {"a▁", -1}, {"a▁b", -2}}));
    CHECK(encoded(*t, "a b") == "▁ a▁b");
  }

  TEST_CASE("text after a special token gets a space that decoding takes away") {
    const auto t = test::make(test::small_spm({{"▁", -9}, {"a", -9}, {"▁a", -1}}));
    for (const std::string text :
         {"a", " a", "a<|x|>a", "a <|x|> a", "<user> a<user>", "", " ", "a  "}) {
      CAPTURE(text);
      const auto ids = t->encode(text, {.special = true, .add_bos = true});
      REQUIRE(ids.ok());
      CHECK(t->decode(*ids, true) == "<s>" + text);
    }
    CHECK(encoded(*t, "a<|x|>a", {.special = true}) == "▁a <|x|> ▁a");
  }

  TEST_CASE("add_space_prefix false adds none") {
    auto source = test::small_spm({{"▁", -9}, {"a", -9}, {"▁a", -1}});
    source.add_space_prefix = false;
    const auto t = test::make(source);
    CHECK(encoded(*t, "a a") == "a ▁a");
    CHECK(t->decode(*t->encode(" a", {})) == " a");
  }

  TEST_CASE("a character without any token is the unknown token") {
    auto source = test::small_spm({{"▁", -9}, {"a", -9}});
    for (int b = 0; b < 256; ++b) {
      source.tokens[3 + b] = "[gone " + std::to_string(b) + "]";
      (*source.kinds)[3 + b] = static_cast<int32_t>(token_kind::unused);
    }
    const auto t = test::make(source);
    uint64_t lost = 0;
    encode_options options;
    options.lost_bytes = &lost;
    CHECK(encoded(*t, "a\u4E2Da", options) == "▁ a <unk> a");
    CHECK(lost == 3);
  }

  TEST_CASE("a megabyte without a break takes no quadratic time") {
    const auto t = test::make(test::small_spm(
        {{"▁", -9}, {"a", -9}, {"aa", -1}, {"aaaa", -2}, {"▁▁", -1}, {"▁▁▁▁", -3}}));
    for (const char c : {'a', ' ', '\n'}) {
      const std::string text(1 << 20, c);
      const auto ids = t->encode(text, {});
      REQUIRE(ids.ok());
      CHECK(t->decode(*ids) == text);
    }
  }

  TEST_CASE("decoding gives back what was encoded") {
    const auto t = test::make(test::small_spm({{"▁", -9}, {"a", -9}, {"\u4E2D", -3}, {"▁a", -1}}));
    test::splitmix64 random{5};
    for (int round = 0; round < test::scaled(5000); ++round) {
      std::string text;
      for (uint64_t n = random.below(12); n > 0; --n) {
        // Everything below U+3000 but ▁, which stands for a space.
        const auto x = static_cast<uint32_t>(random.below(0x3000));
        if (random.below(2) == 0) {
          text += "a \u4E2D";
        } else if (x != 0x2581) {
          append_utf8(x, text);
        }
      }
      const auto ids = t->encode(text, {.special = random.below(2) == 0});
      REQUIRE(ids.ok());
      REQUIRE(t->decode(*ids, true) == text);
    }
  }
}
