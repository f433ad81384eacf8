#!/usr/bin/env python3
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import script_test
import count_tests

CASES = "[doctest] test cases: {} | {} passed | {} failed | {} skipped\n[doctest] Status: …\n"


class CountTests(unittest.TestCase):
    def test_counts_each_kind_of_program(self):
        rows = [
            # what, result, stdout, (passed, failed, skipped)
            ("doctest", "OK", CASES.format(12, 12, 0, 0), (12, 0, 0)),
            ("doctest with failures", "FAIL", CASES.format(12, 9, 3, 0), (9, 3, 0)),
            ("doctest in colour", "OK", "\x1b[0;36m[doctest] \x1b[0mtest cases: \x1b[0;32m 4\x1b[0m |"
             "\x1b[0;32m 4 passed\x1b[0m |\x1b[0m 0 failed\x1b[0m |\x1b[0;33m 0 skipped\x1b[0m",
             (4, 0, 0)),
            ("cases that cannot run", "OK", "[skipped] a: no device\n[skipped] b: no device\n"
             + CASES.format(5, 5, 0, 0), (3, 0, 2)),
            ("all of them", "SKIP", "[skipped] a: no device\n" + CASES.format(1, 1, 0, 0), (0, 0, 1)),
            ("cases marked skip()", "OK", CASES.format(5, 5, 0, 2), (5, 0, 2)),
            ("a leak found at the end", "FAIL", CASES.format(5, 5, 0, 0), (5, 1, 0)),
            ("a crash before the summary", "ERROR", "[doctest] doctest version\n", (0, 1, 0)),
            ("a crash with a summary", "ERROR", CASES.format(3, 2, 1, 0), (2, 1, 0)),
            ("a crash in the first of many", "ERROR",
             "FATAL ERROR: test case CRASHED: SIGSEGV\n" + CASES.format(1, 0, 1, 99), (0, 1, 0)),
            ("a hang", "TIMEOUT", "", (0, 1, 0)),
            ("a script", "OK", "fine\n", (1, 0, 0)),
            ("a script that fails", "FAIL", "broken\n", (0, 1, 0)),
            ("a script that cannot run", "SKIP", "", (0, 0, 1)),
            ("a script with counts", "OK", "x\n7 passed, 0 failed, 2 skipped\n", (7, 0, 2)),
            ("counts and a bad end", "FAIL", "7 passed, 0 failed, 0 skipped\n", (7, 1, 0)),
            ("counts in the middle only", "OK", "7 passed, 0 failed, 0 skipped\nx\n", (1, 0, 0)),
        ]
        for what, result, stdout, want in rows:
            with self.subTest(what):
                self.assertEqual(count_tests.count({"result": result, "stdout": stdout}), want)

    def test_a_filter_leaves_out_and_does_not_skip(self):
        entry = {"result": "OK", "stdout": CASES.format(2, 2, 0, 98)}
        self.assertEqual(count_tests.count(entry, filtered=True), (2, 0, 0))

    def test_adds_the_entries_of_a_log(self):
        entries = [{"result": "OK", "stdout": CASES.format(2, 2, 0, 0)}, {"result": "FAIL"},
                   {"result": "SKIP", "stdout": None}]
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder, "testlog.json")
            log.write_text("".join(json.dumps(e) + "\n" for e in entries), "utf-8")
            run = subprocess.run([sys.executable, script_test.ROOT / "tools/count_tests.py", log],
                                 capture_output=True, text=True, check=True)
        self.assertEqual(run.stdout, "2 1 1\n")


if __name__ == "__main__":
    script_test.main()
