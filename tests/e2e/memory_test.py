#!/usr/bin/env python3
"""What the program holds of a real model: the most that its resident set ever was.

Usage: memory_test.py LLMOS
"""
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402

LLMOS = str(pathlib.Path(sys.argv[1]).resolve())
MODEL = os.environ.get("LLMOS_TEST_MODEL", "")
MIB = 1 << 20


@unittest.skipUnless(os.path.exists(MODEL), "no default model")
class Memory(unittest.TestCase):
    def run_llmos(self, *arguments):
        """(exit status, standard output, standard error, peak of the resident set in bytes)"""
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        command = [LLMOS, "--set", f"models.default_model={MODEL}", *arguments]
        with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            out, errors = run.stdout.read(), run.stderr.read()
            _, status, usage = os.wait4(run.pid, 0)
            run.returncode = os.waitstatus_to_exitcode(status)
        return run.returncode, out, errors, usage.ru_maxrss * 1024

    def answer(self, *arguments):
        status, out, errors, peak = self.run_llmos(*arguments)
        self.assertEqual(status, 0, errors)
        self.assertGreater(len(out), 1)
        return out, errors, peak

    def test_the_default_model_answers_within_256_mib(self):
        _, errors, peak = self.answer("--memory-limit", "256MiB", "run", "-n", "8", "Hello")
        self.assertLessEqual(peak, 256 * MIB)
        self.assertRegex(errors, r"the context is \d+ tokens instead of 8192: the memory limit")

    def test_it_stays_within_the_limit_when_the_kv_memory_is_full(self):
        for limit in (200, 256):
            with self.subTest(limit):
                how = ["--memory-limit", f"{limit}MiB", "run", "--temperature", "0", "-n"]
                context = int(re.search(r"context is (\d+)", self.answer(*how, "1", "Hi")[1])[1])
                # Every number from 1000 on is one word of several tokens.
                words = " ".join(map(str, range(1000, 1000 + context // 6)))
                _, _, peak = self.answer(*how, str(context // 50), words)
                self.assertLessEqual(peak, limit * MIB)

    def test_a_limit_that_is_too_small_names_one_that_is_enough(self):
        status, out, errors, peak = self.run_llmos("--memory-limit", "100MiB", "run", "Hello")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("the memory limit of 100 MiB leaves", errors)
        self.assertLess(peak, 100 * MIB)  # nothing was loaded
        enough = int(re.search(r"hint: raise --memory-limit to (\d+)MiB or more", errors)[1])
        _, _, peak = self.answer("--memory-limit", f"{enough + 4}MiB", "run", "-n", "8", "Hello")
        self.assertLessEqual(peak, (enough + 4) * MIB)

    def test_loading_never_holds_the_weights_twice(self):
        kv = 16 * MIB
        _, _, peak = self.answer("--set", f"engine.kv_bytes={kv}", "--set", "engine.context=512",
                                 "run", "-n", "8", "Hello")
        self.assertLessEqual(peak, 1.1 * os.path.getsize(MODEL) + kv + 64 * MIB)


if __name__ == "__main__":
    script_test.main()
