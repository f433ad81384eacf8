#include "runtime/text/text_table.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "tests/support/scale.hpp"
#include "tests/support/splitmix64.hpp"

using namespace llmos;

TEST_SUITE("runtime.text.text_table") {
  TEST_CASE("a table answers the first number of each text") {
    test::splitmix64 random{17};
    text_table table;
    std::map<std::string, uint32_t> want;
    for (int i = 0; i < test::scaled(20'000); ++i) {
      const std::string text = std::to_string(random.below(5'000));
      const uint32_t number = table.size();
      const bool is_new = want.emplace(text, number).second;
      REQUIRE(table.add(text) == is_new);
      REQUIRE(table[number] == text);
    }
    for (const auto& [text, number] : want) REQUIRE(table.find(text) == number);
    CHECK_FALSE(table.find("5000"));
  }

  TEST_CASE("an empty text has a number but is never found") {
    text_table table;
    CHECK_FALSE(table.find("a"));
    CHECK_FALSE(table.add(""));
    CHECK(table.add("a"));
    CHECK(table[0].empty());
    CHECK_FALSE(table.find(""));
    CHECK(table.find("a") == 1u);
  }
}
