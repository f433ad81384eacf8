#include "runtime/config/yaml.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "tests/support/scale.hpp"

using namespace llmos;

namespace {

/// The tree on one line: {key@line:column=value}.
std::string render(const yaml_node& x) {
  switch (x.type) {
    case yaml_node::kind::null: return "~";
    case yaml_node::kind::scalar: return x.quoted ? "'" + x.text + "'" : x.text;
    case yaml_node::kind::sequence: {
      std::string out = "[";
      for (const auto& i : x.items) out += render(i) + ",";
      return out + "]";
    }
    case yaml_node::kind::map: break;
  }
  std::string out = "{";
  for (const auto& f : x.fields) {
    out += f.key + "@" + std::to_string(f.place.line) + ":" + std::to_string(f.place.column) + "=" +
           render(f.value) + ",";
  }
  return out + "}";
}

std::string nested(size_t depth, const char* open, const char* close) {
  std::string out;
  for (size_t i = 0; i < depth; ++i) out += open;
  for (size_t i = 0; i < depth; ++i) out += close;
  return out;
}

}  // namespace

TEST_SUITE("runtime.config.yaml") {
  TEST_CASE("a document becomes a tree with places") {
    struct row {
      const char* name;
      std::string text, want;
    };
    const row table[] = {
        {"empty", "", "~"},
        {"only a comment", "# nothing\n", "~"},
        {"a scalar", "abc", "abc"},
        {"maps and lists", "a: 1\nb:\n  - x\n  - {c: 'y'}\n", "{a@1:1=1,b@2:1=[x,{c@4:6='y',},],}"},
        {"null in three ways", "a:\nb: ~\nc: null\n", "{a@1:1=~,b@2:1=~,c@3:1=~,}"},
        {"quotes say text", "a: \"1\"\nb: 'x'\n", "{a@1:1='1',b@2:1='x',}"},
        {"a block is text", "a: |\n  two\n  lines\n", "{a@1:1='two\nlines\n',}"},
        {"a block without its line end", "a: |\n  text", "{a@1:1='text',}"},
        {"a block that keeps its line ends", "a: |+\n  x\n\n", "{a@1:1='x\n\n',}"},
        {"escapes", "a: \"\\u00e4\\x1b\"", "{a@1:1='\xc3\xa4\x1b',}"},
        {"empty collections", "a: []\nb: {}\n", "{a@1:1=[],b@2:1={},}"},
        {"windows line ends", "a: 1\r\nb: 2\r\n", "{a@1:1=1,b@2:1=2,}"},
        {"an anchor that nobody uses", "a: &x 1", "{a@1:1=1,}"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto got = parse_yaml(r.text, "f.yaml");
      REQUIRE(got.ok());
      CHECK(render(*got) == r.want);
    }
  }

  TEST_CASE("what is refused is named with file, line and column") {
    struct row {
      const char* name;
      std::string text, want;
    };
    const row table[] = {
        {"duplicate key", "a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key \"a\" stands here twice"},
        {"duplicate key inside", "s:\n  x: 1\n  x: 1\n",
         "f.yaml:3:3: the key \"x\" stands here twice"},
        {"alias", "a: &x 1\nb: *x\n", "f.yaml:2:4: aliases are not supported"},
        {"tag", "a: !!binary aGk=\n",
         "f.yaml:1:4: tags are not supported: "
         "\"tag:yaml.org,2002:binary\""},
        {"a list as key", "? [a]\n: 1\n", "f.yaml:1:3: a key must be plain text"},
        {"no key", "~: 1\n", "f.yaml:1:1: a key must be plain text"},
        {"two documents", "a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document"},
        {"invalid UTF-8", "a: 1\nb: x\xff\n", "f.yaml:2:5: invalid UTF-8"},
        {"a control byte", std::string{"a: 1\n\x04 b: 2\n"}, "f.yaml:2:1: control byte 4"},
        {"a NUL byte", std::string("a: \0", 4), "f.yaml:1:4: control byte 0"},
        {"UTF-16", std::string("a\0:\0", 4), "f.yaml:1:2: control byte 0"},
        {"too deep", nested(33, "[", "]"), "f.yaml:1:33: nested deeper than 32 levels"},
        {"a YAML bomb", "a: &a [x]\nb: &b [*a,*a]\n", "f.yaml:2:8: aliases are not supported"},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto got = parse_yaml(r.text, "f.yaml");
      REQUIRE(!got.ok());
      CHECK(got.error().code == ec::bad_file);
      CHECK(got.error().text == r.want);
      CHECK(!got.error().hint.empty());
    }
  }

  TEST_CASE("what the parser refuses keeps its place") {
    for (const std::string text :
         {"a: [1, 2\n", "a: 'x\n", "a: \"x\n\n", "a: 1\n\tb: 2\n", "a: b: c\n", "}{"}) {
      CAPTURE(text);
      const auto got = parse_yaml(text, "f.yaml");
      REQUIRE(!got.ok());
      CHECK(got.error().code == ec::bad_file);
      CHECK(got.error().text.starts_with("f.yaml:"));
    }
    CHECK(parse_yaml("a: 1\nb: c: d\n", "f.yaml").error().text.starts_with("f.yaml:2:5: "));
  }

  TEST_CASE("thousands of levels end in an error, not in a crash") {
    for (const auto& text : {nested(5000, "[", "]"), nested(5000, "{a: ", "}"),
                             nested(5000, "- ", ""), nested(5000, "? ", "")}) {
      CHECK(!parse_yaml(text, "f.yaml").ok());
    }
  }

  TEST_CASE("random bytes and damaged files end in a value or an error with a place") {
    std::mt19937 rng{11};
    const std::string good = "a: 1\nlist: [x, 'y', \"z\"]\nmap:\n  - k: v\n    l: |\n      text\n";
    const std::string alphabet = "ab:-[]{}#&*!|>'\"%@`,? \n\t\\~0.";
    for (int i = 0; i < test::scaled(20'000); ++i) {
      std::string text = good;
      for (uint32_t n = 1 + rng() % 6; n > 0; --n) {
        text[rng() % text.size()] = alphabet[rng() % alphabet.size()];
      }
      if (rng() % 4 == 0) text[rng() % text.size()] = static_cast<char>(rng() % 256);
      const auto got = parse_yaml(text, "f.yaml");
      if (!got.ok()) {
        REQUIRE(got.error().code == ec::bad_file);
        REQUIRE(got.error().text.starts_with("f.yaml:"));
      }
    }
  }

  TEST_CASE("a text in an error is cut and printable") {
    CHECK(quote_short("abc") == "\"abc\"");
    CHECK(quote_short("a\x1b[2J") == "\"a\\x1b[2J\"");
    CHECK(quote_short(std::string(1000, 'x')).size() < 80);
  }
}
