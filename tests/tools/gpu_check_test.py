#!/usr/bin/env python3
"""tools/gpu-check with a pretended GPU and pretended programs: what it runs, judges and writes."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import script_test

LLMOS = """#!/bin/sh
echo "$@" >>"$CALLS"
case "$*" in
  *perplexity*) echo '{"mean_kl": '$KL', "same_top_share": 0.97}' ;;
  *bench*) echo '{"device": "d", "numerics": "n", "rows": [{"what": "decode", "tokens_per_s": 7}]}' ;;
  *run*) echo "The sky is blue" ;;
esac
"""
TESTS = """#!/bin/sh
echo "[doctest] test cases: 9 | 9 passed | 0 failed | 0 skipped"
[ -z "$SKIPS" ] || echo "[skipped] a case: no CUDA device"
exit ${FAILS:-0}
"""


class GpuCheck(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.here = pathlib.Path(scratch.name)
        self.program("bin/nvidia-smi", "#!/bin/sh\necho 'Pretended GPU, 1.0, 1 MiB'\n")
        self.program("b/llmos", LLMOS)
        self.program("b/tests/gpu/gpu_tests", TESTS)
        self.program("b/llmos-cuda.so", "")

    def program(self, name, text):
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def check(self, minutes="0.5", **env):
        out, calls = self.here / "out.json", self.here / "calls"
        path = f"{self.here}/bin:/usr/bin:/bin"
        run = subprocess.run([script_test.ROOT / "tools/gpu-check", "--build", self.here / "b",
                              "--json", out, "--minutes", minutes, "--shapes", ""],
                             env=os.environ | {"PATH": path, "CALLS": str(calls), "KL": "0.001"} | env,
                             capture_output=True, text=True, timeout=100, check=False)
        self.calls = calls.read_text() if calls.exists() else ""
        report = json.loads(out.read_text()) if out.exists() else {}
        return run, {x["step"]: x for x in report.get("steps", [])}

    def test_everything_is_run_on_the_gpu_and_written_down(self):
        run, steps = self.check()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(steps["kernels and backend"]["status"], "passed")
        self.assertEqual(steps["divergence from float32"]["result"]["mean_kl"], 0.001)
        self.assertEqual(steps["both answers"]["result"], {"words": 4, "same_from_the_first": 4})
        self.assertEqual(steps["speed, default model"]["result"]["decode"], 7)
        self.assertEqual(self.calls.count("engine.backend=cpu"), 1)

    def test_a_step_fails_by_its_own_measure(self):
        for env, step in (({"KL": "0.0036"}, "divergence from float32"),
                          ({"SKIPS": "1"}, "kernels and backend"),
                          ({"FAILS": "1"}, "kernels and backend")):
            with self.subTest(env):
                run, steps = self.check(**env)
                self.assertEqual(run.returncode, 1)
                self.assertEqual(steps[step]["status"], "failed")

    def test_without_time_the_rest_is_skipped(self):
        run, steps = self.check(minutes="0.01")
        self.assertEqual(run.returncode, 0)
        self.assertEqual(steps["speed, default model"]["status"], "skipped")

    def test_without_gpu_or_module_it_says_so(self):
        (self.here / "b/llmos-cuda.so").unlink()
        run, _ = self.check()
        self.assertEqual(run.returncode, 2)
        self.assertIn("-Dcuda=enabled", run.stderr)
        self.program("bin/nvidia-smi", "#!/bin/sh\nexit 9\n")
        run, _ = self.check()
        self.assertEqual(run.returncode, 2)
        self.assertIn("no GPU", run.stderr)


if __name__ == "__main__":
    script_test.main()
