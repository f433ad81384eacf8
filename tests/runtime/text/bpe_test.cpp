#include "runtime/text/bpe.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/text/tokenizer.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/small_vocabulary.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;
using test::encoded;

namespace {

const std::vector<std::string> some_merges = {"h e",    "l l",     "he ll", "a a",
                                              "hell o", "Ġ hello", "aa a"};

/// The definition: look for the lowest rank, of equal ones the leftmost, again and again.
std::vector<uint32_t> merged_plainly(const merge_table& table, std::vector<uint32_t> symbols) {
  for (;;) {
    merge_table::merge best{merge_table::no_rank, 0};
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto m = table.find(symbols[i], symbols[i + 1]);
      if (m.rank < best.rank) best = m, at = i;
    }
    if (best.rank == merge_table::no_rank) return symbols;
    symbols[at] = best.result;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

}  // namespace

TEST_SUITE("runtime.text.bpe") {
  TEST_CASE("merging short and long pieces gives what the definition says") {
    test::splitmix64 random{11};
    for (int round = 0; round < test::scaled(1000); ++round) {
      // Few symbols and many merges between them, so that merges compete.
      const uint64_t n_symbols = 2 + random.below(6);
      merge_table table{40};
      for (uint32_t rank = 0; rank < 40; ++rank) {
        const auto left = static_cast<uint32_t>(random.below(n_symbols + rank));
        const auto right = static_cast<uint32_t>(random.below(n_symbols + rank));
        table.add(left, right, {rank, static_cast<uint32_t>(n_symbols + rank)});
      }
      std::vector<uint32_t> symbols(random.below(80));
      for (auto& s : symbols) s = static_cast<uint32_t>(random.below(n_symbols));
      const auto want = merged_plainly(table, symbols);
      table.apply(symbols);
      REQUIRE(symbols == want);
    }
  }

  TEST_CASE("pairs merge by rank, then from the left") {
    const auto t = test::make(test::small_bpe(some_merges));
    struct row {
      const char* text;
      const char* want;
    };
    const row rows[] = {
        {"", ""},
        {"hello", "hello"},
        {"hello hello", "hello Ġhello"},
        {"hel", "he l"},
        {"lll", "ll l"},
        {"aaaa", "aa aa"},
        {"aaaaa", "aa aaa"},
        {"x\n", "x Ċ"},
        {"h\xC3\xA9", "h Ã ©"},
        {"a\xFF", "a ï ¿ ½"},
    };
    for (const auto& r : rows) {
      CAPTURE(r.text);
      CHECK(encoded(*t, r.text) == r.want);
    }
  }

  TEST_CASE("the first of two equal merges counts") {
    auto source = test::small_bpe({"a b", "b c", "a b"});
    CHECK(encoded(*test::make(source), "abc") == "ab c");
  }

  TEST_CASE("a merge whose result is no token falls back to its bytes") {
    auto source = test::small_bpe({"q u"});
    source.merges = {"q u", "a b", "ab c"};
    const auto t = test::make(source);
    CHECK(encoded(*t, "qu") == "qu");
    CHECK(encoded(*t, "abc") == "a b c");
  }

  TEST_CASE("bytes without a token are counted, not replaced") {
    auto source = test::small_bpe({});
    source.tokens['z'] = "[nothing]";
    const auto t = test::make(source);
    uint64_t lost = 0;
    encode_options options;
    options.lost_bytes = &lost;
    CHECK(encoded(*t, "azbz", options) == "a b");
    CHECK(lost == 2);
    CHECK(encoded(*t, "ab", options) == "a b");
    CHECK(lost == 0);
  }

  TEST_CASE("whole pieces come before merges where the pattern says so") {
    auto source = test::small_bpe({"a b", "b c"}, "llama-bpe");
    source.tokens.emplace_back("abcd");
    source.kinds->push_back(static_cast<int32_t>(token_kind::normal));
    CHECK(encoded(*test::make(source), "abcd abc") == "abcd Ġ ab c");
    source.pre = "qwen2";
    CHECK(encoded(*test::make(source), "abcd abc") == "ab c d Ġ ab c");
  }

  TEST_CASE("a megabyte without a break takes no quadratic time") {
    const auto t = test::make(test::small_bpe(some_merges));
    for (const char c : {'a', ' ', '\n', '7', '~'}) {
      const std::string text(1 << 20, c);
      const auto ids = t->encode(text, {});
      REQUIRE(ids.ok());
      CHECK(t->decode(*ids) == text);
    }
  }

  TEST_CASE("decoding gives back what was encoded, byte for byte") {
    const auto t = test::make(test::small_bpe(some_merges, "llama-bpe"));
    test::splitmix64 random{3};
    const std::vector<std::string> parts = {"hello",
                                            " ",
                                            "aaaa",
                                            "\u4E2D",
                                            "\U0001F468\u200D\U0001F469",
                                            "\u00A0",
                                            "\r\n",
                                            "\t",
                                            "12345",
                                            "<|im_end|>",
                                            "<user>",
                                            "'LL",
                                            "e\u0301",
                                            std::string(1, '\0')};
    for (int round = 0; round < test::scaled(5000); ++round) {
      std::string text;
      for (uint64_t n = random.below(12); n > 0; --n) text += parts[random.below(parts.size())];
      encode_options options;
      options.special = random.below(2) == 0;
      const auto ids = t->encode(text, options);
      REQUIRE(ids.ok());
      REQUIRE(t->decode(*ids, true) == text);
    }
  }
}
