#!/usr/bin/env python3
"""tools/bench/serve, each verb once with the tiny model: what it reports, not how much it is.

Usage: serve_bench_test.py LLMOS MAKE_TINY_MODEL EXAMPLE_MODULE
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
from cli_test import LLMOS, Case  # noqa: E402


class ServeBench(Case):
    def measure(self, *arguments):
        report = self.here / "report.json"
        got = subprocess.run(
            [script_test.ROOT / "tools/bench/serve", *arguments, "--llmos", LLMOS,
             "--model", self.tiny, "--json", report],
            capture_output=True, text=True, env=self.env, cwd=self.here)
        self.assertEqual(got.returncode, 0, got.stderr)
        return json.loads(report.read_text())

    def test_cpu(self):
        report = self.measure("cpu", "--rounds", "1")
        self.assertEqual({len(x) for x in report["samples"].values()}, {1})

    def test_slow(self):
        report = self.measure("slow", "--rounds", "1")
        self.assertGreater(min(report["tokens_per_second"].values()), 0)

    def test_hostile(self):
        report = self.measure("hostile", "--rounds", "1")
        self.assertGreater(report["refused"], 0)
        self.assertEqual(report["taken"], 0)

    def test_soak(self):
        report = self.measure("soak", "--minutes", "0.05")
        self.assertGreater(report["done"], 96)
        self.assertEqual((report["errors"], report["left_running"]), ([], 0))


if __name__ == "__main__":
    script_test.main()
