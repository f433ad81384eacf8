"""Random templates for make_template_golden.py: mostly well-typed expressions over the VARIABLES of
template_cases, sometimes with a wrong type, inside random statements."""
import random

STRINGS = ["''", "'a'", "'Hello World'", "' pad '", "'é日😀'", "'a,b,,c'", "'x\\ny'", "'12'", "'-3.5'",
           "'<a&b>'", "'ß'", "'it\\'s'", "s", "uni", "ws", "empty", "html", "users[0].name", "words[1]"]
INTS = ["0", "1", "2", "3", "-1", "7", "10", "i", "neg", "zero", "l[0]", "users[1].age", "l|length",
        "true", "d.a"]
FLOATS = ["0.5", "1.0", "-2.25", "1e3", "x", "0.1", "3.0"]
BOOLS = ["true", "false", "t", "f"]
LISTS = ["[]", "[1, 2, 3]", "l", "words", "['b', 'a']", "nested", "none_list", "[1, 'a', none]",
         "users|map(attribute='name')|list", "(1, 2)", "range(4)|list", "users[0].tags", "d|list"]
DICTS = ["{}", "d", "{'a': 1}", "{'k': [1, {'z': none}]}", "users[0]", "json", "users[0].pet"]
OTHERS = ["none", "n", "missing", "users", "d.zz"]
KINDS = ["str", "int", "float", "bool", "list", "dict", "other"]


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, options):
        return self.r.choice(options)

    def expression(self, kind, depth):
        if self.r.random() < 0.04:
            kind = self.pick(KINDS)
        if depth <= 0 or self.r.random() < 0.15:
            return self.leaf(kind)
        make = getattr(self, "make_" + kind)
        text = make(depth - 1)
        if self.r.random() < 0.06:
            text = f"({text})"
        if self.r.random() < 0.05:
            text = f"({text} if {self.any(depth - 1)} else {self.expression(kind, depth - 1)})"
        return text

    def leaf(self, kind):
        return self.pick({"str": STRINGS, "int": INTS, "float": FLOATS, "bool": BOOLS, "list": LISTS,
                          "dict": DICTS, "other": OTHERS}[kind])

    def any(self, depth):
        return self.expression(self.pick(KINDS), depth)

    def atom(self, kind, depth):
        """An expression that a dot or bracket can follow."""
        return f"({self.expression(kind, depth)})"

    def make_str(self, d):
        s, i, t = (lambda: self.atom("str", d)), (lambda: self.expression("int", d)), self.any
        return self.pick([
            lambda: f"{s()} + {s()}",
            lambda: f"{s()} ~ ({t(d)})",
            lambda: f"{s()} * {self.pick(['0', '1', '2', '3', 't'])}",
            lambda: f"{s()}[{i()}:{i()}]",
            lambda: f"{s()}[::{self.pick(['-1', '2', '-2', '1', '3'])}]",
            lambda: f"{s()}[{self.pick(['0', '-1', '1', '5'])}]",
            lambda: f"{s()}.{self.pick(['upper', 'lower', 'title', 'capitalize', 'strip', 'lstrip', 'rstrip', 'swapcase'])}()",
            lambda: f"{s()}.{self.pick(['strip', 'lstrip', 'rstrip'])}({self.leaf('str')})",
            lambda: f"{s()}.replace({self.leaf('str')}, {s()}{self.pick(['', ', 1', ', -1', ', 0'])})",
            lambda: f"{s()}.{self.pick(['center', 'ljust', 'rjust', 'zfill'])}({self.pick(['0', '5', '12', 'i'])})",
            lambda: f"{s()}.join({self.expression('list', d)}|map('string'))",
            lambda: f"({t(d)})|string",
            lambda: f"({self.pick(['l', 'd', 'json', 'users', 'nested'])})|tojson{self.pick(['', '(indent=1)', '(sort_keys=true)', '(ensure_ascii=true)'])}",
            lambda: f"({t(d)})|tojson",
            lambda: f"({s()})|{self.pick(['upper', 'lower', 'title', 'capitalize', 'trim', 'reverse', 'escape', 'safe', 'string', 'indent', 'e', 'first', 'last'])}",
            lambda: f"({s()})|replace({self.leaf('str')}, {self.leaf('str')})",
            lambda: f"({s()})|truncate({self.pick(['3', '5', '9'])}, {self.pick(['true', 'false'])}, leeway={self.pick(['0', '2'])})",
            lambda: f"({s()})|default({s()}, {self.pick(['true', 'false'])})",
            lambda: f"({self.expression('list', d)})|join({self.leaf('str')})",
            lambda: f"'%s|%5s|%-4s|%r' % ({t(d)}, {s()}, {t(d)}, {s()})",
            lambda: f"'%d %05d %x %.2f %e %g' % ({i()}, {i()}, {self.pick(['5', '255', 'i'])}, {self.expression('float', d)}, {self.leaf('float')}, {self.leaf('float')})",
            lambda: f"'{{}} {{!r:>6}} {{2:^5}}'.replace('2', '').format({s()}, {s()}, {self.leaf('str')})",
            lambda: f"'{{:>7}}|{{:+.2f}}|{{:05d}}'.format({s()}, {self.leaf('float')}, {self.pick(['3', 'i', 'neg'])})",
            lambda: f"{s()}.split({self.leaf('str')})[{self.pick(['0', '-1', '1'])}]",
            lambda: f"{s()}.{self.pick(['partition', 'rpartition'])}({self.leaf('str')})[{self.pick(['0', '-1', '1'])}]",
            lambda: f"{s()} or {s()}",
            lambda: f"{s()} and {s()}",
            lambda: f"{s()}.{self.pick(['removeprefix', 'removesuffix'])}({self.leaf('str')})",
        ])()

    def make_int(self, d):
        i, s = (lambda: self.atom("int", d)), (lambda: self.atom("str", d))
        return self.pick([
            lambda: f"{i()} {self.pick(['+', '-', '*', '//', '%'])} {i()}",
            lambda: f"{i()} + {i()} * {i()}",
            lambda: f"{self.pick(['2', '3', 'i', 'neg'])} ** {self.pick(['0', '1', '2', '3'])}",
            lambda: f"-{i()}",
            lambda: f"({self.any(d)})|{self.pick(['length', 'count', 'int', 'int(5)'])}",
            lambda: f"({s()})|{self.pick(['length', 'int', 'wordcount', 'int(base=16)'])}",
            lambda: f"({self.expression('list', d)})|{self.pick(['length', 'sum', 'max', 'min', 'first', 'last'])}",
            lambda: f"{s()}.{self.pick(['find', 'rfind', 'count', 'index'])}({self.leaf('str')})",
            lambda: f"{self.atom('list', d)}.{self.pick(['count', 'index'])}({self.leaf('int')})",
            lambda: f"{self.atom('dict', d)}.get({self.leaf('str')}, {i()})",
            lambda: f"({self.expression('float', d)})|round|int",
            lambda: f"{i()}|abs",
        ])()

    def make_float(self, d):
        x, i = (lambda: self.atom("float", d)), (lambda: self.atom("int", d))
        return self.pick([
            lambda: f"{x()} {self.pick(['+', '-', '*', '/', '//', '%'])} {x()}",
            lambda: f"{i()} / {i()}",
            lambda: f"{x()} {self.pick(['+', '-', '*', '/', '//', '%'])} {i()}",
            lambda: f"{x()}|round({self.pick(['0', '1', '2', '-1'])}{self.pick(['', ', '+repr('floor'), ', '+repr('ceil')])})",
            lambda: f"({self.any(d)})|float",
            lambda: f"-{x()}",
        ])()

    def make_bool(self, d):
        a = lambda: self.atom(self.pick(KINDS), d)
        kind = self.pick(["int", "float", "str", "list", "int"])
        same = lambda: self.atom(kind, d)
        return self.pick([
            lambda: f"{same()} {self.pick(['<', '<=', '>', '>='])} {same()}",
            lambda: f"{same()} < {same()} <= {same()}",
            lambda: f"{a()} {self.pick(['==', '!='])} {a()}",
            lambda: f"{a()} {self.pick(['in', 'not in'])} {self.atom(self.pick(['list', 'dict']), d)}",
            lambda: f"{self.atom('str', d)} {self.pick(['in', 'not in'])} {self.atom('str', d)}",
            lambda: f"not {a()}",
            lambda: f"{a()} {self.pick(['and', 'or'])} {a()}",
            lambda: f"{a()} is {self.pick(['', 'not '])}{self.pick(['defined', 'none', 'string', 'number', 'integer', 'float', 'boolean', 'mapping', 'sequence', 'iterable', 'true', 'false', 'undefined', 'lower', 'upper', 'escaped', 'callable'])}",
            lambda: f"{self.atom('int', d)} is {self.pick(['odd', 'even', 'divisibleby 3', 'divisibleby(2)', 'eq 1', 'gt(2)', 'in [1, 2, 7]'])}",
            lambda: f"{self.atom('str', d)}.{self.pick(['isdigit', 'isalpha', 'isalnum', 'islower', 'isupper', 'isspace', 'istitle'])}()",
            lambda: f"{self.atom('str', d)}.{self.pick(['startswith', 'endswith'])}({self.leaf('str')})",
        ])()

    def make_list(self, d):
        l, s = (lambda: self.atom("list", d)), (lambda: self.atom("str", d))
        return self.pick([
            lambda: f"[{', '.join(self.any(d) for _ in range(self.r.randrange(4)))}]",
            lambda: f"{l()} + {l()}",
            lambda: f"{l()} * {self.pick(['0', '1', '2'])}",
            lambda: f"{l()}[{self.expression('int', d)}:]",
            lambda: f"{l()}[:{self.expression('int', d)}]",
            lambda: f"{l()}[::{self.pick(['-1', '2', '-2'])}]",
            lambda: f"{l()}|{self.pick(['sort', 'reverse', 'list', 'unique', 'select', 'reject', 'sort(reverse=true)', 'sort(true)'])}|list",
            lambda: f"{l()}|map({self.pick(['string', 'upper', 'length', 'int', 'trim', 'tojson', 'first', 'default'])!r})|list",
            lambda: f"{l()}|{self.pick(['select', 'reject'])}({self.pick(['string', 'number', 'none', 'defined', 'odd', 'mapping'])!r})|list",
            lambda: f"{l()}|{self.pick(['batch', 'slice'])}({self.pick(['1', '2', '3'])})|list",
            lambda: f"users|{self.pick(['selectattr', 'rejectattr'])}({self.pick(['age', 'name', 'tags', 'pet', 'pet.kind'])!r}{self.pick(['', ', '+repr('defined'), ', '+repr('string'), ', '+repr('eq')+', 31'])})|map(attribute='name')|list",
            lambda: f"users|sort(attribute={self.pick(['age', 'name', 'age,name', 'tags'])!r})|map(attribute='age')|list",
            lambda: f"users|map(attribute={self.pick(['age', 'pet.kind', 'tags.0', 'tags', 'name.0'])!r}, default={self.leaf('str')})|list",
            lambda: f"{s()}.{self.pick(['split()', 'splitlines()', 'rsplit()'])}",
            lambda: f"{s()}.{self.pick(['split', 'rsplit'])}({self.leaf('str')}{self.pick(['', ', 1'])})",
            lambda: f"{s()}|list",
            lambda: f"{self.atom('dict', d)}.{self.pick(['keys', 'values', 'items'])}()|list",
            lambda: f"{self.atom('dict', d)}|{self.pick(['dictsort', 'items', 'list', 'dictsort(true)'])}|list",
            lambda: f"range({self.expression('int', d)}, {self.expression('int', d)})|list",
            lambda: f"users|groupby({self.pick(['age', 'name'])!r})|map('first')|list",
        ])()

    def make_dict(self, d):
        return self.pick([
            lambda: "{" + ", ".join(f"{self.leaf(self.pick(['str', 'int', 'bool', 'float']))}: {self.any(d)}"
                                    for _ in range(self.r.randrange(4))) + "}",
            lambda: f"dict(a={self.any(d)}, b={self.any(d)})",
            lambda: f"dict({self.atom('dict', d)}, zz={self.any(d)})",
            lambda: f"{self.atom('dict', d)} or {self.atom('dict', d)}",
        ])()

    def make_other(self, d):
        return self.pick([
            lambda: self.leaf("other"),
            lambda: f"{self.atom('dict', d)}.{self.pick(['a', 'b', 'k', 'name', 'zz', 'pet'])}",
            lambda: f"{self.atom('dict', d)}[{self.leaf('str')}]",
            lambda: f"{self.atom('list', d)}[{self.expression('int', d)}]",
            lambda: f"({self.any(d)} if {self.any(d)})",
            lambda: f"({self.any(d)}) and ({self.any(d)})",
            lambda: f"({self.any(d)})|default({self.any(d)})",
            lambda: f"({self.expression('list', d)})|{self.pick(['first', 'last', 'max', 'min'])}",
        ])()

    # --- statements ---

    def template(self):
        if self.r.random() < 0.5:
            return "{{ " + self.any(self.r.randrange(1, 4)) + " }}"
        return "".join(self.statement(2) for _ in range(self.r.randrange(1, 4)))

    def tag(self, text):
        left, right = self.pick(["{%", "{%", "{%-", "{%+"]), self.pick(["%}", "%}", "-%}"])
        return f"{left} {text} {right}"

    def body(self, depth):
        return "".join(self.statement(depth) for _ in range(self.r.randrange(1, 3)))

    def statement(self, depth):
        text = self.pick(["", "a", " ", "\n", "  \n ", " b\n", "\n\t"])
        name = self.pick(["p", "q", "i", "s"])
        if depth <= 0:
            return text + "{{ " + self.any(1) + self.pick([" }}", " -}}"]) + text
        inner = lambda: self.body(depth - 1)
        e = lambda: self.any(1)
        return text + self.pick([
            lambda: "{{ " + self.any(2) + " }}",
            lambda: "{{ " + name + " }}",
            lambda: self.tag(f"if {e()}") + inner() + self.tag("endif"),
            lambda: self.tag(f"if {e()}") + inner() + self.tag(f"elif {e()}") + inner() + self.tag("else") + inner() + self.tag("endif"),
            lambda: self.tag(f"for {name} in {self.expression('list', 1)}") + "{{ loop.index }}" + inner() + self.tag("endfor"),
            lambda: self.tag(f"for {name} in {self.expression('list', 1)} if {name}") + "{{ " + name + " }}" + inner() + "{{ loop.last }}" + self.tag("else") + inner() + self.tag("endfor"),
            lambda: self.tag(f"for k, v in {self.atom('dict', 1)}.items()") + "{{ k }}{{ v }}" + inner() + self.tag("endfor"),
            lambda: self.tag(f"for {name} in l") + inner() + self.tag(f"if {name} == 1") + self.tag(self.pick(["break", "continue"])) + self.tag("endif") + "{{ " + name + " }}" + self.tag("endfor"),
            lambda: self.tag(f"set {name} = {e()}"),
            lambda: self.tag(f"set {name} = {e()}") + inner() + "{{ " + name + " }}",
            lambda: self.tag(f"set {name}") + inner() + self.tag("endset") + "[{{ " + name + " }}]",
            lambda: self.tag(f"set ns = namespace(v={e()})") + self.tag("for q in l") + self.tag(f"set ns.v = {e()}") + inner() + self.tag("endfor") + "{{ ns.v }}",
            lambda: self.tag(f"with {name} = {e()}") + inner() + self.tag("endwith") + "{{ " + name + " }}",
            lambda: self.tag(f"macro m({name}, k={e()})") + inner() + "{{ " + name + " }}{{ k }}" + self.tag("endmacro") + "{{ m(" + e() + ") }}{{ m(1, k=2) }}",
            lambda: self.tag("macro c()") + "<{{ caller() }}>" + self.tag("endmacro") + self.tag("call c()") + inner() + self.tag("endcall"),
            lambda: self.tag("filter " + self.pick(["upper", "trim", "replace('a', 'b')", "indent", "title"])) + inner() + self.tag("endfilter"),
            lambda: "{# " + text + " #}" + inner(),
            lambda: "{% raw %}{{ " + text + "{% endraw %}",
        ])()


def templates(seed, count):
    g = Generator(seed)
    return [g.template() for _ in range(count)]
