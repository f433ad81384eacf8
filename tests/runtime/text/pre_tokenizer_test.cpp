#include "runtime/text/pre_tokenizer.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace llmos;

TEST_SUITE("runtime.text.pre_tokenizer") {
  TEST_CASE("every pattern loads and covers all of a text") {
    for (const auto name : pre_tokenizer::names()) {
      CAPTURE(name);
      const auto p = pre_tokenizer::make(name);
      REQUIRE(p.ok());
      const std::string text =
          "It's 1234 \u00A0\u3000x\r\n\n  \u4E2D\u6587, (caf\u00E9)~~\u0301 \t";
      std::string whole;
      REQUIRE(p->split(text, [&](size_t begin, size_t end) {
                 REQUIRE(begin == whole.size());
                 REQUIRE(end > begin);
                 whole += text.substr(begin, end - begin);
               }).ok());
      CHECK(whole == text);
    }
  }

  TEST_CASE("long runs pass through every pattern") {
    for (const auto name : pre_tokenizer::names()) {
      CAPTURE(name);
      const auto p = pre_tokenizer::make(name);
      REQUIRE(p.ok());
      for (const char* unit : {"a", "A", " ", "\n", "7", "~", "'", "aA", " \n", "a ", "\u4E2D"}) {
        std::string text;
        while (text.size() < 40'000) text += unit;
        text += "7";  // whatever the run wants to see at its end is not there
        size_t pieces = 0;
        CHECK(p->split(text, [&](size_t, size_t) { ++pieces; }).ok());
        CHECK(pieces > 0);
      }
    }
  }
}
