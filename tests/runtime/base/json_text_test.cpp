#include "runtime/base/json_text.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace llmos;

TEST_SUITE("runtime.base.json_text") {
  TEST_CASE("values are read with their keys in order") {
    CHECK(parse_json("{\"b\": [1, null], \"a\": \"[\\\"[\"}", "f")->dump() ==
          R"({"b":[1,null],"a":"[\"["})");
    const std::string deep = std::string(128, '[') + std::string(128, ']');
    CHECK(parse_json(deep, "f").ok());
  }

  TEST_CASE("what is no JSON is named with its place") {
    struct row {
      const char* name;
      std::string text, want;
    };
    const row table[] = {
        {"nothing", "", "f:1:1: no valid JSON"},
        {"a word", "{\n  \"a\": yes\n}", "f:2:8: no valid JSON"},
        {"cut", "[1,\n2", "f:2:2: no valid JSON"},
        {"text after it", "[] x", "f:1:4: no valid JSON"},
        {"a trailing comma", "[1,]", "f:1:4: no valid JSON"},
        {"invalid UTF-8", "[\"\xff\"]", "f:1:3: no valid JSON"},
        {"too deep", std::string(129, '['), "f:1:129: nested deeper than 128 levels"},
        {"a number too large", "{\"1e999\": [1e308,\n 1e400]}",
         "f:2:2: a number too large for a 64-bit float"},
        {"a negative one", "[-2, -1e309]", "f:1:6: a number too large for a 64-bit float"},
        {"a long one", "[" + std::string(400, '9') + "]",
         "f:1:2: a number too large for a 64-bit float"},
        {"much too deep", std::string(1'000'000, '['), "f:1:129: nested deeper than 128 levels"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto got = parse_json(r.text, "f");
      REQUIRE(!got.ok());
      CHECK(got.error().code == ec::bad_file);
      CHECK(got.error().text == r.want);
    }
  }
}
