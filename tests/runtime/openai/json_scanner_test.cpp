#include "runtime/openai/json_scanner.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/chat_templates.hpp"

using namespace llmos;
using namespace llmos::openai;

namespace {

/// "complete 5" or "broken 3": what became of the text, and by which byte.
std::string scan(std::string_view text) {
  json_scanner scanner;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto status = scanner.push(text[i]);
    if (status == json_scanner::status::complete) return "complete " + std::to_string(i + 1);
    if (status == json_scanner::status::broken) return "broken " + std::to_string(i + 1);
  }
  return "open";
}

}  // namespace

TEST_SUITE("runtime.openai.json_scanner") {
  TEST_CASE("the end of a value, or the byte that breaks it, is known at once") {
    struct row {
      const char* text;
      const char* want;
    };
    for (const row& r : {row{"", "open"},
                         row{"{} x", "complete 2"},
                         row{"[ ]", "complete 3"},
                         row{"x", "broken 1"},
                         row{" {}", "broken 1"},
                         row{"\"a\"", "broken 1"},
                         row{"{\"a\": [1, {}]}", "complete 14"},
                         row{"{\"a}\": \"]\\\"}\"}", "complete 14"},
                         row{"[true,false,null,-1.5e+3]", "complete 25"},
                         row{"[1 2]", "broken 4"},
                         row{"[,", "broken 2"},
                         row{"[1,]", "broken 4"},
                         row{"{,", "broken 2"},
                         row{"{\"a\" 1", "broken 6"},
                         row{"{\"a\":}", "broken 6"},
                         row{"{\"a\":1,}", "broken 8"},
                         row{"{1", "broken 2"},
                         row{"[}", "broken 2"},
                         row{"{\"a\":1]", "broken 7"},
                         row{"[\"\n", "broken 3"},
                         row{"[\"\\", "open"},
                         row{"[x", "broken 2"},
                         row{"[tx", "open"}}) {
      CAPTURE(r.text);
      CHECK(scan(r.text) == r.want);
    }
  }

  TEST_CASE("nesting has an end") {
    CHECK(scan(test::repeat("[", 64) + test::repeat("]", 64)) == "complete 128");
    CHECK(scan(test::repeat("[", 65)) == "broken 65");
  }

  TEST_CASE("the outermost items are told by place") {
    const std::string text = R"({"a" : {"x": 1}, "b":12 ,"c": "t"})";
    json_scanner scanner;
    for (const char c : text) scanner.push(c);
    std::string all;
    for (const auto& x : scanner.items()) {
      all += std::string{x.key.of(text)} + "=" + std::string{x.value.of(text)} + ";";
    }
    CHECK(all == R"("a"={"x": 1};"b"=12;"c"="t";)");
    const std::string list = R"([1, [2], "3"])";
    json_scanner items;
    for (const char c : list) items.push(c);
    REQUIRE(items.items().size() == 3);
    CHECK(items.items()[1].value.of(list) == "[2]");
  }
}
