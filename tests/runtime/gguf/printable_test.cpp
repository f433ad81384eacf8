#include "runtime/gguf/printable.hpp"

#include <doctest/doctest.h>

using namespace llmos;

TEST_SUITE("runtime.gguf.printable") {
  TEST_CASE("only well-formed characters have a length") {
    struct row {
      const char* name;
      std::string_view text;
      size_t want;
    };
    const row table[] = {
        {"nothing", "", 0},
        {"ASCII", "a", 1},
        {"two bytes", "\xc3\xa9", 2},
        {"three bytes", "\xe2\x82\xac", 3},
        {"four bytes", "\xf0\x9f\x98\x80", 4},
        {"the last code point", "\xf4\x8f\xbf\xbf", 4},
        {"past the last code point", "\xf4\x90\x80\x80", 0},
        {"the last before the surrogates", "\xed\x9f\xbf", 3},
        {"a surrogate", "\xed\xa0\x80", 0},
        {"overlong in two bytes", "\xc1\xbf", 0},
        {"overlong in three bytes", "\xe0\x9f\xbf", 0},
        {"overlong in four bytes", "\xf0\x8f\xbf\xbf", 0},
        {"a continuation alone", "\x80", 0},
        {"cut off", "\xe2\x82", 0},
        {"a lead byte before ASCII",
         "\xc3"
         "a",
         0},
        {"no lead byte at all", "\xff", 0},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      CHECK(utf8_char_length(r.text) == r.want);
    }
  }

  TEST_CASE("printable text escapes what a terminal would obey or cannot show") {
    CHECK(printable("plain é 😀", 80) == "plain é 😀");
    CHECK(printable("a\nb\tc\\d", 80) == "a\\nb\\tc\\\\d");
    CHECK(printable("\x1b[2J\x7f", 80) == "\\x1b[2J\\x7f");
    CHECK(printable("\xc2\x9b", 80) == "\\xc2\\x9b");
    CHECK(printable("a\xff"
                    "b\xe2\x82",
                    80) == "a\\xffb\\xe2\\x82");
    CHECK(printable(std::string_view{"\0", 1}, 80) == "\\x00");
  }

  TEST_CASE("long text is cut between characters, text of just the limit is not") {
    CHECK(printable("abcd", 4) == "abcd");
    CHECK(printable("abcde", 4) == "abcd…");
    CHECK(printable("ab€€", 4) == "ab€…");
    CHECK(valid_utf8("abcde", 4) == "abcd…");
    CHECK(valid_utf8("a\xff\nb", 80) == "a\xef\xbf\xbd\nb");
  }
}
