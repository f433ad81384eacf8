#!/usr/bin/env python3
"""Counts what ran: count_tests.py testlog.json

Reads the log that `meson test` leaves and prints `PASSED FAILED SKIPPED`, and on stderr what was
skipped and why. A doctest program counts each of its cases, a script that ends with the line
`N passed, N failed, N skipped` counts those, anything else counts one. A case that says
`[skipped] …` ran nothing and counts as skipped. A program that crashed, hung or ended badly without
a failed case counts one failure.
"""
import json
import re
import sys

DOCTEST = re.compile(r"\[doctest\] test cases: +\d+ \| +(\d+) passed \| +(\d+) failed"
                     r"(?: \| +(\d+) skipped)?")
SCRIPT = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def count(entry, filtered=False):
    """(passed, failed, skipped) of one program: an object of testlog.json."""
    out = COLOUR.sub("", entry.get("stdout") or "")
    lines = out.splitlines()
    last = SCRIPT.match(lines[-1]) if lines else None
    if cases := DOCTEST.search(out):
        passed, failed = int(cases[1]), int(cases[2])
        cannot = sum(line.startswith("[skipped] ") for line in lines)
        # doctest's own count holds the cases marked skip(), and those that a filter left out.
        # After a crash it also holds those that were still to come, which nobody chose to skip.
        others = not filtered and "test case CRASHED" not in out
        skipped = cannot + (int(cases[3] or 0) if others else 0)
        passed -= cannot
    elif last:
        passed, failed, skipped = map(int, last.groups())
    else:
        passed = int(entry["result"] == "OK")
        failed, skipped = 0, int(entry["result"] == "SKIP")
    if entry["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and failed == 0:
        failed = 1
    return passed, failed, skipped


def main(log, *options):
    with open(log, encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines]
    filtered = "--filtered" in options
    for line in (line for e in entries for line in (e.get("stdout") or "").splitlines()):
        if line.startswith("[skipped] "):
            print(line, file=sys.stderr)
    print(*(sum(column) for column in zip((0, 0, 0), *(count(e, filtered) for e in entries))))


if __name__ == "__main__":
    main(*sys.argv[1:])
