#include "runtime/gguf/printable.hpp"

#include <doctest/doctest.h>

using namespace llmos;

TEST_SUITE("runtime.gguf.printable") {
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
