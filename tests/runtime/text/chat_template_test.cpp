#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "runtime/text/chat_template.hpp"

using llmos::chat_template;
using llmos::ec;
using llmos::failure;
using llmos::template_input;
using llmos::template_limits;
using json = nlohmann::ordered_json;

namespace {

failure parse_error(const std::string& source) {
  const auto parsed = chat_template::parse(source);
  REQUIRE_FALSE(parsed.ok());
  return parsed.error();
}

llmos::result<std::string> render(const std::string& source, const json& extra = json::object(),
                                  const template_limits& limits = {}) {
  const auto parsed = chat_template::parse(source);
  if (!parsed) return parsed.error();
  const json messages = json::array();
  template_input input;
  input.messages = &messages;
  input.extra = &extra;
  return parsed.value().render(input, limits);
}

std::string output(const std::string& source, const json& extra = json::object()) {
  const auto got = render(source, extra);
  REQUIRE_MESSAGE(got.ok(), got.error().text);
  return got.value();
}

failure render_error(const std::string& source, const json& extra = json::object(),
                     const template_limits& limits = {}) {
  const auto got = render(source, extra, limits);
  REQUIRE_FALSE_MESSAGE(got.ok(), source.substr(0, 80));
  return got.error();
}

std::string repeat(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
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

  TEST_CASE("nesting that would overflow the stack is refused") {
    const int n = 100'000;
    const std::string sources[] = {
        "{{ " + repeat("(", n) + "1" + repeat(")", n) + " }}",
        "{{ " + repeat("[", n) + repeat("]", n) + " }}",
        "{{ " + repeat("{1:", n) + "1" + repeat("}", n) + " }}",
        "{{ " + repeat("-", n) + "1 }}",
        "{{ " + repeat("not ", n) + "1 }}",
        "{{ " + repeat("f(", n) + repeat(")", n) + " }}",
        "{{ " + repeat("1 if 1 else ", n) + "1 }}",
        "{{ 1" + repeat("|default(1", n) + repeat(")", n) + " }}",
        repeat("{% if 1 %}", n) + repeat("{% endif %}", n),
        repeat("{% for a in b %}", n) + repeat("{% endfor %}", n),
        "{% for " + repeat("(", n) + "a" + repeat(")", n) + " in b %}{% endfor %}",
    };
    for (const std::string& source : sources) {
      CAPTURE(source.substr(0, 40));
      CHECK(parse_error(source).code == ec::overloaded);
    }
  }

  TEST_CASE("chains of operators may be long: they do not nest") {
    const int n = 20'000;
    CHECK(output("{{ 0" + repeat(" + 1", n) + " }}") == std::to_string(n));
    CHECK(output("{{ 0" + repeat(" or 0", n) + " }}") == "0");
    CHECK(output("{{ 1" + repeat(" == 1", n) + " }}") == "True");
    CHECK(output("{{ ''" + repeat(" ~ 'a'", n) + " }}") == repeat("a", n));
    CHECK(output("{{ 'a'" + repeat("|trim", n) + " }}") == "a");
    CHECK(output("{{ 'a'" + repeat(".strip()", n) + " }}") == "a");
    const std::string branches = repeat("{% elif 0 %}b", n);
    CHECK(output("{% if 0 %}a" + branches + "{% else %}c{% endif %}") == "c");
  }

  TEST_CASE("recursion at run time is refused before the stack ends") {
    const char* sources[] = {
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{% for y in [1] %}{% if 1 %}{{ m([x]) }}{% endif %}{% endfor %}"
        "{% endmacro %}{{ m(1) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
        "{% set ns = namespace(a=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}"
        "{% endfor %}",
        "{% set ns = namespace(a={}) %}{% for i in range(5000) %}{% set ns.a = {'k': ns.a} %}"
        "{% endfor %}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(5000) %}"
        "{% set ns.a = ns.a|map('string') %}{% endfor %}{{ ns.a|list }}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(5000) %}"
        "{% set ns.a = cycler(ns.a) %}{% endfor %}",
        "{% set ns = namespace(a=joiner()) %}{% for i in range(5000) %}"
        "{% set ns.a = joiner(ns.a) %}{% endfor %}",
    };
    for (const char* source : sources) {
      CAPTURE(source);
      CHECK(render_error(source).code == ec::overloaded);
    }
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

  TEST_CASE("output, steps, values and ranges are limited") {
    struct row {
      const char* source;
      template_limits limits;
      const char* text;
    };
    template_limits small_output;
    small_output.max_output_bytes = 1000;
    template_limits few_steps;
    few_steps.max_steps = 10'000;
    template_limits little_memory;
    little_memory.max_memory_bytes = 1 << 20;
    const row rows[] = {
        {"{% for i in range(600) %}ab{% endfor %}", small_output, "longer than 1000 bytes"},
        {"{{ 'a' * 1001 }}", small_output, "longer than 1000 bytes"},
        {"{{ 'a' * 9223372036854775807 }}", {}, "longer than"},
        {"{{ ('ab' * 500) ~ 'c' }}", small_output, "longer than 1000 bytes"},
        {"{{ 'a'.center(1001) }}", small_output, "longer than 1000 bytes"},
        {"{{ 'a'.zfill(1001) }}", small_output, "longer than 1000 bytes"},
        {"{{ '%1001d' % 1 }}", small_output, "longer than 1000 bytes"},
        {"{{ '%.1001f' % 1 }}", small_output, "longer than 1000 bytes"},
        {"{{ '{:1001}'.format(1) }}", small_output, "longer than 1000 bytes"},
        {"{{ 'a\\nb'|indent(1001) }}", small_output, "longer than 1000 bytes"},
        {"{{ [1]|tojson(indent=1001) }}", small_output, "longer than 1000 bytes"},
        {"{{ ('a' * 100).replace('', 'b' * 100) }}", small_output, "longer than 1000 bytes"},
        {"{{ ('a' * 100).join('b' * 100) }}", small_output, "longer than 1000 bytes"},
        {"{{ range(600)|join('ab') }}", small_output, "longer than 1000 bytes"},
        {"{{ range(600)|list }}", small_output, "longer than 1000 bytes"},
        {"{{ range(600)|list|tojson }}", small_output, "longer than 1000 bytes"},
        {"{% set x %}{% for i in range(600) %}ab{% endfor %}{% endset %}", small_output,
         "longer than 1000 bytes"},
        {"{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}", few_steps,
         "more than 10000 steps"},
        {"{{ range(20000)|sum }}", few_steps, "more than 10000 steps"},
        {"{{ range(20000)|map('string')|list|length }}", few_steps, "more than 10000 steps"},
        {"{{ [1] * 9223372036854775807 }}", {}, "steps"},
        {"{{ [1]|batch(9223372036854775807, 0)|list }}", {}, "steps"},
        {"{{ []|slice(9223372036854775807)|list }}", {}, "steps"},
        {"{% set ns = namespace(l=[]) %}{% for i in range(1000) %}"
         "{% set ns.l = ns.l + ['x' * 10000 ~ i] %}{% endfor %}",
         little_memory, "take more than 1048576 bytes"},
        {"{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = ns.l + ns.l %}"
         "{% endfor %}",
         little_memory, "take more than 1048576 bytes"},
        {"{% for i in range(50000) %}{% macro m() %}{% endmacro %}{{ namespace(m=m) is none }}"
         "{% endfor %}",
         little_memory, "take more than 1048576 bytes"},
        {"{{ range(100001) }}", {}, "a range of more than 100000 items"},
        {"{{ range(-9223372036854775807, 9223372036854775807) }}", {}, "a range of more than"},
    };
    for (const row& r : rows) {
      CAPTURE(r.source);
      const failure e = render_error(r.source, json::object(), r.limits);
      CHECK(e.code == ec::overloaded);
      CHECK_MESSAGE(e.text.find(r.text) != std::string::npos, e.text);
    }
  }

  TEST_CASE("work on long texts counts as steps") {
    template_limits few_steps;
    few_steps.max_steps = 100'000;
    const char* work[] = {"s.find('b')", "s.upper()",    "s.strip('b')",       "s == t",
                          "s < t",       "s.count('b')", "'b' in s",           "s|wordcount",
                          "s|tojson",    "s[1:]",        "s.split('b')",       "s ~ 'b'",
                          "s.isalpha()", "s|trim ~ t",   "s.replace('b', 'c')"};
    for (const char* x : work) {
      const std::string source = std::string(
                                     "{% set s = 'a' * 1000000 %}{% set t = 'a' * 1000000 %}"
                                     "{% for i in range(100) %}{% set q = ") +
                                 x + " %}{% endfor %}";
      CAPTURE(source);
      CHECK(render_error(source, json::object(), few_steps).code == ec::overloaded);
    }
  }

  TEST_CASE("input that nests too deeply is refused") {
    json deep = 1;
    for (int i = 0; i < 300; ++i) deep = json::array({deep});
    CHECK(render_error("{{ x }}", {{"x", deep}}).code == ec::overloaded);
  }

  TEST_CASE("further variables that are no object are refused") {
    CHECK(render_error("x", json::array()).code == ec::invalid_argument);
  }
}
