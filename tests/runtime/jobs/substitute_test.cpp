#include "runtime/jobs/substitute.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace llmos;

TEST_SUITE("runtime.jobs.substitute") {
  TEST_CASE("names in double braces become their values") {
    const variable_map values = {
        {"a", "1"}, {"first name", "Ada"}, {"braces", "{{ a }}"}, {"e", ""},
        {"n", 1.5}, {"list", {1, nullptr}}};
    struct row {
      const char* name;
      std::string text, want;
    };
    const row table[] = {
        {"no braces", "plain { text }", "plain { text }"},
        {"blanks do not matter", "{{a}} {{ a }} {{\ta\n}}", "1 1 1"},
        {"names may hold blanks", "Hi {{ first name }}!", "Hi Ada!"},
        {"values are not looked into", "{{ braces }}", "{{ a }}"},
        {"an empty value", "<{{ e }}>", "<>"},
        {"written braces", "{{ \"{{\" }} x {{ '}}' }}", "{{ x }}"},
        {"closing braces alone are text", "a }} b", "a }} b"},
        {"numbers and lists are written as JSON", "{{ n }} {{ list }}", "1.5 [1,null]"},
        {"nothing", "", ""},
    };
    for (const auto& r : table) {
      CAPTURE(r.name);
      const auto got = substitute(r.text, values);
      REQUIRE(got.ok());
      CHECK(*got == r.want);
    }
  }

  TEST_CASE("a text that is exactly one variable is told from one around it") {
    CHECK(lone_variable("{{ a }}") == "a");
    CHECK(lone_variable("{{first name}}") == "first name");
    for (const char* text :
         {"", "a", "{{ a", "{{ a }} ", " {{ a }}", "{{ a }}{{ b }}", "{{ 'a' }}"}) {
      CAPTURE(text);
      CHECK_FALSE(lone_variable(text));
    }
  }

  TEST_CASE("unknown names and open braces are errors") {
    const variable_map values = {{"name", "x"}, {"city", "y"}};
    struct row {
      std::string text, want_text, want_hint;
    };
    const row table[] = {
        {"{{ nam }}", "unknown variable \"nam\"", "did you mean name?"},
        {"{{ street }}", "unknown variable \"street\"", "known: city, name"},
        {"{{ }}", "unknown variable \"\"", "known: city, name"},
        {"a {{ name", "{{ without }}: \"{{ name\"",
         "close it, or write two braces as {{ \"{{\" }}"},
        {"{{ 'x }", "{{ without }}: \"{{ 'x }\"", "close it, or write two braces as {{ \"{{\" }}"},
    };
    for (const auto& r : table) {
      CAPTURE(r.text);
      const auto got = substitute(r.text, values);
      REQUIRE(!got.ok());
      CHECK(got.error().code == ec::invalid_argument);
      CHECK(got.error().text == r.want_text);
      CHECK(got.error().hint == r.want_hint);
    }
    CHECK(substitute("{{ x }}", {}).error().hint.starts_with("no variables are given here"));
  }
}
