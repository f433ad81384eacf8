#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "runtime/text/chat_template.hpp"
#include "tests/support/chat_templates.hpp"

using llmos::chat_template;
using llmos::ec;
using llmos::failure;
using llmos::template_input;
using llmos::test::render;
using llmos::test::repeat;
using json = nlohmann::ordered_json;

namespace {

failure parse_error(const std::string& source) {
  const auto parsed = chat_template::parse(source);
  REQUIRE_FALSE(parsed.ok());
  return parsed.error();
}

std::string output(const std::string& source, const json& extra = json::object()) {
  const auto got = render(source, extra);
  REQUIRE_MESSAGE(got.ok(), got.error().text);
  return got.value();
}

failure render_error(const std::string& source, const json& extra = json::object()) {
  const auto got = render(source, extra);
  REQUIRE_FALSE_MESSAGE(got.ok(), source.substr(0, 80));
  return got.error();
}

}  // namespace

TEST_SUITE("runtime.text.chat_template") {
  TEST_CASE("a syntax error names its line and column") {
    const failure e = parse_error("first\n  {{ 1 + }}\n");
    CHECK(e.code == ec::bad_file);
    CHECK(e.text == "chat template line 2 column 10: unexpected '}}'");
    CHECK_FALSE(e.hint.empty());
  }

  TEST_CASE("what this build does not know is named with its line") {
    struct row {
      const char* source;
      const char* text;
    };
    const row rows[] = {
        {"\n{% include 'a' %}", "chat template line 2 column 4: the tag 'include'"},
        {"{% import 'a' as b %}", "chat template line 1 column 4: the tag 'import'"},
        {"{% from 'a' import b %}", "chat template line 1 column 4: the tag 'from'"},
        {"{% extends 'a' %}", "chat template line 1 column 4: the tag 'extends'"},
        {"{% block a %}{% endblock %}", "chat template line 1 column 4: the tag 'block'"},
        {"{% autoescape true %}{% endautoescape %}",
         "chat template line 1 column 4: the tag 'autoescape'"},
        {"{% do x %}", "chat template line 1 column 4: the tag 'do'"},
        {"\n\n{{ x | from_json }}", "chat template line 3: the filter 'from_json'"},
        {"{{ x is weird }}", "chat template line 1: the test 'weird'"},
        {"{{ x['a':'b', 1] }}", "chat template line 1 column 13: a slice with a comma"},
        {"{{ 99999999999999999999 }}",
         "chat template line 1 column 4: the integer 99999999999999999999: it needs more than 64 "
         "bits"},
    };
    for (const row& r : rows) {
      CAPTURE(r.source);
      const failure e = parse_error(r.source);
      CHECK(e.code == ec::unsupported);
      CHECK(e.text == r.text);
    }
  }

  TEST_CASE("what only a render can know to be unsupported is named with its line") {
    struct row {
      const char* source;
      const char* text;
    };
    const row rows[] = {
        {"\n{{ 'a'.encode() }}", "chat template line 2: method 'encode' of a str"},
        {"{% if 1 %}\n{{ 1|nope }}{% endif %}", "chat template line 2: the filter 'nope'"},
        {"{{ [1]|map('nope')|list }}", "chat template line 1: the filter 'nope'"},
        {"{{ 9223372036854775807 + 1 }}",
         "chat template line 1: an integer result that needs more than 64 bits"},
        {"{{ 2 ** 64 }}", "chat template line 1: an integer result that needs more than 64 bits"},
        {"{{ lipsum() }}", "chat template line 1: the function 'lipsum'"},
        {"{{ range }}", "chat template line 1: printing a function"},
    };
    for (const row& r : rows) {
      CAPTURE(r.source);
      const failure e = render_error(r.source);
      CHECK(e.code == ec::unsupported);
      CHECK(e.text == r.text);
    }
  }

  TEST_CASE("raise_exception's text comes back as it is") {
    const failure e = render_error("{{ raise_exception('Roles must alternate!') }}");
    CHECK(e.code == ec::invalid_argument);
    CHECK(e.text == "Roles must alternate!");
  }

  TEST_CASE("an error text is cut where it gets long and stays UTF-8") {
    const failure raised = render_error("{{ raise_exception('\u00e9' * 100000) }}");
    CHECK(raised.text == repeat("\u00e9", 2048) + "\u2026");
    CHECK(render_error("{{ missing_" + repeat("x", 10'000) + ".a }}").text.size() < 300);
    CHECK(render_error("{{ {}['a' * 100000].b }}").text.size() < 300);
    CHECK(render_error("{{ {}[('\u00e9' * 100000,)].b }}").text.size() < 300);
    CHECK(render_error("{{ '%\u00e9' % 1 }}").text ==
          "chat template line 1: % knows no conversion '\u00e9'");
    CHECK(parse_error("{{ 1 " + repeat("\u00e9", 10'000) + " }}").text.size() < 4'200);
  }

  TEST_CASE("the use of an undefined value says what is undefined and where") {
    CHECK(render_error("\n{{ tool.name }}").text == "chat template line 2: 'tool' is undefined");
    CHECK(render_error("{{ {'a': 1}.b.c }}").text ==
          "chat template line 1: this dict has no attribute 'b'");
    CHECK(render_error("{{ [].append(1) }}").text ==
          "chat template line 1: the sandbox forbids 'append' of a list");
  }

  TEST_CASE("text that is not UTF-8 is refused in a template and repaired in its input") {
    CHECK(parse_error("a\xff").code == ec::bad_file);
    json extra;
    extra["x"] = std::string("a\xff\xe2\x82z");
    CHECK(output("{{ x }}|{{ x|length }}", extra) == "a\ufffd\ufffdz|4");
  }

  TEST_CASE("tools and documents are none unless they are given, as Hugging Face passes them") {
    CHECK(output("{{ tools is none }}{{ documents is none }}{{ tools is defined }}") ==
          "TrueTrueTrue");
    const json documents = {{"documents", json::array({"a"})}};
    CHECK(output("{{ documents }}", documents) == "['a']");
  }

  TEST_CASE("strftime_now prints the time it is given") {
    const auto parsed = chat_template::parse("{{ strftime_now('%Y-%m-%d %H:%M:%S|%f|%Z|%%') }}");
    template_input input;
    input.now = std::chrono::sys_seconds{std::chrono::seconds{86400 * 365}};
    CHECK(parsed.value().render(input).value() == "1971-01-01 00:00:00|000000||%");
  }

  TEST_CASE("a parsed template renders many times and keeps its source") {
    const std::string source =
        "{% set ns = namespace(n=0) %}{% for m in messages %}"
        "{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}\n";
    const auto parsed = chat_template::parse(source);
    for (int n = 0; n < 3; ++n) {
      json messages = json::array();
      for (int i = 0; i < n; ++i) messages.push_back({{"role", "user"}});
      template_input input;
      input.messages = &messages;
      CHECK(parsed.value().render(input).value() == std::to_string(n));
    }
    CHECK(parsed.value().source() == source);
  }

  TEST_CASE("a schema may nest and recur as deeply as real ones do") {
    json schema = {{"type", "string"}};
    for (int i = 0; i < 30; ++i) {
      json outer = {{"type", "object"}};
      outer["properties"]["p"] = schema;
      schema = outer;
    }
    const char* source =
        "{% macro m(s) %}{% if s.type == 'object' %}{% for k, v in s.properties.items() %}"
        "{% if v is mapping %}({{ k ~ m(v) }}){% endif %}{% endfor %}{% else %}s{% endif %}"
        "{% endmacro %}{{ m(schema) }}";
    CHECK(output(source, {{"schema", schema}}) == repeat("(p", 30) + "s" + repeat(")", 30));
  }

  TEST_CASE("a cycle of namespaces, macros and loops leaks nothing") {
    CHECK(output("{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}"
                 "{% macro m() %}{% endmacro %}{% set a.m = m %}"
                 "{% for i in [a] %}{% set a.l = loop %}{{ loop.changed(loop) }}{% endfor %}"
                 "{{ a.b.a.l.index }}") == "True1");
  }

  TEST_CASE("a loop variable that outlives its loop finds no more items") {
    CHECK(output("{% set ns = namespace() %}{% for i in [1, 2, 3] if i > 1 %}{% set ns.l = loop %}"
                 "{% break %}{% endfor %}{{ ns.l.index }}{{ ns.l.nextitem is defined }}") ==
          "1False");
  }

  TEST_CASE("further variables that are no object are refused") {
    CHECK(render_error("x", json::array()).code == ec::invalid_argument);
  }
}
