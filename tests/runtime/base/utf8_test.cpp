#include "runtime/base/utf8.hpp"

#include <doctest/doctest.h>

#include <string_view>

using namespace llmos;

TEST_SUITE("runtime.base.utf8") {
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
