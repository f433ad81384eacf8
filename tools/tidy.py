#!/usr/bin/env python3
"""Checks the rules that every source file keeps; prints `file:line: what` for each break.

Usage: tidy.py [ROOT]. The exit status is 1 when something was found.
"""
import pathlib
import re
import shutil
import subprocess
import sys

SOURCES = {".hpp", ".cpp", ".cu", ".cuh"}
HEADERS = {".hpp", ".cuh"}
INCLUDES_CAF = re.compile(r'\s*#\s*include\s*[<"]caf/')
THREADS = re.compile(r"\bstd::(thread|jthread|async|(?:\w+_)?mutex|condition_variable\w*)\b"
                     r"|#\s*include\s*<(?:thread|future|mutex|shared_mutex|condition_variable)>")
USES_CAF = re.compile(r"\busing\s+namespace\s+caf\b")


def without_comment(line):
    return line.split("//", 1)[0]


def free_of_caf(path):
    """Rule 1 of docs/ARCHITECTURE.md: the product and the policies know no actors."""
    return path.parts[0] in ("runtime", "gpu") or (
        path.parts[0] == "actors" and path.name.startswith("policy"))


def may_have_threads(path):
    """Rooms have none; the client library is called from threads that are no actors."""
    return path.parts[:2] == ("actors", "client") or path.parts[0] != "actors"


def findings(path, text):
    """(line number, what) for each break of a rule in the file `path`, relative to the root."""
    if path.suffix in HEADERS and "#pragma once" not in text:
        yield 1, "a header without #pragma once"
    for number, line in enumerate(text.split("\n"), 1):
        code = without_comment(line)
        if free_of_caf(path) and INCLUDES_CAF.match(code):
            yield number, "includes CAF, which only actors/ may (and no policy)"
        if not may_have_threads(path) and (found := THREADS.search(code)):
            yield number, f"{found[0]}: threads are actors here, and state is theirs alone"
        if USES_CAF.search(code):
            yield number, "using namespace caf: its names are close to ours"
        if len(line) > 100:
            yield number, f"{len(line)} columns, more than 100"
        if line != line.rstrip():
            yield number, "white space at the end of the line"


def misformatted(root, paths):
    """The first place in each file that clang-format 14 would change; other versions differ."""
    program = shutil.which("clang-format-14")
    if program is None:
        print("clang-format-14 is not installed: the formatting is not checked")
    if program is None or not paths:
        return []
    run = subprocess.run([program, "--dry-run", "-Werror", *map(str, paths)], cwd=root,
                         capture_output=True, text=True, check=False)
    first = {}
    for line in run.stderr.splitlines():
        if found := re.match(r"(.+?):(\d+):\d+: error: ", line):
            first.setdefault(found[1], found[2])
    return [f"{path}:{number}: clang-format-14 -i would change it" for path, number in first.items()]


def main(root):
    folders = [root / name for name in ("runtime", "gpu", "actors", "tests", "tools")]
    paths = sorted(p.relative_to(root) for f in folders for p in f.rglob("*") if p.suffix in SOURCES)
    found = [f"{path}:{number}: {what}" for path in paths
             for number, what in findings(path, (root / path).read_text("utf-8"))]
    found += misformatted(root, paths)
    print(*found, sep="\n")
    print(f"{len(paths)} source files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent.parent
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else here))
