// What templates from outside must not do: take the stack, the memory or the time of the process.
#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "runtime/text/chat_template.hpp"
#include "tests/support/allocation_meter.hpp"
#include "tests/support/chat_templates.hpp"

using llmos::chat_template;
using llmos::ec;
using llmos::failure;
using llmos::template_limits;
using llmos::test::allocation_meter;
using llmos::test::render;
using llmos::test::repeat;
using json = nlohmann::ordered_json;

namespace {

failure parse_error(const std::string& source) {
  const auto parsed = chat_template::parse(source);
  REQUIRE_FALSE(parsed.ok());
  return parsed.error();
}

std::string output(const std::string& source) {
  const auto got = render(source);
  REQUIRE_MESSAGE(got.ok(), got.error().text);
  return got.value();
}

failure render_error(const std::string& source, const template_limits& limits = {},
                     const json& extra = json::object()) {
  const auto got = render(source, extra, limits);
  REQUIRE_FALSE_MESSAGE(got.ok(), source.substr(0, 80));
  return got.error();
}

}  // namespace

TEST_SUITE("runtime.text.chat_template_limits") {
  TEST_CASE("nesting that would overflow the stack is refused") {
    const int n = 9'000;
    const std::string sources[] = {
        "{{ " + repeat("(", n) + "1" + repeat(")", n) + " }}",
        "{{ " + repeat("[", n) + repeat("]", n) + " }}",
        "{{ " + repeat("{1:", n) + "1" + repeat("}", n) + " }}",
        "{{ " + repeat("-", n) + "1 }}",
        "{{ " + repeat("not ", n) + "1 }}",
        "{{ " + repeat("f(", n) + repeat(")", n) + " }}",
        "{{ " + repeat("1 if 1 else ", n) + "1 }}",
        "{{ 1" + repeat(" if 1", n) + " }}",
        "{{ 1" + repeat("|default(1", n) + repeat(")", n) + " }}",
        repeat("{% if 1 %}", n) + repeat("{% endif %}", n),
        repeat("{% for a in b %}", n) + repeat("{% endfor %}", n),
        "{% for " + repeat("(", n) + "a" + repeat(")", n) + " in b %}{% endfor %}",
    };
    for (const std::string& source : sources) {
      CAPTURE(source.substr(0, 40));
      const failure e = parse_error(source);
      CHECK(e.code == ec::over_limit);
      CHECK_MESSAGE(e.text.ends_with(": the template nests deeper than 128"), e.text);
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
    const std::string sources[] = {
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
        "{% set ns = namespace(a=joiner()) %}{% for i in range(5000) %}"
        "{% set ns.a = cycler(ns.a).next %}{% endfor %}",
        "{% set ns = namespace(a=joiner()) %}{% for i in range(5000) %}"
        "{% for x in [ns.a] %}{% set ns.a = loop.cycle %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(a=[]) %}{% for i in range(5000) %}"
        "{% set ns.a = [ns.a].count %}{% endfor %}",
    };
    for (const std::string& source : sources) {
      CAPTURE(source);
      CHECK(render_error(source).code == ec::over_limit);
    }
  }

  TEST_CASE("objects that hold each other without end are freed without recursion") {
    // The depth of these is hidden: a namespace hands one to the next.
    CHECK(output("{% set ns = namespace(v=1) %}{% for i in range(100000) %}"
                 "{% for x in [ns, ns]|map(attribute='v') %}{% set ns.v = loop %}{% endfor %}"
                 "{% endfor %}{{ ns.v.index }}") == "2");
    CHECK(output("{% set ns = namespace(v=1) %}{% for i in range(100000) %}"
                 "{% set g = [ns]|unique(attribute='v') %}{% set q = g|list %}{% set ns.v = g %}"
                 "{% endfor %}{{ ns.v is iterable }}") == "True");
  }

  TEST_CASE("a template of more than 256 KiB is refused") {
    const size_t n = chat_template::max_source_bytes;
    CHECK(chat_template::parse(std::string(n, 'a')).ok());
    const failure e = parse_error(std::string(n + 1, 'a'));
    CHECK(e.code == ec::over_limit);
    CHECK(e.text == "chat template: it is longer than 262144 bytes");
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
      const failure e = render_error(r.source, r.limits);
      CHECK(e.code == ec::over_limit);
      CHECK_MESSAGE(e.text.find(r.text) != std::string::npos, e.text);
    }
  }

  TEST_CASE("what a builtin does counts as steps") {
    // Each expression works on a megabyte or a hundred thousand items and gives little or nothing.
    template_limits few_steps;
    few_steps.max_steps = 200'000;
    const std::string setup =
        "{% set s = 'a' * 1000000 %}{% set t = 'a' * 1000000 %}{% set space = ' ' * 1000000 %}"
        "{% set zeros = '0' * 1000000 %}{% set u = '\u00e9' * 500000 %}"
        "{% set l = [1] * 100000 %}{% set tuple = (1,) * 100000 %}{% set affixes = ('b',) * 100000 "
        "%}"
        "{% set d = {s: 1} %}{% set ns = namespace(b=1) %}{% set ns.a = ns %}";
    const auto loop = [&](const std::string& x) {
      return setup + "{% for i in range(1000) %}{% set q = " + x + " %}{% endfor %}";
    };
    CHECK(render(loop("1"), json::object(), few_steps).ok());
    const std::string work[] = {"s.find('b')",
                                "s.upper()",
                                "s.strip('a')",
                                "s == t",
                                "s < t",
                                "s.count('b')",
                                "'b' in s",
                                "s|wordcount",
                                "s|tojson",
                                "s[1:]",
                                "s.split('b')",
                                "s ~ 'b'",
                                "s.isalpha()",
                                "s|trim ~ t",
                                "s.replace('b', 'c')",
                                "space.strip()",
                                "space.split()",
                                "'b'.strip(s)",
                                "s.startswith(t)",
                                "s.endswith(t)",
                                "'a'.startswith(affixes)",
                                "s.removeprefix(t ~ 'b')",
                                "s.removesuffix('b' ~ t)",
                                "u.startswith('b', 250000)",
                                "u.find('b', 250000)",
                                "u[250000]",
                                "u|truncate(250000, true, '')",
                                "u.count('')",
                                "s.partition('b')",
                                "s.rfind('b')",
                                "s.rsplit('b')",
                                "s.splitlines()",
                                "s|title",
                                "[]|join(s)",
                                "'a'|indent(1000000)",
                                "1|tojson(indent=1000000)",
                                "zeros|int",
                                "zeros|float",
                                "'%.0s' % s",
                                "'%.0r' % [s]",
                                "'{:.0}'.format(s)",
                                "s.format()",
                                "s|e",
                                "[s]|string",
                                "strftime_now('a' * 10000)",
                                "'%.1000000f' % 1",
                                "{}.get(s)",
                                "s in {}",
                                "{s: 1}",
                                "dict(d)",
                                "namespace(d)",
                                "{}[s] is defined",
                                "{tuple: 1}",
                                "tuple in {}",
                                "{}[tuple] is defined",
                                "l|list",
                                "l[1:]",
                                "l + l",
                                "l * 2",
                                "l|batch(1000)|list",
                                "[]|slice(100000)|list",
                                "l|sort",
                                "l|unique|list",
                                "l|reverse|list",
                                "l == l * 1",
                                "2 in l",
                                "l|map('list', *l)",
                                "range(100000)|sum",
                                "'{0}'.format(*l)",
                                "('{0' ~ '.a' * 1000 ~ '.b}').format(ns)"};
    for (const std::string& x : work) {
      CAPTURE(x);
      const std::string source = loop(x);
      CHECK(render_error(source, few_steps).code == ec::over_limit);
    }
  }

  TEST_CASE("names cost steps where they are looked up, not only where they are used") {
    template_limits few_steps;
    few_steps.max_steps = 100'000;
    std::string many;
    for (int i = 0; i < 1000; ++i) many += "{{ a" + std::to_string(i) + " }}";
    const std::string long_name = repeat("a", 100'000);
    const std::string bodies[] = {
        "{% if 0 %}" + many + "{% endif %}",
        "{% if 0 %}{{ " + long_name + " }}{% endif %}",
        "{% set q = {}." + long_name + " is defined %}",
    };
    for (const std::string& body : bodies) {
      CAPTURE(body.substr(0, 40));
      const std::string loop = "{% for i in range(1000) %}" + body + "{% endfor %}";
      CHECK(render_error(loop, few_steps).code == ec::over_limit);
      const std::string macro = "{% macro m() %}" + body + "{% endmacro %}";
      CHECK(
          render_error(macro + "{% for i in range(1000) %}{{ m() }}{% endfor %}", few_steps).code ==
          ec::over_limit);
    }
  }

  TEST_CASE("keys that share items or a hash cost the steps that comparing them takes") {
    template_limits few_steps;
    few_steps.max_steps = 1'000'000;
    const std::string shared =
        "{% set ns = namespace(t=(1,)) %}{% for i in range(22) %}{% set ns.t = (ns.t, ns.t) %}"
        "{% endfor %}";
    const std::string sources[] = {
        shared + "{{ {ns.t: 1}|length }}",
        shared + "{{ {}[ns.t] is defined }}",
        shared + "{{ ns.t in {} }}",
        "{{ dict([('nan'|float, 1)] * 3000)|length }}",
        "{{ ([('nan'|float)] * 3000)|unique|list|length }}",
    };
    for (const std::string& source : sources) {
      CAPTURE(source);
      CHECK(render_error(source, few_steps).code == ec::over_limit);
    }
  }

  TEST_CASE("what a render holds stays near its budget") {
    template_limits limits;
    limits.max_memory_bytes = 4 << 20;
    limits.max_output_bytes = 1 << 20;
    constexpr size_t most = 24 << 20;
    const std::string sources[] = {
        // Values that are no text or container: undefined ones, objects and what objects hold.
        "{{ range(100000)|map(attribute='some_name')|list|length }}",
        "{% set s = 'a' * 1000000 %}{% set ns = namespace(l=[]) %}{% for i in range(1000) %}"
        "{% set ns.l = ns.l + [{}[s], {}[(s,)]] %}{% endfor %}",
        "{{ ([[1]] * 100000)|map('map', 'string')|list|length }}",
        "{% set many = [1] * 10000 %}{% set ns = namespace(l=[]) %}{% for i in range(1000) %}"
        "{% set ns.l = ns.l + [[1]|map('string', *many)] %}{% endfor %}",
        "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}"
        "{% set ns.l = ns.l + [[]|map(attribute='.' * 4000)] %}{% endfor %}",
        "{{ ['.' * 4000] * 1000|map('map')|list if 0 }}{% set ns = namespace(l=[]) %}"
        "{% for i in range(100000) %}{% set ns.l = [ns.l, range(i)][1:] * 2 %}"
        "{% set ns.k = namespace(a=i) %}{% endfor %}",
        "{% set d = dict(range(10000)|batch(2)) %}{% for i in range(1000) %}"
        "{% set q = namespace(d) %}{% endfor %}",
        "{% set g = range(100000)|map('string')|unique %}{{ g|list|length }}",
        "{{ range(100000)|unique|list|length }}",
        // Output and variables of calls that are not over.
        "{% set s = 'a' * 1000000 %}{% macro m() %}{{ s }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set many = [1] * 100000 %}{% macro m() %}{% if varargs %}{% endif %}{{ m(*many) }}"
        "{% endmacro %}{{ m() }}",
        // Lists before they are values.
        "{{ ([1] * 4000000)|length }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = ns.l + ns.l %}"
        "{% endfor %}",
        "{{ [1]|batch(4000000, 0)|list|length }}",
        "{{ []|slice(4000000)|list|length }}",
        "{{ (',' * 1000000).split(',')|length }}",
        "{{ (',' * 1000000).rsplit(',')|length }}",
        "{{ (' a' * 500000).split()|length }}",
        "{{ ('\n' * 1000000).splitlines()|length }}",
        "{{ ('a' * 1000000)|list|length }}",
        // Texts before they are values.
        "{{ ('\x01' * 1000000)|tojson|length }}",
        "{{ ['\x01' * 1000000]|string|length }}",
        "{{ ('<' * 1000000)|e|length }}",
        "{{ ('\u0390' * 500000)|upper|length }}",
        "{{ 'a'.center(1000000, '\U0001f600')|length }}",
        "{{ ('a' * 1000000).replace('', 'bb')|length }}",
        "{{ ['a', 'b', 'd']|join('c' * 1000000)|length }}",
        "{{ [1, 2, 3]|tojson(separators=('c' * 1000000, 'd'))|length }}",
    };
    for (const std::string& source : sources) {
      CAPTURE(source);
      const auto parsed = chat_template::parse(source);
      REQUIRE_MESSAGE(parsed.ok(), parsed.error().text);
      const allocation_meter meter;
      const auto got = parsed->render({}, limits);
      CHECK(meter.peak_bytes() <= most);
      CHECK((!got.ok() && got.error().code == ec::over_limit));
    }
  }

  TEST_CASE("the variables of a call count as memory") {
    std::string many;
    for (int i = 0; i < 20'000; ++i) many += "{{ a" + std::to_string(i) + " }}";
    const std::string source =
        "{% macro m() %}{% if 0 %}" + many + "{% endif %}{{ m() }}{% endmacro %}{{ m() }}";
    template_limits limits;
    limits.max_memory_bytes = 4 << 20;
    const failure e = render_error(source, limits);
    CHECK(e.text == "chat template line 1: the template's values take more than 4194304 bytes");
  }

  TEST_CASE("an attribute of a filter has a longest length") {
    for (const char* source :
         {"{{ []|map(attribute='.' * 5000)|list }}", "{{ []|sort(attribute=',' * 5000)|list }}"}) {
      CHECK(render_error(source).text ==
            "chat template line 1: the attribute of a filter is longer than 4096 bytes");
    }
  }

  TEST_CASE("input that nests too deeply is refused") {
    json deep = 1;
    for (int i = 0; i < 300; ++i) deep = json::array({deep});
    CHECK(render_error("{{ x }}", {}, {{"x", deep}}).code == ec::over_limit);
  }
}
