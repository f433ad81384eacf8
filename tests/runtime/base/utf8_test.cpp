#include "runtime/base/utf8.hpp"

#include <doctest/doctest.h>

#include <string_view>

using namespace llmos;

TEST_SUITE("runtime.base.utf8") {
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

  TEST_CASE("the first byte that is no UTF-8 is found") {
    struct row {
      const char* name;
      std::string_view text;
      std::optional<size_t> want;
    };
    const row table[] = {
        {"empty", "", {}},
        {"ascii", "abc", {}},
        {"two, three and four bytes", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", {}},
        {"lone continuation", "ab\x80", 2},
        {"overlong slash", "a\xc0\xaf", 1},
        {"surrogate", "\xed\xa0\x80", 0},
        {"above U+10FFFF", "xyz\xf4\x90\x80\x80", 3},
        {"cut in the middle", "ok \xe2\x82", 3},
        {"latin-1", "gr\xfc\xdf", 2},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      CHECK(first_invalid_utf8(r.text) == r.want);
    }
  }
}
