#!/usr/bin/env python3
"""Writes runtime/text/jinja/unicode_tables.cpp: Python's own answers about every code point.

Templates call str.upper, str.isalpha, repr and the like, and their output must equal Python's byte
for byte. So the tables are asked from Python (this interpreter) and not from a Unicode file.

usage: tools/reference/make_unicode_tables.py > runtime/text/jinja/unicode_tables.cpp
"""
import sys
import unicodedata

CODE_POINTS = [chr(cp) for cp in range(0x110000) if not 0xD800 <= cp < 0xE000]


def turns_sigma_final(text):
    return (text + "\u03a3").lower().endswith("\u03c2")


def is_case_ignorable(c):
    """str.lower skips these when it looks for the letter before a sigma."""
    return turns_sigma_final("A" + c) and not turns_sigma_final(c)


PROPERTIES = {
    "alpha": str.isalpha,
    "decimal": str.isdecimal,
    "digit": lambda c: c.isdigit() and not c.isdecimal(),
    "numeric": lambda c: c.isnumeric() and not c.isdigit(),
    "lower": str.islower,
    "upper": str.isupper,
    "title": lambda c: c.istitle() and not c.isupper(),
    "case_ignorable": is_case_ignorable,
    "unprintable": lambda c: not c.isprintable(),
    "space": str.isspace,
}


def runs(points):
    """[(first, last, stride)] over ascending (code point, delta); stride 1 or 2."""
    out = []
    for cp, delta in points:
        if out:
            first, last, stride, d = out[-1]
            single = first == last and cp - last in (1, 2)
            if d == delta and (single or cp - last == stride):
                out[-1] = (first, cp, cp - last, d)
                continue
        out.append((cp, cp, 1, delta))
    return out


def print_rows(rows):
    line = " "
    for row in rows:
        if len(line) + len(row) + 2 > 100:
            print(line)
            line = " "
        line += " " + row + ","
    print(line)


def print_property(name, holds):
    rows = runs([(ord(c), 0) for c in CODE_POINTS if holds(c)])
    print(f"const code_point_run {name}_data[] = {{")
    print_rows([f"{{{a:#x}, {b:#x}, {s}}}" for a, b, s, _ in rows])
    print("};\n")


def print_mapping(name, convert, unlike):
    """Only where `convert` answers otherwise than `unlike`."""
    changed = [(c, convert(c)) for c in CODE_POINTS if convert(c) != unlike(c)]
    rows = runs([(ord(c), ord(to) - ord(c)) for c, to in changed if len(to) == 1])
    print(f"const case_run {name}_data[] = {{")
    print_rows([f"{{{a:#x}, {b:#x}, {s}, {d}}}" for a, b, s, d in rows])
    print("};\n")
    print(f"const case_expansion {name}_expansion_data[] = {{")
    longer = [(c, to) for c, to in changed if len(to) > 1]
    print_rows([f'{{{ord(c):#x}, U"' + "".join(f"\\U{ord(x):08x}" for x in to) + '"}'
                for c, to in longer])
    print("};\n")


def main():
    print("// Made by tools/reference/make_unicode_tables.py: do not edit.")
    print(f"// Python {sys.version.split()[0]}, Unicode {unicodedata.unidata_version}.")
    print("// clang-format off")
    print('#include "runtime/text/jinja/unicode_tables.hpp"\n')
    print("namespace llmos::jinja::tables {\n\nnamespace {\n")
    for name, holds in PROPERTIES.items():
        print_property(name, holds)
    print_mapping("uppercase", str.upper, unlike=str)
    print_mapping("lowercase", str.lower, unlike=str)
    print_mapping("titlecase", str.title, unlike=str.upper)
    print("}  // namespace\n")
    for name in PROPERTIES:
        print(f"const std::span<const code_point_run> {name}{{{name}_data}};")
    for name in ("uppercase", "lowercase", "titlecase"):
        print(f"const case_table {name}{{{name}_data, {name}_expansion_data}};")
    print("\n}  // namespace llmos::jinja::tables")


main()
