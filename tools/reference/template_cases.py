"""Small templates for make_template_golden.py: every statement, operator, filter, test and method
that llmos has, at its ordinary and its odd arguments. VARIABLES are what they all can see."""

VARIABLES = {
    "t": True,
    "f": False,
    "n": None,
    "i": 7,
    "neg": -3,
    "zero": 0,
    "x": 2.5,
    "s": "Hello World",
    "empty": "",
    "uni": "Straße İß ΟΔΟΣ ǆ 日本 😀 e\u0301",
    "ws": " \t\u00a0pad\u3000\n",
    "lines": "one\ntwo\r\nthree\u2028four\n\nfive",
    "html": "<a href=\"x\">'&'</a>",
    "l": [3, 1, 2],
    "words": ["banana", "Apple", "cherry", "apple"],
    "nested": [[1, "a"], [2, "b"]],
    "none_list": [None, 0, "", [], {}, False],
    "d": {"b": 1, "a": 2, "items": "shadow", "C": 3, "_p": 4},
    "big": 18446744073709551615,
    "users": [
        {"name": "Zoë", "age": 31, "tags": ["x", "y"], "pet": {"kind": "cat"}},
        {"name": "adam", "age": 9, "tags": [], "pet": {"kind": "Dog"}},
        {"name": "Bert", "age": 31, "tags": ["z"]},
    ],
    "json": {"k": [1, 2.0, 1e22, -0.0, True, None, "é\n\"\\\u007f\u2028", {"": {}}, []]},
}

LITERALS = r"""
{{ 42 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 00 }} {{ 1.5 }} {{ 1e3 }} {{ 1.5E-7 }}
{{ 1_0.2_5e1_0 }} {{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e15 }} {{ 123456789012345678.0 }} {{ 1e-5 }}
{{ 0.0001 }} {{ -0.0 }} {{ 1e308 * 10 }} {{ -1e308 * 10 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }}
{{ 'a' "b" 'c' }} {{ "it's" }} {{ 'say "hi"' }} {{ 'tab\tnl\nq\'' }} {{ "\x41\u00e9\U0001f600" }}
{{ '\a\b\f\v\r' | tojson }} {{ '\101\7' | tojson }} {{ '\d\w' }} {{ 'a\\b' }}
{{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }}
{{ [] }} {{ [1] }} {{ [1, 2,] }} {{ () }} {{ (1,) }} {{ (1) }} {{ 1, 2 }} {{ 1, }}
{{ {} }} {{ {'a': 1, "b": [2]} }} {{ {1: 'x', none: 'y', 1.5: (1, 2), true: 'z'} }} {{ {'a': 1, 'a': 2,} }}
{{ ['a', "it's", 'q"', 'b\'"', '\n\t\\', 'é', '\u200b', '\x7f', '\u2028', '😀', '\U000e0001'] }}
{{ [1.0, 0.1, 1e100, none, true, (), {}] }} {{ ['\xa0', '\x85', '\xad', 'e\u0301'] }}
{{ 9223372036854775807 }} {{ -9223372036854775807 - 1 }} {{ 1 if 1 }} {{ 1 if 0 }} {{ 1 if 0 else 2 }}
{{ 1 if 0 else 2 if 0 else 3 }} {{ (1 if 0) is defined }} {{ {'a': {'b': {'c': 1}}}.a.b.c }}
{{ missing }} {{ [missing] }} {{ {'k': missing} }} {{ big }} {{ [big] }} {{ big == 1.8446744073709552e19 }}
{{ 'a\nb' }} {{ l.0 }} {{ l.1 + 1 }} {{ nested.0.1 }} {{ 'ab'.0 }}
"""

OPERATORS = r"""
{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }}
{{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ -7 % -3 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 7.5 // 2 }} {{ -7.5 // 2 }}
{{ 2 ** 10 }} {{ 2 ** 3 ** 2 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 2 ** 0.5 }} {{ 0 ** 0 }} {{ (-1) ** 3 }}
{{ 1 - 1 - 1 }} {{ 100 / 10 / 2 }} {{ 2 * 3 % 4 }} {{ - 5 }} {{ + 5 }} {{ - - 5 }} {{ -x }} {{ +t }} {{ -t }}
{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ 'ab' * 0 }} {{ 'ab' * -1 }} {{ [1] + [2] }} {{ [0] * 3 }} {{ (1,) + (2,) }}
{{ 1 ~ 2 }} {{ 'a' ~ none ~ true ~ 1.0 ~ [1] ~ missing }} {{ 1 + 2 ~ 3 + 4 }} {{ 'a' ~ 'b' * 2 }}
{{ 1 < 2 }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 != 1 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }}
{{ 'Z' < 'a' }} {{ 'é' > 'z' }} {{ '😀' > '\uffee' }} {{ [1, 2] < [1, 3] }} {{ (1,) < (1, 0) }} {{ [1] == (1,) }} {{ {} == {} }}
{{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ none == false }} {{ none == none }} {{ missing == missing }} {{ missing == none }}
{{ 1 in [1, 2] }} {{ 3 not in [1, 2] }} {{ 'ell' in s }} {{ '' in '' }} {{ 'b' in d }} {{ 'z' not in d }} {{ 1 in (1,) }}
{{ 1 in missing }} {{ none in [none] }} {{ 1.0 in [1] }} {{ 'a' in d.keys() }} {{ 2 in d.values() }} {{ ('a', 2) in d.items() }}
{{ not true }} {{ not [] }} {{ not not 'a' }} {{ not 1 == 2 }} {{ 1 and 2 }} {{ 0 and 2 }} {{ 0 or 'x' }} {{ '' or none or [] }}
{{ 1 or 1/0 }} {{ 0 and 1/0 }} {{ 1 and 0 or 3 }} {{ not 0 and 1 }} {{ true and not false }} {{ missing or 'dflt' }} {{ missing and 1 }}
{{ i > 5 and i < 10 }} {{ 1 if i > 5 else 2 }} {{ 'a' if missing else 'b' }} {{ 1 == 1 == 1 }} {{ 2 > 1 == 1 }}
{{ -1|abs }} {{ (-1)|abs }} {{ 2 + -1|abs }} {{ 'a' + 'b'|upper }} {{ ('a' + 'b')|upper }} {{ not 'a'|length }} {{ 1 + 1 is even }}
{{ 3 is odd and 2 is even }} {{ 3 is not odd }} {{ i is divisibleby 7 }} {{ i is divisibleby(2) }} {{ 'a' is in ['a'] }} {{ 1 is in [2] or 1 is in [1] }}
{{ 7.0 == 7 }} {{ 0.1 + 0.2 == 0.3 }} {{ 10000000000000001 == 10000000000000000.0 }} {{ 3 * 1.5 }} {{ 1e3 // 7 }} {{ true + true }} {{ 5 // 0.3 }}
"""

ERRORS = r"""
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 % 0 }}
{{ 0 ** -1 }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ none + 1 }}
{{ 'a' - 'b' }}
{{ {} + {} }}
{{ -'a' }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ [1] < [none] }}
{{ {} < {} }}
{{ 1 in 5 }}
{{ 1 in 'abc' }}
{{ [] in {} }}
{{ missing + 1 }}
{{ 1 + missing }}
{{ missing.attr }}
{{ missing['a'] }}
{{ missing() }}
{{ missing[1:] }}
{{ missing < 1 }}
{{ -missing }}
{{ n.x.y }}
{{ d.nope.nope }}
{{ l[9].x }}
{{ s() }}
{{ i() }}
{{ d['a']() }}
{{ n[1:] }}
{{ d[1:] }}
{{ l[::0] }}
{{ l['a':] }}
{{ {[]: 1} }}
{{ {{}: 1} }}
{% for a in 5 %}{% endfor %}
{% for a in none %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{% endfor %}
{% for a, b in [[1]] %}{% endfor %}
{% set a, b = 1 %}
{% set q.a = 1 %}
{% set d.a = 1 %}
{{ raise_exception('No way!') }}
{{ raise_exception('') }}
{{ raise_exception(12) }}
{{ raise_exception() }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}
{% macro m() %}{% endmacro %}{% call m() %}x{% endcall %}
{{ range() }}
{{ range(1, 2, 0) }}
{{ range('a') }}
{{ range(1.5) }}
{{ dict(1) }}
{{ dict([1]) }}
{{ dict({}, {}) }}
{{ cycler() }}
{{ s.nope() }}
{{ s.upper(1) }}
{{ s.replace('a') }}
{{ s.replace('a', none) }}
{{ s.split('') }}
{{ s.split(1) }}
{{ s.join(1) }}
{{ ','.join([1]) }}
{{ s.index('zz') }}
{{ s.center() }}
{{ s.ljust(20, 'ab') }}
{{ s.startswith(1) }}
{{ s.partition('') }}
{{ l.index(99) }}
{{ l.append(1) }}
{{ l.sort() }}
{{ d.update({}) }}
{{ d.pop('a') }}
{{ d.get() }}
{{ d.get([]) }}
{{ 5|length }}
{{ none|length }}
{{ 5|list }}
{{ none|list }}
{{ 5|join }}
{{ none|join }}
{{ 5|first }}
{{ l|map('upper')|last }}
{{ 5|reverse }}
{{ 'a'|abs }}
{{ 'a'|round }}
{{ 1.5|round(1, 'up') }}
{{ missing|int }}
{{ missing|float }}
{{ missing|abs }}
{{ 5|items|list }}
{{ [1, 'a']|sort }}
{{ [1, none]|max }}
{{ ['a', 1]|sum }}
{{ ['a']|sum }}
{{ l|sum(start='a') }}
{{ none|dictsort }}
{{ d|dictsort(by='x') }}
{{ l|map|list }}
{{ l|map(attribute='a', foo=1)|list }}
{{ l|selectattr|list }}
{{ users|map(attribute='pet.kind')|list }}
{{ users|selectattr('pet.kind', 'eq', 'cat')|list }}
{{ missing|tojson }}
{{ range(2)|tojson }}
{{ {(1,): 2}|tojson }}
{{ [missing]|tojson }}
{{ l|tojson(nope=1) }}
{{ {'a': 1, 2: 3}|tojson(sort_keys=true) }}
{{ s|truncate(2) }}
{{ none|indent }}
{{ 5|indent }}
{{ missing|indent }}
{{ s|replace('a') }}
{{ s|trim(1) }}
{{ s|default(1, 2, 3) }}
{{ 1 is divisibleby 0 }}
{{ 'a' is odd }}
{{ 1 is in 5 }}
{{ 1 is lt 'a' }}
{{ 1 is eq }}
{{ 1 is defined(1) }}
{{ '%d' % 'a' }}
{{ '%s %s' % 1 }}
{{ '%s' % (1, 2) }}
{{ '%q' % 1 }}
{{ '%(a)s' % 1 }}
{{ '%(a)s' % {} }}
{{ '%' % 1 }}
{{ '%s'|format(1, a=2) }}
{{ '{} {}'.format(1) }}
{{ '{a}'.format(1) }}
{{ '{'.format(1) }}
{{ '}'.format(1) }}
{{ '{0} {}'.format(1) }}
{{ '{:d}'.format('a') }}
{{ '{:s}'.format(1) }}
{% for q in [1] recursive %}{{ loop(5) }}{% endfor %}
{% for q in [1] %}{{ loop([1]) }}{% endfor %}
{% for q in [1] %}{{ loop.cycle() }}{% endfor %}
{{ range(100001) }}
{{ s|center('a') }}
{{ f(1) }}
{{ namespace(1) }}
{{ '' ~ 1 / 0 }}
{{ l[0]() }}
{{ users[0].pet() }}
{% filter upper(1) %}a{% endfilter %}
{{ d.items(1) }}
{{ s.strip(1) }}
{{ s.find() }}
{{ ' a'.join(missing) ~ missing.a }}
{{ m(*5) }}
{{ dict(**5) }}
{{ dict(**{1: 2}) }}
{{ dict(a=1, **{'a': 2}) }}
{{ '%é' % 1 }}
{{ '%日' % () }}
{{ '{!é}'.format(1) }}
{{ {[1]: 2} }}
{{ {(1, [2]): 3} }}
{{ {}.get([1]) }}
{{ [] in {} }}
{{ [[1]]|unique|list }}
{{ dict([([1], 2)]) }}
"""

SYNTAX_ERRORS = r"""
{{ }}
{{ 1 + }}
{{ a b }}
{{ (1 }}
{{ [1 }}
{{ {1: } }}
{{ 1
{% if %}{% endif %}
{% if 1 %}
{% endif %}
{% for %}{% endfor %}
{% for x %}{% endfor %}
{% for x in %}{% endfor %}
{% for x in l %}
{% for 1 in l %}{% endfor %}
{% for x in l %}{% endif %}
{% else %}
{% set %}
{% set 1 = 2 %}
{% set true = 2 %}
{% set a %}
{% set a. = 1 %}
{% set a[0] = 1 %}
{% macro %}{% endmacro %}
{% macro m %}{% endmacro %}
{% macro m(1) %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(a, a) %}{% endmacro %}
{% call 1 %}{% endcall %}
{% break %}
{% continue %}
{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% for loop in l %}{% endfor %}
{% for x in l %}{% set loop = 1 %}{% endfor %}
{{ a is b is c }}
{{ f(a=1, 2) }}
{{ f(**a, b) }}
{{ f(a=1, a=2) }}
{{ 'abc }}
{{ 'a\x4' }}
{{ '\u12' }}
{{ a ! b }}
{{ a ? b }}
{{ ] }}
{{ (] }}
{# open
{% raw %} open
{% 1 %}
{% if 1 %}{% else %}{% else %}{% endif %}
{{ 1.a }}
{{ a. }}
{{ a.'b' }}
{{ a| }}
{{ a|1 }}
{{ a is }}
{{ 1 if }}
{% endfor %}
{{ a = 1 }}
{% if a = 1 %}{% endif %}
{{ not }}
{{ a not b }}
{% with a %}{% endwith %}
{% macro m(caller) %}{{ caller() }}{% endmacro %}
{{ £ }}
"""

UNKNOWN = r"""
{{ 1|nope }}
{{ 1 is nope }}
{% nope %}
{% do l.append(1) %}
{% trans %}{% endtrans %}
{% for a in l %}{{ a|nope }}{% endfor %}
{% if 0 %}{{ 1|nope }}{% endif %}ok
{{ 1|nope if 0 else 2 }}
{{ 1 is nope if 0 else 2 }}
{% if 1 %}{{ 1|nope }}{% endif %}
{% if 1 %}{{ 1 is nope }}{% endif %}
{% if 0 %}{% for a in l %}{{ a|nope }}{% endfor %}{% endif %}
{{ l|map('nope')|list }}
{{ l|select('nope')|list }}
{{ []|map('nope')|list }}
{{ l|map('nope')|length if 0 }}
{% if 0 %}{% set a %}{{ 1|nope }}{% endset %}{% endif %}
{% set a | nope %}x{% endset %}
{% filter nope %}x{% endfilter %}
{{ 1|a.b }}
"""

STATEMENTS = [
    "{% if 0 %}a{% elif 0 %}b{% elif 1 %}c{% else %}d{% endif %}",
    "{% if 0 %}a{% else %}d{% endif %}",
    "{% if l, 1 %}a{% endif %}",
    "{% for q in l %}{{ q }},{% endfor %}",
    "{% for q in [] %}a{% else %}none{% endfor %}",
    "{% for q in missing %}a{% else %}none{% endfor %}",
    "{% for q in 'añ😀' %}[{{ q }}]{% endfor %}",
    "{% for k in d %}{{ k }};{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a }}{{ b }}{{ c }} {% endfor %}",
    "{% for (a, b) in nested %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, in [(1,), (2,)] %}{{ a }}{% endfor %}",
    "{% for q in 1, 2, 3 %}{{ q }}{% endfor %}",
    "{% for q in (1, 2) if q > 1 %}{{ q }}{{ loop.length }}{% endfor %}",
    "{% for q in l if q > 5 %}{{ q }}{% else %}nothing{% endfor %}",
    "{% for q in l if q != 1 %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}",
    "{% for a, b in nested if a > 1 %}{{ a }}{{ b }}{{ loop.first }}{% endfor %}",
    "{% for q in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
    "{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for q in l %}{{ loop.previtem }}<{{ q }}>{{ loop.nextitem }} {% endfor %}",
    "{% for q in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for q in range(5) %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for q in [1, 1, 2, 2, 1] %}{{ loop.changed(q) }} {% endfor %}",
    "{% for q in l %}{{ loop.depth }}{{ loop.depth0 }}{{ loop }}{% endfor %}",
    "{% for q in l|map('string') %}{{ loop.length }}{{ loop.index }}{{ loop.last }} {% endfor %}",
    "{% for q in l %}{% for r in 'ab' %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% for q in l %}{% set outer = loop %}{% for r in 'ab' %}{{ outer.index }}{{ loop.index }} "
    "{% endfor %}{% endfor %}",
    "{% for q in l %}{% if loop.index == 2 %}{% break %}{% endif %}{{ q }}{% endfor %}",
    "{% for q in l %}{% if loop.first %}{% continue %}{% endif %}{{ q }}{% endfor %}",
    "{% for q in l %}{% continue %}{% else %}else{% endfor %}",
    "{% for q in l %}{% break %}{% else %}else{% endfor %}",
    "{% for q in l %}{{ q }}{% break %}{% endfor %}{% for q in l %}{{ q }}{% endfor %}",
    "{% for q in l %}{% for r in l %}{% if r == 1 %}{% break %}{% endif %}{{ q }}{{ r }} "
    "{% endfor %}{% endfor %}",
    "{% for q in l %}{% set z %}in{% if q == 1 %}{% break %}{% endif %}{% endset %}{{ z }}{% endfor %}",
    "{% for q in l %}{% filter upper %}a{% if q == 1 %}{% continue %}{% endif %}b{% endfilter %}"
    "{% endfor %}",
    "{% for q in [[1, [2, [3]]], [4]] recursive %}{% if q is iterable %}({{ loop(q) }})"
    "{% else %}{{ q }}@{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for q in l recursive %}{{ q }}{% endfor %}",
    "{% for q in l if q > 1 recursive %}{{ q }}{{ loop.index }}{% else %}e{% endfor %}",
    "{% for q in [] recursive %}{{ q }}{% else %}e{% endfor %}",
    "{% set a = 1 %}{{ a }}{% set a = a + 1 %}{{ a }}",
    "{% set a, b = 1, 2 %}{{ b }}{{ a }}",
    "{% set a, b = b, a %}{{ a is defined }}",
    "{% set (a, b) = 'xy' %}{{ b }}{{ a }}",
    "{% set a = 1, %}{{ a }}",
    "{% set a %}x{{ 1 }}y{% endset %}[{{ a }}]",
    "{% set a | upper | replace('X', 'z') %}x{{ 1 }}y{% endset %}[{{ a }}]",
    "{% set a | length %}xyz{% endset %}{{ a + 1 }}",
    "{% set a %}{% set b = 1 %}{% endset %}{{ b is defined }}",
    "{% if 1 %}{% set a = 5 %}{% endif %}{{ a }}",
    "{% if 0 %}{% set a = 5 %}{% endif %}{{ a is defined }}",
    "{% if 0 %}{% set i = 5 %}{% endif %}{{ i }}",
    "{% if 0 %}{% set i = 5 %}{% elif 1 %}{% set i = 6 %}{% endif %}{{ i }}",
    "{% for q in l %}{% set a = q %}{% endfor %}{{ a is defined }}",
    "{% set a = 0 %}{% for q in l %}{{ a }}{% set a = a + q %}{{ a }} {% endfor %}{{ a }}",
    "{% for q in l %}{{ a is defined }}{% set a = q %}{% endfor %}",
    "{% for i in l %}{{ i }}{% endfor %}{{ i }}",
    "{% for q in l %}{% if loop.first %}{% set a = 'set' %}{% endif %}{{ a }}|{% endfor %}",
    "{% set i = i + 1 %}{{ i }}{% set i = i + 1 %}{{ i }}",
    "{% set ns = namespace(a=1, b='x') %}{% for q in l %}{% set ns.a = ns.a + q %}{% endfor %}"
    "{{ ns.a }}{{ ns.b }}{{ ns['a'] }}{{ ns.c is defined }}",
    "{% set ns = namespace() %}{% set ns.x = 1 %}{% set ns.y %}blk{% endset %}{{ ns.x }}{{ ns.y }}{{ ns }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}{{ ns }}",
    "{% set ns = namespace(l=[]) %}{% for q in l %}{% set ns.l = ns.l + [q * 2] %}{% endfor %}{{ ns.l }}",
    "{% set ns = namespace(a=0) %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}",
    "{% set ns = namespace(items=1, get=2) %}{{ ns.items }}{{ ns.get }}{{ ns.keys is defined }}",
    "{% set ns = namespace() %}{{ ns is mapping }}{{ ns is iterable }}{{ ns.nope.x is defined }}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% set a = 9 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% set a = 5 %}{% endwith %}{{ a }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% with a, b = (1, 2) %}{{ a }}{{ b }}{% endwith %}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=3) }} {{ m(c=1, a=2, b=3) }} {{ m() }}",
    "{% macro m(a, b=a + 1) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 5) }}",
    "{% macro m(a=b, b=1) %}{{ a is defined }}{{ b }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}{{ m() }}",
    "{% macro m(a) %}{{ a }}{{ varargs|length }}{{ kwargs.z }}{% endmacro %}{{ m(1, 2, 3, z='k') }}",
    "{% macro m(a) %}{% if a is undefined %}none{% else %}{{ a }}{% endif %}{% endmacro %}{{ m() }}{{ m(none) }}",
    "{% macro fact(k) %}{{ 1 if k < 2 else k * fact(k - 1)|int }}{% endmacro %}{{ fact(5) }}",
    "{% macro m() %}{{ q }}{% endmacro %}{% set q = 3 %}{{ m() }}",
    "{% set q = 1 %}{% macro m() %}{{ q }}{% endmacro %}{% set q = 2 %}{{ m() }}",
    "{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% set i = 'late' %}{{ m() }}",
    "{% macro m() %}{{ i }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{% set i = 1 %}{{ i }}{% endmacro %}{{ m() }}{{ i }}",
    "{% for q in l %}{% macro m() %}{{ q }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro a() %}{% macro b() %}{{ i }}{% endmacro %}{{ b() }}{{ b() }}{% endmacro %}{{ a() }}",
    "{% macro outer(p) %}{% macro inner() %}{{ p }}{% endmacro %}{{ inner() }}{% endmacro %}{{ outer(1) }}{{ outer(2) }}",
    "{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{{ m }}",
    "{% macro m(x) %}[{{ caller() }}|{{ x }}]{% endmacro %}{% call m(1) %}body{{ i }}{% endcall %}",
    "{% macro m() %}{% for q in l %}{{ caller(q, k=loop.index) }}{% endfor %}{% endmacro %}"
    "{% call(v, k) m() %}<{{ v }}{{ k }}>{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{{ caller }}{% endmacro %}{{ m() }}",
    "{% macro m(caller=none) %}{{ caller() if caller else 'no' }}{% endmacro %}{{ m() }}{% call m() %}c{% endcall %}",
    "{% macro o() %}{{ caller() }}{% endmacro %}{% macro p() %}{% call o() %}({{ caller() }}){% endcall %}{% endmacro %}"
    "{% call p() %}x{% endcall %}",
    "{% macro m() %}{% set z = caller() %}{{ z|upper }}{% endmacro %}{% call m() %}abc{% endcall %}",
    "{{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }}{{ m is callable }}",
    "{% if 1 %}{% macro m() %}y{% endmacro %}{% endif %}{{ m() }}",
    "{% filter upper %}abc{{ s }}{% endfilter %}",
    "{% filter trim | replace('a', 'b') | upper %}  aaa  {% endfilter %}",
    "{% filter indent(2, true) %}a\nb{% endfilter %}",
    "{% print 1, 'a' %}{% print s %}",
    "{% raw %}{{ x }}{% if %}{# #}{% endraw %}",
    "{%- raw -%}  {{ x }}  {%- endraw -%}  z",
    "a {# comment {{ x }} #} b",
    "{% generation %}text {{ i }}{% endgeneration %}",
    "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}",
    "{% for q in l %}{% generation %}{{ q }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% set f = joiner('|') %}{% for q in l %}{{ f() }}{{ q }}{% endfor %}",
    "{% set f = joiner() %}{{ f() }}a{{ f() }}b{{ f() }}",
    "{% set c = cycler('a', 'b', 'c') %}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}",
    "{{ range(3)|list }}{{ range(1, 4)|list }}{{ range(5, 0, -2)|list }}{{ range(0)|list }}{{ range(3) }}{{ range(1, 9, 3) }}",
    "{{ range(5)[2] }}{{ range(5)[-1] }}{{ range(5)|length }}{{ range(5)|last }}{{ range(5).stop }}{{ range(0) or 'falsy' }}",
    "{{ 3 in range(5) }}{{ 7 in range(5) }}{{ range(4)|sum }}{{ range(4)|reverse|list }}",
    "{{ dict(a=1, b=2) }}{{ dict([('x', 1), ['y', 2]]) }}{{ dict({'a': 1}, a=2) }}{{ dict() }}",
    "{{ dict(d, **{'zz': 1})|length }}{{ dict(a=1).a }}",
    "{% macro m(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2], c=3) }}{{ m(1, **{'c': 3, 'b': 2}) }}",
    "{{ strftime_now('%%f%f%z|%Z%%|%é|%') }}",
    "{{ 1 if 1 if 0 else 2 }}{{ 1 if 0 if 1 }}{{ 1 if 1 if 1 }}{{ 1 if 0 if 0 else 2 if 0 if 1 else 3 }}{{ (1 if 1 if 0) is defined }}",
    "{% set ns = namespace() %}{% for q in [1, 2, 3] %}{% set ns.l = loop %}{% endfor %}{{ ns.l.index }}{{ ns.l.previtem }}{{ ns.l.last }}{{ ns.l.length }}{{ ns.l.nextitem is defined }}{{ ns.l.cycle('a', 'b') }}",
    "{% set ns = namespace() %}{% for q in nested %}{% for r in q %}{% set ns.r = loop %}{% endfor %}{% set ns.l = loop %}{% endfor %}{{ ns.l.previtem }}{{ ns.r.previtem }}{{ ns.l.changed(1) }}{{ ns.l.previtem[1] }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{{ kwargs }}{% endmacro %}{{ m(**{'a': 1, 'b': 2, 'c': 3}) }}{{ m(1, *[2], z=3, **{'y': 4}) }}",
    "{% if i %}{% if 0 %}{% set a = 1 %}{% elif i %}{% if i %}{% set a = 2 %}{% set b = a %}{% endif %}{{ a }}{% endif %}{{ b }}{% else %}{% set c = 1 %}{% endif %}{{ a }}{{ b }}{{ c is defined }}",
    "{% for q in l %}{% if q > 1 %}{% if q > 2 %}{% set s = q %}{% else %}{% set x = s %}{% endif %}{{ s }}{{ x }}{% endif %}{{ s }}{% endfor %}{{ s }}{{ x }}",
    "{% if 0 %}{% set s = 1 %}{% elif 0 %}{% set x = 2 %}{{ s }}{% elif 1 %}{{ s }}{{ x }}{% set i = x %}{% endif %}{{ s }}{{ x }}{{ i }}",
    "{{ dict(range(40)|batch(2)) }}{{ dict(range(40)|batch(2))[20] }}{{ dict(range(40)|batch(2)).get(21) }}{{ 38.0 in dict(range(40)|batch(2)) }}",
    "{{ range(40)|map('string')|unique|join }}{{ [(1, 2), (1, 2.0), (2, 1), none, none]|unique|list }}{{ (range(20)|list + range(20)|list)|unique|sum }}",
    "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%A %j %%') }}",
    "{{ namespace is callable }}{{ range is callable }}{{ missing is callable }}{{ s is callable }}",
    "{% if users[0].name == 'Zoë' and users[1]['age'] < 10 %}ok{% endif %}",
    "{{ users[-1].name }}{{ users[0].tags[-1] }}{{ users[5] is defined }}{{ users[0].nope is defined }}",
    "{{ d['items'] }}{{ d._p }}{{ d['_p'] }}{{ d.get('items') }}",
    "{{ s.__class__ }}{{ s['__class__'] }}{{ l.append }}{{ d.update is defined }}{{ [].__len__ is defined }}",
    "{{ l[0] }}{{ l[-1] }}{{ l[true] }}{{ l['a'] is defined }}{{ l[1.0] is defined }}{{ l[none] is defined }}{{ l[missing] is defined }}",
    "{{ d[1] is defined }}{{ d[[]] is defined }}{{ d[missing] is defined }}{{ n.x is defined }}{{ n['x'] is defined }}{{ i.x is defined }}",
    "{{ s[0] }}{{ s[-1] }}{{ uni[4] }}{{ uni[-1] }}{{ s[99] is defined }}{{ s['upper']() }}{{ d['keys']()|list }}",
    "{{ l[1:] }}{{ l[:1] }}{{ l[:] }}{{ l[::2] }}{{ l[::-1] }}{{ l[-2:] }}{{ l[:-1] }}{{ l[5:] }}{{ l[-9:2] }}{{ l[2:0:-1] }}",
    "{{ s[1:4] }}{{ s[::-1] }}{{ s[::3] }}{{ s[-3:] }}{{ uni[3:9] }}{{ uni[::-1] }}{{ (1, 2, 3)[1:] }}{{ s[none:2] }}{{ s[3:1] }}|",
    "{% set m = messages if messages is defined else [] %}{{ m }}",
    "{{ (l + [4])[-1] }}{{ {'a': 1}['a'] }}{{ [1, 2][0] }}{{ 'abc'[1] }}{{ (1, 2)[1] }}",
    "{% set x = x %}{{ x }}{% set y = y %}{{ y is defined }}",
    "{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}{% for p in {'b': 1}.items() %}{{ p }}{{ p[0] }}{% endfor %}",
    "{{ d.items() is mapping }}{{ d.keys() }}{{ d.values() }}{{ {'a': 1}.items() }}{{ d.keys()|length }}{{ d.keys()|first }}{{ d.keys()|last }}",
    "{% set a = [1, 2] %}{% set b = a %}{{ a is sameas b }}{{ [1] is sameas [1] }}{{ none is sameas none }}{{ 1 is sameas true }}",
    "{{ self_test }}{{ 'loop' }}{{ loop is defined }}{{ caller is defined }}{{ varargs is defined }}",
    "{% set messages = l[1:] %}{% for q in messages %}{{ loop.index0 }}{{ q }}{% endfor %}",
    "{% for q in l %}{{ q if not loop.last else q ~ '.' }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% set a = 1 if 0 %}{{ a is defined }}{{ a }}",
    "{% for q in l %}{% for q in 'ab' %}{{ q }}{% endfor %}{{ q }}{% endfor %}",
    "{% for q in l %}{% if q == 1 %}{% set hit = true %}{% endif %}{% endfor %}{{ hit is defined }}",
    "{% set a = 5 %}{% for q in l %}{% if 0 %}{% set a = q %}{% endif %}{{ a }}{% endfor %}",
    "{% set a = 5 %}{% for q in l %}{% if loop.first %}{% set a = q %}{% endif %}{{ a }}{% endfor %}{{ a }}",
    "{% macro m(x) %}{% set x = x + 1 %}{{ x }}{% endmacro %}{{ m(1) }}{{ x }}",
    "{% set a = 'o' %}{% set b %}{{ a }}{% set a = 'i' %}{{ a }}{% endset %}{{ b }}{{ a }}",
    "{% set a = 'o' %}{% filter upper %}{{ a }}{% set a = 'i' %}{{ a }}{% endfilter %}{{ a }}",
    "{% for q in l %}{{ loop.index }}{% else %}{{ loop is defined }}{% endfor %}",
    "{% for q in [] %}{% else %}{{ loop is defined }}{{ q is defined }}{% endfor %}",
]

WHITESPACE = [
    "a\n{% if 1 %}\nb\n{% endif %}\nc\n",
    "a\n  {% if 1 %}  \n  b\n  {% endif %}  \nc\n\n",
    "a  {%- if 1 -%}  b  {%- endif -%}  c",
    "a\n\n  {{- 1 -}}  \n\nb",
    "  {{ 1 }}\n  {{ 2 }}",
    "  {% set a = 1 %}\n  x\n",
    "  {%+ if 1 %}y{% endif %}\n",
    "  {% if 1 +%}\n  y{% endif %}\n",
    "x {# c #}\n y\n  {# c #}\nz",
    "x\n  {#- c -#}\n y",
    "x\n  {#+ c +#}\n y",
    "\n{% if 1 %}\n\n{% endif %}\n\n",
    "\r\n{% if 1 %}\r\na\r\n{% endif %}\r\nb\rc\r\n",
    "{{ 1 }}\n",
    "{{ 1 }}\n\n",
    "{% if 1 %}\n  a\n{% endif %}",
    "{% for q in [1, 2] %}\n  {{ q }}\n{% endfor %}\nend",
    "{% for q in [1, 2] -%}\n  {{ q }}\n{%- endfor %}\nend",
    "{%- for q in [1, 2] %}\n\t{{- q }}\n{% endfor %}",
    "a {% raw %} b {% endraw %} c",
    "a\n  {% raw %}\n  b\n  {% endraw %}\n  c",
    "a\n  {%- raw -%}\n  b\n  {%- endraw -%}\n  c",
    "a\n  {%+ raw %}\n  b\n  {%+ endraw +%}\n  c",
    "\t{% if 1 %}a{% endif %}",
    "b\t{% if 1 %}a{% endif %}",
    "\u00a0\u3000{% if 1 %}a{% endif %}\u00a0\n",
    "x\u2028 {%- if 1 -%}\u2028 a{% endif %}",
    "{{ '  a ' }}{{-' b '-}} {{ 'c' }}",
    "{{ 1 }}{% if 1 %}\n{% endif %}\n\n{{ 2 }}",
    "{%if 1%}tight{%endif%}{{1}}{{-1}}{{- 1}}",
    "{{ {'a': {'b': 1}}['a']['b'] }}}}",
    "{{ '}}' }}{{ '%}' }}{% if '%}' %}y{% endif %}{ { }} %}",
    "{",
    "a{% raw %}",
    "a{#",
    "{a} {{'{{'}} {% raw %}{{ '{%' }}{% endraw %}",
    "",
    "\n",
    " ",
    "plain text\n  with lines\n",
    "{%- set a = 1 -%}\n\n\n{{ a }}\n\n{%- set b = 2 %}\n{{ b }}",
    "line {% if 1 %}\ninner\n  {% endif %} tail",
    "{{\n1\n+\n2\n}}",
    "{% set a = {\n 'x': 1,\n 'y': [\n1, 2]\n} %}{{ a }}",
    "{# multi\nline #}\nafter",
    "{% if 1 %} {% if 1 %} {% endif %} {% endif %}|",
    "   {{- 'x' }}   {{ 'y' -}}   z",
    "{% if 1 -%}\n   a\n   {%- else -%}\n b{% endif %}",
    "a{#- x #} b {# y -#} c",
    "{%- macro m(a) -%}\n  <{{ a }}>\n{%- endmacro -%}\n  {{ m(1) }}\n",
    "{% macro m(a) %}\n  <{{ a }}>\n{% endmacro %}\n{{ m(1) }}|",
    "{% set x %}\n  a\n  {% endset %}\n[{{ x }}]",
]

FILTERS = r"""
{{ neg|abs }} {{ x|abs }} {{ -2.5|abs }} {{ t|abs }}
{{ d|attr('a') is defined }} {{ s|attr('upper')() }} {{ d|attr('get')('a') }}
{{ [1,2,3,4,5]|batch(2)|list }} {{ [1,2,3]|batch(2, 'x')|list }} {{ []|batch(2)|list }} {{ [1,2]|batch(0)|list }}
{{ 'hELLO wORLD'|capitalize }} {{ uni|capitalize }} {{ ''|capitalize }} {{ 5|capitalize }}
{{ 'ab'|center(7) }}| {{ 'abc'|center(6) }}| {{ 'abcd'|center(2) }}|
{{ l|count }} {{ s|length }} {{ uni|length }} {{ d|length }} {{ missing|length }} {{ ''|length }}
{{ missing|default }} {{ missing|default('x') }} {{ ''|default('x') }} {{ ''|default('x', true) }} {{ n|d('x') }} {{ n|d('x', boolean=true) }} {{ d.zz|default(d.a) }}
{{ d|dictsort }} {{ d|dictsort(true) }} {{ {'a': 2, 'b': 1}|dictsort(by='value') }} {{ {'a': 2, 'b': 1}|dictsort(false, 'key', true) }} {{ {'b': 'X', 'a': 'y'}|dictsort(false, 'value') }}
{{ html|escape }} {{ html|e }} {{ html|e|e }} {{ html|e|forceescape }} {{ 5|e }} {{ n|e }} {{ html|safe }} {{ (html|safe) + '<' }} {{ '<' + ('>'|safe) }}
{{ ('<'|e) ~ '<' }} {{ ['<'|e, '<'] }} {{ ('<'|e)|upper + '<' }} {{ ('a<'|safe)[1:] + '<' }} {{ '<'|e is escaped }} {{ '<' is escaped }} {{ ('<'|safe) * 2 + '<' }}
{{ l|first }} {{ ''|first }} {{ []|first is defined }} {{ s|first }} {{ d|first }} {{ l|map('string')|first }} {{ missing|first is defined }}
{{ '3.5'|float }} {{ 'x'|float }} {{ 'x'|float(1) }} {{ 5|float }} {{ n|float }} {{ '1e3'|float }} {{ ' 2_0.5 '|float }} {{ 'inf'|float }} {{ '-Infinity'|float }} {{ 'nan'|float }} {{ '0x1p3'|float }} {{ '٣.٥'|float }} {{ '.5'|float }} {{ '5.'|float }} {{ '1__0'|float }} {{ '+ 1'|float }} {{ '+1'|float }} {{ '1e400'|float }} {{ 't'|float(default='d') }}
{{ '%s-%s'|format(1, 'a') }} {{ '%(a)s'|format(a=5) }} {{ '%05d|%-5s|%5.1f'|format(42, 'ab', 3.14159) }} {{ 'x'|format }}
{{ users|groupby('age')|list }}
{% for g in users|groupby('age') %}{{ g.grouper }}:{{ g.list|map(attribute='name')|join(',') }}{{ g[0] }};{% endfor %}
{% for k, v in words|groupby(0) %}{{ k }}={{ v|join('+') }};{% endfor %} {{ users|groupby('pet.kind', default='none')|map('first')|list }} {{ [{'k': 'A'}, {'k': 'a'}]|groupby('k', case_sensitive=true)|length }}
{{ 'a\nb\n\nc'|indent }} {{ 'a\nb\n\nc'|indent(2, true) }} {{ 'a\nb\n\nc'|indent(2, blank=true) }} {{ 'a\nb'|indent('>>') }} {{ ''|indent }} {{ 'a\n'|indent }}| {{ lines|indent(1) }} {{ 'x'|indent(3, first=true) }}
{{ '42'|int }} {{ '42.7'|int }} {{ 'x'|int }} {{ 'x'|int(-1) }} {{ 3.9|int }} {{ -3.9|int }} {{ t|int }} {{ n|int }} {{ [] |int }} {{ ' 12 '|int }} {{ '1_000'|int }} {{ 'ff'|int(base=16) }} {{ '0xff'|int(0, 16) }} {{ '0b11'|int(base=2) }} {{ '0o17'|int(0, 0) }} {{ '٣'|int }} {{ '-5'|int }} {{ '+5'|int }} {{ '- 5'|int }} {{ '12abc'|int }} {{ '1e3'|int }} {{ 'inf'|int }} {{ 'nan'|int(3) }} {{ '99'|int(base=99) }} {{ '007'|int }} {{ '010'|int(5, 0) }} {{ ''|int }} {{ 'zz'|int(base=36) }}
{{ d|items|list }} {{ missing|items|list }}
{{ l|join }} {{ l|join('-') }} {{ words|join(', ') }} {{ users|join(',', attribute='name') }} {{ users|join(',', 'pet.kind') if 0 }} {{ 'abc'|join('.') }} {{ d|join('.') }} {{ [1, none, missing, 'x', [2]]|join('|') }} {{ missing|join }} {{ l|join(1) }} {{ []|join('x') }}|
{{ l|last }} {{ s|last }} {{ []|last is defined }} {{ d|last }} {{ ''|last is defined }} {{ missing|last is defined }} {{ range(3)|last }}
{{ 'abc'|list }} {{ d|list }} {{ (1, 2)|list }} {{ missing|list }} {{ range(2)|list }} {{ d.items()|list }} {{ 'é😀'|list }}
{{ 'ÀB İ ΣΑΣ'|lower }} {{ 5|lower }} {{ n|lower }} {{ missing|lower }} {{ [1, 'A']|lower }}
{{ words|map('upper')|list }} {{ words|map('replace', 'a', 'o')|join }} {{ users|map(attribute='name')|list }} {{ users|map(attribute='pet', default='none')|list }} {{ nested|map(attribute=1)|list }} {{ nested|map(attribute='0')|list }} {{ users|map(attribute='tags.0')|list }} {{ missing|map('upper')|list }} {{ none|map('upper')|list }} {{ [['b', 'a']]|map('sort')|list }} {{ ['1', '2']|map('int')|sum }} {{ users|map(attribute='tags')|map('length')|list }} {{ l|map('default', 5)|list }} {{ d.values()|map('string')|list }}
{{ l|max }} {{ l|min }} {{ words|max }} {{ words|min }} {{ words|max(true) }} {{ words|min(case_sensitive=true) }} {{ users|max(attribute='age') }} {{ []|max is defined }} {{ [1, 2.0, true]|max }} {{ users|min(attribute='name') }}
{{ l|reject('odd')|list }} {{ none_list|reject|list }} {{ words|reject('in', ['Apple'])|list }} {{ users|rejectattr('tags')|map(attribute='name')|list }} {{ users|rejectattr('age', 'gt', 10)|map(attribute='name')|list }} {{ none_list|reject('none')|list }}
{{ l|select('odd')|list }} {{ none_list|select|list }} {{ l|select('gt', 1)|list }} {{ l|select('divisibleby', 3)|list }} {{ users|selectattr('tags')|map(attribute='name')|list }} {{ users|selectattr('pet', 'defined')|list|length }} {{ users|selectattr('age', 'equalto', 31)|map(attribute='name')|join }} {{ users|selectattr('name', 'in', ['adam', 'x'])|list|length }} {{ users|selectattr('age', '>=', 31)|list|length }} {{ missing|select|list }} {{ none|selectattr('x')|list }} {{ ['a', 1]|select('string')|list }} {{ l|select('==', 3)|first }}
{{ 'aXbXc'|replace('X', '-') }} {{ 'aXbXc'|replace('X', '-', 1) }} {{ 'abc'|replace('', '.') }} {{ 5|replace(5, 6) }} {{ 'aaa'|replace('a', 'b', count=2) }} {{ 'a'|replace('a', none) }} {{ 'abc'|replace('', '.', 2) }} {{ ''|replace('', 'x') }} {{ 'x'|replace('x', 'y', 0) }} {{ 'a.b'|replace('.', '') }}
{{ 'abc'|reverse }} {{ l|reverse|list }} {{ d|reverse|list }} {{ uni|reverse }} {{ l|map('string')|reverse }} {{ missing|reverse|list }} {{ (1, 2)|reverse|list }}
{{ 42.55|round }} {{ 42.55|round(1) }} {{ 42.55|round(1, 'floor') }} {{ 42.55|round(1, 'ceil') }} {{ 2.5|round }} {{ 3.5|round }} {{ -2.5|round }} {{ 42|round }} {{ 1234|round(-2) }} {{ 1250|round(-2) }} {{ 1350|round(-2) }} {{ 1234.5|round(-2) }} {{ 0.125|round(2) }} {{ 2.675|round(2) }} {{ 1e22|round(3) }} {{ 7|round(2, 'ceil') }} {{ 7.1|round(0, 'floor') }} {{ 1250.0|round(-2) }} {{ 50|round(-2) }} {{ 5e-324|round(400) }} {{ -0.4|round }} {{ 25.5|round(-1, 'ceil') }} {{ t|round }} {{ 0.5|round }} {{ 1.5|round|int }}
{{ [1,2,3,4,5,6,7]|slice(3)|list }} {{ [1,2,3,4]|slice(3, 'x')|list }} {{ []|slice(2)|list }}
{{ l|sort }} {{ words|sort }} {{ words|sort(true) }} {{ words|sort(case_sensitive=true) }} {{ words|sort(reverse=true, case_sensitive=true) }} {{ users|sort(attribute='age')|map(attribute='name')|list }} {{ users|sort(attribute='age,name')|map(attribute='name')|list }} {{ users|sort(attribute='age', reverse=true)|map(attribute='name')|list }} {{ d|sort }} {{ 'hello'|sort }} {{ [[2, 1], [1, 2]]|sort(attribute=1) }} {{ [true, 0, 0.5]|sort }} {{ nested|sort(attribute='1', reverse=true) }}
{{ 5|string }} {{ [1]|string|length }} {{ n|string }} {{ missing|string }} {{ t|string + 'x' }} {{ 1.0|string }}
{{ l|sum }} {{ []|sum }} {{ [1.5, 2]|sum }} {{ users|sum(attribute='age') }} {{ l|sum(start=10) }} {{ [[1], [2]]|sum(start=[]) }} {{ [t, t]|sum }} {{ [0.1]*10|sum if 0 }} {{ ([0.1]*10)|sum }}
{{ 'hello wORLD-foo (bar) [baz] {q} <z>'|title }} {{ "it's o'neil"|title }} {{ uni|title }} {{ 5|title }} {{ 'ßa ǆx'|title }}
{{ json|tojson }} {{ json|tojson(indent=2) }} {{ json|tojson(ensure_ascii=true) }} {{ d|tojson(sort_keys=true) }} {{ d|tojson(separators=(',', ':')) }} {{ l|tojson(indent=0) }} {{ l|tojson(indent='--') }} {{ s|tojson }} {{ n|tojson }} {{ t|tojson }} {{ 1.0|tojson }} {{ (1, 2)|tojson }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }} {{ uni|tojson }} {{ uni|tojson(true) }} {{ html|tojson }} {{ '/<>&'|tojson }} {{ big|tojson }} {{ [1e308*10]|tojson }} {{ []|tojson(indent=2) }} {{ {}|tojson(indent=2) }} {{ {'a': [], 'b': {}}|tojson(indent=1) }} {{ users[1]|tojson(indent=4, sort_keys=true) }} {{ '\x00\x1f\x7f\x80'|tojson }} {{ d|tojson(indent=2, separators=('; ', ' = ')) }} {{ json|tojson(none, 1) }} {{ json|tojson|length }} {{ l|tojson(indent=none) }} {{ l|tojson(indent=-1) }} {{ ('<'|e)|tojson }}
{{ ws|trim }}| {{ 'xxaxx'|trim('x') }} {{ 5|trim }} {{ missing|trim }}| {{ ''|trim }}| {{ 'abcba'|trim('ab') }} {{ n|trim }} {{ ' a '|trim(none) }}| {{ 'éaé'|trim('é') }} {{ ' a '|trim(chars=' ') }}|
{{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }} {{ 'foo bar baz qux'|truncate(11) }} {{ 'foo bar baz qux'|truncate(11, false, '...', 0) }} {{ 'foo bar baz qux'|truncate(5, true, '…', 0) }} {{ s|truncate }} {{ 'abcdefghij klmno'|truncate(5, leeway=0) }} {{ 'x y z w v u t'|truncate(length=4, end='', leeway=1) }}
{{ words|unique|list }} {{ words|unique(true)|list }} {{ [1, 1.0, true, 2]|unique|list }} {{ users|unique(attribute='age')|map(attribute='name')|list }} {{ 'hello'|unique|join }}
{{ 'straße ǆ ﬁ'|upper }} {{ 5|upper }} {{ missing|upper }}| {{ ['a']|upper }}
{{ 'one two, three_four 5-6 é'|wordcount }} {{ ''|wordcount }} {{ 5|wordcount }}
{{ s|upper|lower|title|trim|length }} {{ s|list|sort|join|trim|unique|list|length }} {{ '  x '|trim ~ '|' }}
{{ (l|map('string')) is iterable }} {{ (l|select) is sequence }} {{ l|map('string')|map('int')|select('gt', 1)|map('string')|join('/') }}
{% if []|select %}generator is true{% endif %} {% if l|map('upper')|list %}list{% endif %}
{% set g = l|map('string') %}{{ g|list }}{{ g|list }} {% set g = l|select %}{% for q in g %}{{ q }}{% endfor %}{% for q in g %}again{% endfor %}
"""

TESTS = r"""
{{ i is defined }} {{ missing is defined }} {{ d.zz is defined }} {{ n is defined }} {{ missing is not defined }} {{ missing is undefined }} {{ i is undefined }}
{{ n is none }} {{ i is none }} {{ missing is none }} {{ n is not none }} {{ f is none }}
{{ s is string }} {{ i is string }} {{ missing is string }} {{ ('a'|safe) is string }} {{ n is string }}
{{ i is number }} {{ x is number }} {{ t is number }} {{ s is number }} {{ big is number }}
{{ i is integer }} {{ x is integer }} {{ t is integer }} {{ 1.0 is integer }} {{ big is integer }}
{{ i is float }} {{ x is float }} {{ s is float }} {{ t is boolean }} {{ 1 is boolean }} {{ n is boolean }}
{{ t is true }} {{ 1 is true }} {{ f is false }} {{ 0 is false }} {{ n is false }} {{ t is not false }}
{{ d is mapping }} {{ l is mapping }} {{ missing is mapping }} {{ s is mapping }}
{{ l is sequence }} {{ d is sequence }} {{ s is sequence }} {{ i is sequence }} {{ missing is sequence }} {{ range(2) is sequence }} {{ d.keys() is sequence }} {{ n is sequence }} {{ (1,) is sequence }}
{{ l is iterable }} {{ d is iterable }} {{ s is iterable }} {{ i is iterable }} {{ missing is iterable }} {{ d.items() is iterable }} {{ n is iterable }}
{{ 3 is odd }} {{ 4 is odd }} {{ 4 is even }} {{ -3 is odd }} {{ 3.0 is odd }} {{ t is odd }}
{{ 9 is divisibleby 3 }} {{ 9 is divisibleby(num=2) }} {{ 9 is not divisibleby 2 }} {{ 4.5 is divisibleby 1.5 }}
{{ 'ab' is lower }} {{ 'aB' is lower }} {{ '12' is lower }} {{ 'AB' is upper }} {{ 'ß' is upper }} {{ 'É' is upper }} {{ 5 is lower }}
{{ 1 is eq 1 }} {{ 1 is eq(1.0) }} {{ 1 is equalto 2 }} {{ 1 is == 1 if 0 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is lessthan 1 }} {{ 2 is le 2 }} {{ 2 is gt 1 }} {{ 2 is greaterthan 3 }} {{ 2 is ge 2 }}
{{ 'a' is in 'abc' }} {{ 'a' is in d }} {{ 5 is not in l }} {{ s is in [s] }}
{{ s is sameas s }} {{ t is sameas true }} {{ 1 is sameas 1 }} {{ n is sameas none }} {{ 1 is sameas 1.0 }}
{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }} {{ 'nope' is test }} {{ s.upper is callable }} {{ raise_exception is callable }}
{{ s is string and i is number }} {{ not s is string }} {{ s is string == true }} {{ (s is string) == true }} {{ 'x' if s is string else 'y' }} {{ [s is string, i is string] }} {{ s is not string or true }}
{{ i is eq 7 and t }} {{ i is gt 3 if t else 1 }} {{ i is in [7]|list }} {{ l[0] is odd }} {{ i is divisibleby i }} {{ 'A' is eq 'a'.upper() }} {{ i is eq -7 if 0 else 1 }}
"""

METHODS = r"""
{{ 'hELLO'.capitalize() }} {{ 'ǆabc'.capitalize() }} {{ ''.capitalize() }} {{ 'ΑΣ'.lower() }} {{ 'ΑΣ Σ ΑΣΑ'.lower() }} {{ 'İ'.lower()|length }} {{ 'ﬃß'.upper() }} {{ 'aBc'.swapcase() }} {{ "they're bill's 3rd x1y".title() }} {{ 'ﬁne ǅ'.title() }}
{{ 'ab'.center(5) }}| {{ 'ab'.center(5, '*') }} {{ 'abc'.center(6, '*') }} {{ 'ab'.ljust(4) }}| {{ 'ab'.rjust(4, '.') }} {{ '-5'.zfill(5) }} {{ '5'.zfill(3) }} {{ 'é'.ljust(3, 'ß') }} {{ '+'.zfill(3) }} {{ 'abc'.zfill(2) }}
{{ 'banana'.count('an') }} {{ 'banana'.count('') }} {{ 'banana'.count('a', 2) }} {{ 'banana'.count('a', 2, 4) }} {{ ''.count('') }} {{ 'ééé'.count('é', -2) }} {{ 'aaa'.count('aa') }} {{ 'abc'.count('', 5) }}
{{ s.endswith('World') }} {{ s.endswith(('x', 'd')) }} {{ s.endswith('lo', 0, 5) }} {{ s.startswith('Hell') }} {{ s.startswith(('x', 'H')) }} {{ s.startswith('W', 6) }} {{ s.startswith('') }} {{ s.startswith('', 99) }} {{ s.endswith('') }} {{ s.startswith(()) }} {{ 'é'.startswith('é') }}
{{ s.find('o') }} {{ s.find('o', 5) }} {{ s.find('zz') }} {{ s.rfind('o') }} {{ s.rfind('o', 0, 5) }} {{ uni.find('日') }} {{ uni.rfind('😀') }} {{ s.index('W') }} {{ s.rindex('l') }} {{ s.find('') }} {{ s.rfind('') }} {{ s.find('', 99) }} {{ s.find('l', -3) }} {{ s.find('o', none, 5) }}
{{ '{} {}'.format(1, 'a') }} {{ '{1} {0}'.format(1, 2) }} {{ '{a} {b.name}'.format(a=1, b=users[0]) }} {{ '{0[a]}'.format(d) }} {{ '{{}} {}'.format(1) }} {{ '{!r} {!s}'.format('x', 'y') }} {{ '{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd') }} {{ '{:5d}|{:05d}|{:+d}|{:x}|{:X}|{:#x}|{:b}|{:o}'.format(42, 42, 42, 255, 255, 255, 5, 8) }} {{ '{:.2f}|{:8.3f}|{:e}|{:g}|{:.0f}|{:%}|{:.1%}'.format(3.14159, 2.5, 12345.678, 0.0001, 2.5, 0.25, 0.256) }} {{ '{:,}|{:_}|{:,.2f}'.format(1234567, 1234567, 1234567.891) }} {{ '{:{}}|'.format('a', 4) }} {{ '{:.3}'.format('abcdef') }} {{ '{}'.format(none) }} {{ '{:d}'.format(true) }} {{ '{:5}|{:5}|{:5}'.format(1, 'a', 1.5) }} {{ '{:=+5d}'.format(3) }} {{ '{:é^5}'.format('x') }} {{ '{}'.format([1, 'a']) }} {{ '{[0]}'.format(l) }} {{ '{:f}'.format(3) }} {{ '{:s}'.format('q') }} {{ '{:G}'.format(1e-10) }} {{ '{: d}'.format(5) }} {{ '{:08.2f}'.format(-3.14159) }} {{ ''.format() }}
{{ '%s %r %d %i %f %.2f %e %g %x %X %o %c %%' % ('a', 'b', 1, 2.9, 1.5, 2.345, 12345.678, 0.00001, 255, 255, 8, 'z') }} {{ '%5s|%-5s|%05d|%+d|% d|%#x|%.3s|%5.1f' % ('a', 'b', 42, 5, 5, 255, 'abcdef', 3.14159) }} {{ '%s' % none }} {{ '%s' % l }} {{ '%(a)d %(b)s' % {'a': 1, 'b': 'x'} }} {{ '%*d|%-*d|' % (5, 1, 4, 2) }} {{ '%s' % (('a', 'b'),) }} {{ '%c' % 65 }} {{ '%.2s|' % 'é日本' }} {{ '%d' % 3.99 }} {{ '%x' % 255 }} {{ '%5c|' % 'x' }} {{ '%s' % missing }} {{ '%d%%' % 50 }} {{ 'no' % () }} {{ 'no' % {} }} {{ '%r' % 'q' }} {{ '%05.1f|%-8.2e|' % (2.25, 1234.5) }} {{ '%.0f %.0f' % (0.5, 1.5) }} {{ '%s' % true }} {{ '%d' % true }} {{ '%g' % 1e20 }} {{ '%5d|' % -3 }} {{ '%05d|' % -3 }} {{ '%.5d' % 42 }} {{ '%+.1f' % 1 }}
{{ 'ab1'.isalnum() }} {{ 'ab'.isalpha() }} {{ 'é日'.isalpha() }} {{ 'a b'.isalpha() }} {{ ''.isalpha() }} {{ 'abc'.isascii() }} {{ 'é'.isascii() }} {{ '12'.isdecimal() }} {{ '²'.isdecimal() }} {{ '²'.isdigit() }} {{ '½'.isdigit() }} {{ '½'.isnumeric() }} {{ '一'.isnumeric() }} {{ '١٢'.isdigit() }} {{ 'ab1'.islower() }} {{ 'aB'.islower() }} {{ '1'.islower() }} {{ 'AB1'.isupper() }} {{ ' \t\u00a0'.isspace() }} {{ ''.isspace() }} {{ 'Ab Cd'.istitle() }} {{ 'AB'.istitle() }} {{ 'ab'.istitle() }} {{ 'a\n'.isprintable() }} {{ ''.isprintable() }} {{ 'ǅ'.istitle() }} {{ 'ª'.islower() }} {{ 'Ⅷ'.isupper() }} {{ '-12'.isdigit() }}
{{ ','.join(['a', 'b']) }} {{ ''.join('abc') }} {{ '-'.join(d) }} {{ ','.join(l|map('string')) }} {{ ','.join([]) }}| {{ ' '.join(words|sort) }}
{{ '  ab '.lstrip() }}| {{ '  ab '.rstrip() }}| {{ '  ab '.strip() }}| {{ 'xxabxx'.strip('x') }} {{ 'abcab'.lstrip('ba') }} {{ 'abcab'.rstrip('ba') }} {{ ws.strip() }}| {{ 'a\n\n'.rstrip('\n') }}| {{ '\x1c a\x85'.strip() }}| {{ '\u200ba'.strip()|length }} {{ ' a '.strip(none) }}| {{ 'éxé'.strip('é') }}
{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ 'abc'.rpartition('=') }}
{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x'.removeprefix('y') }} {{ 'x.txt'.removesuffix('.txt') }} {{ 'x'.removesuffix('') }}
{{ 'aXbXc'.replace('X', '') }} {{ 'aXbXc'.replace('X', '-', 1) }} {{ 'ab'.replace('', '-') }} {{ 'é'.replace('', '.') }} {{ 'aaa'.replace('aa', 'b') }} {{ 'x'.replace('x', 'y', -1) }} {{ 'x'.replace('x', 'y', 0) }}
{{ 'a b  c'.split() }} {{ 'a b  c'.split(' ') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ ' a  b '.split(none, 1) }} {{ ' a  b c '.rsplit(none, 1) }} {{ 'a,b'.split(sep=',', maxsplit=5) }} {{ 'abc'.split('b')[0] }} {{ '</think>x'.split('</think>')[-1].lstrip('\n') }} {{ 'a\u2003b'.split() }} {{ '  '.split() }} {{ 'a b c'.split(maxsplit=1) }} {{ 'a b c'.split(none, 0) }} {{ 'a b c'.rsplit(none, 0) }} {{ 'a--b--c'.rsplit('--') }} {{ ','.split(',') }} {{ 'x'.split('xx') }} {{ ' a b '.split(' ', 1) }}
{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ ''.splitlines() }} {{ 'a\n'.splitlines() }} {{ '\n'.splitlines() }} {{ 'a\x0bb\x0cc\x1cd\x1de\x1ef\x85g'.splitlines() }} {{ 'a\r\rb'.splitlines(keepends=true) }}
{{ d.get('a') }} {{ d.get('zz') }} {{ d.get('zz', 5) }} {{ d.keys()|list }} {{ d.values()|list }} {{ d.items()|list }} {{ d.copy() == d }} {{ {}.get('a', {}).get('b', 'deep') }} {{ d.get('zz') is none }}
{{ l.count(1) }} {{ l.index(2) }} {{ (1, 2, 1).count(1) }} {{ (1, 2).index(2) }} {{ l.copy() }} {{ [1, 1.0, true].count(1) }} {{ l.index(1, 1) }}
{{ s.upper().lower().title().split(' ')[0].strip('H') }}
{{ ('ab' * 40).find('ba' * 20) }} {{ ('ab' * 40).rfind('ab' * 20) }} {{ ('x' * 50 ~ 'yz').rfind('x' * 40 ~ 'y') }} {{ ('a' * 90).rfind('a' * 40 ~ 'b') }} {{ ('日' * 40).rindex('日' * 20) }} {{ ('日' * 40).find('日' * 20, 7) }} {{ 'b'.rfind('b' * 40) }}
{{ ('a' * 40 ~ 'b') in ('a' * 90) }} {{ ('a' * 40 ~ 'b') in ('a' * 90 ~ 'b') }} {{ ('ab' * 40).count('ab' * 20) }} {{ ('ab' * 40).replace('ba' * 20, '-') }} {{ ('ab' * 40).partition('b' ~ 'ab' * 20) }} {{ ('ab' * 40).rpartition('b' ~ 'ab' * 20) }}
{{ 'aaa'.rsplit('aa') }} {{ 'aaaaa'.rsplit('aa', 1) }} {{ 'a--b--c'.rsplit('--', 1) }} {{ ('ab' * 30 ~ 'c').rsplit('ba' * 10) }} {{ 'é日é日é'.rsplit('日') }} {{ 'é日é'.rsplit('é') }} {{ 'a'.rsplit('a') }} {{ 'x'.rsplit('xx', 0) }}
{{ 'xéx日'.strip('x日') }} {{ 'ééa'.lstrip('éa') }} {{ 'aé'.rstrip('éé') }} {{ 'a'.strip('') }} {{ '😀a😀'.strip('😀') }} {{ 'é'.strip('日') }}
{{ uni[-3:] }} {{ uni[5:-5] }} {{ uni[-1] }} {{ uni[12] }} {{ uni[-2::-3] }} {{ uni.find('日', 3, -2) }} {{ uni.startswith('日', -7) }} {{ uni.endswith('é', 3, -1) }} {{ uni.count('', 20) }} {{ s[::-2] }} {{ uni|truncate(9, true, '', 0) }}
"""


def pieces(text):
    """Every {{ … }} of a line is a case of its own, unless the line has statements too."""
    out = []
    for line in text.strip("\n").split("\n"):
        if "{%" not in line:
            line = line.replace("}} {{", "}}\n{{").replace("}}| {{", "}}|\n{{")
        out += line.split("\n")
    return out


def cases():
    """(group, template) of them all."""
    for group, text in (("literals", LITERALS), ("operators", OPERATORS), ("errors", ERRORS),
                        ("syntax errors", SYNTAX_ERRORS), ("unknown names", UNKNOWN),
                        ("filters", FILTERS), ("tests", TESTS), ("methods", METHODS)):
        for template in pieces(text):
            yield group, template
    for template in STATEMENTS:
        yield "statements", template
    for template in WHITESPACE:
        yield "whitespace", template
