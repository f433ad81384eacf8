#include "runtime/openai/json_body.hpp"

#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/allocation_meter.hpp"
#include "tests/support/chat_templates.hpp"

using namespace llmos;
using namespace llmos::openai;
using test::repeat;

namespace {

std::string complaint(std::string_view text) {
  const auto got = parse_body(text);
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().status == 400);
  CHECK(got.error().code == "invalid_json");
  return got.error().message;
}

}  // namespace

TEST_SUITE("runtime.openai.json_body") {
  TEST_CASE("what is read is what the usual parser reads") {
    for (const char* text :
         {"{}", "[]", "null", "1", "-5", "1.5", "18446744073709551615", "\"\\u00e9\\n\"",
          R"({"a": [1, {"b": []}, "x", true, null], "c": {"d": {"e": [[[]]]}}, "": -0.0})"}) {
      CAPTURE(text);
      const auto got = parse_body(text);
      REQUIRE(got.ok());
      CHECK(got->dump() == json::parse(text).dump());
    }
  }

  TEST_CASE("what is no JSON is refused with its place") {
    struct row {
      const char* text;
      const char* complaint;
    };
    for (const row& r :
         {row{"", "the body is no valid JSON at byte 1"},
          row{"{\"a\": }", "the body is no valid JSON at byte 7"},
          row{"{} {}", "the body is no valid JSON at byte 4"},
          row{"\"\xff\"", "the body is no valid JSON at byte 2"},
          row{"[NaN]", "the body is no valid JSON at byte 2"},
          row{"[1e999]", "a number in the body is too large"},
          row{R"({"a": 1, "b": {"a": 2}, "a": 3})", "the name 'a' stands twice in one object"}}) {
      CAPTURE(r.text);
      CHECK(complaint(r.text) == r.complaint);
    }
    CHECK(complaint({"{}\0 {}", 6}) == "the body is no valid JSON at byte 3");
    CHECK(complaint({"{\"a\": \"\0\"}", 10}) == "the body is no valid JSON at byte 8");
  }

  TEST_CASE("64 levels are read, deeper ones refused before they are held") {
    CHECK(parse_body(repeat("[", 64) + repeat("]", 64)).ok());
    CHECK(parse_body(repeat("{\"a\":", 63) + "{}" + repeat("}", 63)).ok());
    CHECK(complaint(repeat("[", 65) + repeat("]", 65)) ==
          "the body is nested deeper than 64 levels");
    for (const char* open : {"[", "{\"a\":"}) {
      const std::string deep = repeat(open, 1'000'000);
      const test::allocation_meter meter;
      CHECK(complaint(deep) == "the body is nested deeper than 64 levels");
      CHECK(meter.peak_bytes() < 100'000);
    }
  }

  TEST_CASE("too many values are refused, many names are read in linear time") {
    const auto list = [](size_t n) { return "[" + repeat("1,", int(n) - 2) + "1]"; };
    CHECK(parse_body(list(max_body_values)).ok());
    CHECK(complaint(list(max_body_values + 1)) == "the body holds more than 262144 values");
    CHECK(complaint("[" + repeat("[],", int(max_body_values)) + "1]") ==
          "the body holds more than 262144 values");
    std::string names = "{";
    for (int i = 0; i < 200'000; ++i) names += "\"" + std::to_string(i) + "\":0,";
    const auto got = parse_body(names + "\"x\":0}");
    REQUIRE(got.ok());
    CHECK(got->size() == 200'001);
  }

  TEST_CASE("a body that is no object is refused") {
    CHECK(parse_object("[]").error().message == "the body has to be a JSON object");
    CHECK(parse_object("{}").ok());
  }
}
