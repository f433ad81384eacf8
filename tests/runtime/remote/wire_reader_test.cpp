#include "runtime/remote/wire_reader.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "tests/support/caf_bytes.hpp"
#include "tests/support/scale.hpp"

using namespace llmos;
using namespace std::string_literals;

TEST_SUITE("runtime.remote.wire_reader") {
  TEST_CASE("numbers come with their most significant byte first") {
    const std::string bytes = "\x01\x02\x03\x04\x05\x06\x07\x08\xff\xfe"s;
    wire_reader in(test::as_bytes(bytes));
    CHECK(in.number(1) == 0x01);
    CHECK(in.number(2) == 0x0203);
    CHECK(in.number(0) == 0);
    CHECK(in.number(4) == 0x04050607);
    CHECK(in.ok());
    CHECK_FALSE(in.ended());
    CHECK(in.number(3) == 0x08fffe);
    CHECK(in.ended());
  }

  TEST_CASE("a size is read from groups of seven bits, of which there are no more than 32 bits") {
    struct row {
      const char* name;
      std::string bytes;
      bool is_ok;
      uint32_t want;
      size_t left;
    };
    const row rows[] = {
        {"zero", "\x00"s, true, 0, 0},
        {"one group", "\x7f", true, 127, 0},
        {"two groups", "\x80\x01", true, 128, 0},
        {"what follows stays", "\x05\x01\x02", true, 5, 2},
        {"longer than it need be", "\x85\x80\x00"s, true, 5, 0},
        {"the largest", "\xff\xff\xff\xff\x0f", true, 0xffffffff, 0},
        {"one bit too many", "\xff\xff\xff\xff\x1f", false, 0, 0},
        {"the highest bit of the fifth", "\x80\x80\x80\x80\x40", false, 0, 0},
        {"a sixth group", "\x80\x80\x80\x80\x80\x00"s, false, 0, 0},
        {"none", "", false, 0, 0},
        {"an end within", "\x85", false, 0, 0},
        {"an end within the fifth", "\xff\xff\xff\xff", false, 0, 0},
    };
    for (const row& r : rows) {
      CAPTURE(r.name);
      wire_reader in(test::as_bytes(r.bytes));
      CHECK(in.size() == r.want);
      CHECK(in.ok() == r.is_ok);
      CHECK(in.ended() == (r.is_ok && r.left == 0));
      if (r.left > 0) CHECK(in.take(r.left).size() == r.left);
    }
  }

  TEST_CASE(
      "a text longer than what is left fails and gives nothing, however long it claims to be") {
    for (const char* const bytes : {"\x05"
                                    "abcd",
                                    "\xff\xff\xff\xff\x0f"
                                    "abcd",
                                    "\x80"}) {
      wire_reader in(test::as_bytes(bytes));
      CHECK(in.text().empty());
      CHECK_FALSE(in.ok());
      CHECK_FALSE(in.ended());
    }
    wire_reader fits(
        test::as_bytes("\x04"
                       "abcd"));
    CHECK(fits.text() == "abcd");
    CHECK(fits.ended());
    const std::string none = "\x00"s;
    wire_reader empty(test::as_bytes(none));
    CHECK(empty.text().empty());
    CHECK(empty.ended());
  }

  TEST_CASE("after a read past the end nothing is read any more") {
    const std::string bytes = "\x11\x22\x33"s;
    wire_reader in(test::as_bytes(bytes));
    CHECK(in.number(4) == 0);  // not the three that are there
    CHECK_FALSE(in.ok());
    CHECK(in.number(1) == 0);
    CHECK(in.number(0) == 0);
    CHECK(in.size() == 0);
    CHECK(in.text().empty());
    CHECK(in.take(1).empty());
    CHECK(in.take(0).empty());
    CHECK_FALSE(in.ok());
    CHECK_FALSE(in.ended());
  }

  TEST_CASE("any numbers and texts are read as they were written, and no prefix of them is whole") {
    std::mt19937_64 rng{21};
    for (int i = 0; i < test::scaled(2000); ++i) {
      const uint64_t x = rng() >> rng() % 64;
      const auto n = static_cast<uint32_t>(rng() >> (32 + rng() % 32));
      const std::string text(rng() % 300, static_cast<char>(rng()));
      const std::string bytes =
          test::number(x, 8) + test::size_bytes(n) + test::text_bytes(text) + test::number(x, 3);
      const auto read = [&](std::string_view some) {
        wire_reader in(test::as_bytes(some));
        const bool same = in.number(8) == x && in.size() == n && in.text() == text &&
                          in.number(3) == (x & 0xffffff);
        return same && in.ended();
      };
      REQUIRE(read(bytes));
      const size_t cut = rng() % bytes.size();
      wire_reader in(test::as_bytes(std::string_view(bytes).substr(0, cut)));
      in.number(8), in.size(), in.text(), in.number(3);
      REQUIRE_FALSE(in.ok());
    }
  }
}
