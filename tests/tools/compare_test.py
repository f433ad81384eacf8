#!/usr/bin/env python3
"""tools/bench/compare and plot with pretended programs: what they run, compute and write."""
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import script_test

# A row's speed is fixed; the call's number is added, so that medians and order show.
LLMOS = r"""#!/usr/bin/env python3
import json, os, pathlib, sys
if "--version" in sys.argv:
    print("llmos 9.9 (abc)")
    sys.exit()
log = pathlib.Path(os.environ["CALLS"])
with log.open("a") as out:
    out.write("llmos " + " ".join(sys.argv[1:]) + "\n")
row = sys.argv[sys.argv.index("--rows") + 1]
n = log.read_text().count("llmos ")
speed = {"prefill": 300, "streams": 90, "known": 60}[row] + n
print(json.dumps({"device": "2 threads, abacus", "rows": [{"tokens_per_s": speed}]}))
"""
BENCH = r"""#!/usr/bin/env python3
import json, os, sys
if "-v" in sys.argv:
    print("load_tensors: Beads model buffer size = 9 MiB", file=sys.stderr)
with open(os.environ["CALLS"], "a") as out:
    out.write("bench " + " ".join(sys.argv[1:]) + "\n")
fa = sys.argv[sys.argv.index("-fa") + 1] if "-fa" in sys.argv else "off"
print(json.dumps([{"cpu_info": "a processor", "avg_ts": 150 if fa == "on" else 100}]))
"""
SERVER = r"""#!/usr/bin/env python3
import http.server, json, os, sys
if "none" in sys.argv:
    sys.exit("system_info: n_threads = 2 | BEADS = 1 | WIRE = 0 | ROWS = 1 |")
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer({"status": "ok"})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(os.environ["CALLS"], "a") as out:
            words = len(body["messages"][0]["content"].split())
            out.write(f"chat {words} words {body['max_tokens']} tokens\n")
        self.answer({"usage": {"completion_tokens": body["max_tokens"]}})
    def log_message(self, *_):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer.request_queue_size = 64  # sixteen come at once
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Compare(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.here = pathlib.Path(scratch.name)
        for name, text in (("llmos", LLMOS), ("llama-bench", BENCH), ("llama-server", SERVER)):
            (self.here / name).write_text(text)
            (self.here / name).chmod(0o755)
        (self.here / "m.gguf").write_text("x" * 1234)

    def run_tool(self, name, *arguments):
        return subprocess.run([script_test.ROOT / "tools/bench" / name, *arguments],
                              env={"PATH": "/usr/bin:/bin", "CALLS": str(self.here / "calls")},
                              capture_output=True, text=True, timeout=100, check=False)

    def race(self, rows, rounds):
        run = self.run_tool("compare", "--peer", self.here, "--llmos", self.here / "llmos", "--model",
                            self.here / "m.gguf", "--threads", "2", "--rounds", str(rounds),
                            "--rows", rows, "--json", self.here / "race.json")
        self.assertEqual(run.returncode, 0, run.stderr)
        calls = (self.here / "calls").read_text().splitlines()
        return run.stdout, calls, json.loads((self.here / "race.json").read_text())

    def test_rounds_alternate_and_medians_are_compared(self):
        text, calls, race = self.race("prefill", 3)
        told = [re.sub(r" .*(-fa o\w+).*", r" \1", x) for x in calls[1:]]  # the first asks for buffers
        self.assertEqual([x.split(" --set")[0] for x in told],
                         ["llmos", "bench -fa off", "bench -fa on"] * 3)
        self.assertEqual(race["rows"]["prefill"],
                         [{"llmos": [301, 302, 303]}, {"flash attention off": [100] * 3,
                                                       "flash attention on": [150] * 3}])
        self.assertRegex(text, r"prefill +302\.0 +150\.0 +2\.01 +flash attention on")
        self.assertIn("m.gguf, 1,234 bytes, 2 threads, 3 rounds alternated, medians", text)
        self.assertIn("llmos: 2 threads, abacus; llama.cpp: weights in Beads, BEADS, ROWS", text)
        self.assertEqual(race["version"], "llmos 9.9 (abc)")

    def test_the_server_gets_the_chats_of_each_row(self):
        _, calls, _ = self.race("streams,known", 1)
        chats = [x for x in calls if x.startswith("chat")]
        warm, streams = ["chat 3 words 4 tokens"] * 16, ["chat 150 words 128 tokens"] * 16
        seen, known = ["chat 620 words 1 tokens"] * 16, ["chat 620 words 32 tokens"] * 16
        self.assertEqual(chats, (warm + streams) * 2 + (warm + seen + known) * 2)

    def test_a_program_that_fails_ends_the_race(self):
        (self.here / "llmos").write_text("#!/bin/sh\necho out of paper >&2\nexit 3\n")
        run = self.run_tool("compare", "--peer", self.here, "--llmos", self.here / "llmos", "--model",
                            self.here / "m.gguf", "--rows", "prefill", "--rounds", "1")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("out of paper", run.stderr)

    def test_plot_draws_the_ratios(self):
        self.race("prefill,streams", 1)
        svg = self.run_tool("plot", self.here / "race.json").stdout
        self.assertIn("2.0   (301 and 150 tokens/s)", svg)
        self.assertIn("16 streams, 150-word prompts", svg)
        self.assertIn("llmos 9.9 (abc)", svg)
        self.assertEqual(svg.count("#4477aa"), 2)
        self.assertEqual(self.run_tool("plot").returncode, 2)


if __name__ == "__main__":
    script_test.main()
