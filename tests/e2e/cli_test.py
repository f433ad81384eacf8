#!/usr/bin/env python3
"""The program as a user and a script meet it: every command, its errors and its exit status.

Usage: cli_test.py LLMOS MAKE_TINY_MODEL
"""
import ast
import fcntl
import json
import math
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402

LLMOS, MAKE_TINY_MODEL, MODULE = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:4])
TIMEOUT_S = 120  # a hang is a failure; nothing here takes a second


class Case(unittest.TestCase):
    """A folder of its own with the tiny model in its models folder, and no configuration."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory()
        cls.models = pathlib.Path(cls.shared.name)
        cls.tiny = cls.models / "tiny.gguf"
        subprocess.run([MAKE_TINY_MODEL, cls.tiny], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.here = pathlib.Path(folder.name)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.here),
                    "LLMOS_MODELS": str(self.models)}

    def write(self, name, content):
        path = self.here / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def command(self, *arguments):
        return [LLMOS, "--set", "models.default_model=tiny", *map(os.fsencode, map_path(arguments))]

    def llmos(self, *arguments, stdin=b""):
        run = subprocess.run(self.command(*arguments), input=stdin, capture_output=True,
                             cwd=self.here, env=self.env, timeout=TIMEOUT_S, check=False)
        run.text = run.stdout.decode("utf-8", "replace")
        run.errors = run.stderr.decode("utf-8", "replace")
        return run

    def start(self, *arguments, **options):
        return subprocess.Popen(self.command(*arguments), cwd=self.here, env=self.env,
                                stdin=subprocess.DEVNULL, **options)

    def ok(self, *arguments, stdin=b""):
        run = self.llmos(*arguments, stdin=stdin)
        self.assertEqual(run.returncode, 0, run.errors)
        return run

    def refused(self, status, text, *arguments, stdin=b""):
        """The error names the thing, a hint the mend, and standard output stays empty."""
        run = self.llmos(*arguments, stdin=stdin)
        self.assertEqual(run.returncode, status, run.errors)
        self.assertEqual(run.stdout, b"")
        self.assertTrue(run.errors.startswith("llmos: error: "), run.errors)
        self.assertIn(text, run.errors)
        self.assertIn("\nhint: ", run.errors)
        return run


def map_path(arguments):
    return [str(a) if isinstance(a, (pathlib.Path, int, float)) else a for a in arguments]


class CommandLine(Case):
    COMMANDS = ["run", "batch", "models", "inspect", "perplexity", "bench", "tokenize", "template",
                "logits", "config", "completion"]

    def test_version_names_the_program_and_its_build(self):
        self.assertRegex(self.ok("--version").text, r"^llmos \d+\.\d+\.\d+ \(.+\)\n$")

    def test_help_is_there_for_the_program_and_every_command(self):
        top = self.ok("--help").text
        for command in self.COMMANDS:
            with self.subTest(command):
                self.assertIn(f"\n  {command} ", top)
                text = self.ok(command, "--help").text
                self.assertIn(f"Usage: llmos {command}", text)
                self.assertLessEqual(max(map(len, text.splitlines())), 100)

    def test_no_command_prints_the_help_as_an_error(self):
        run = self.llmos()
        self.assertEqual((run.returncode, run.stdout), (2, b""))
        self.assertIn("Usage: llmos", run.errors)

    def test_a_command_that_no_node_does_takes_no_connect(self):
        for command in (["models"], ["inspect", "tiny"], ["serve"]):
            with self.subTest(command):
                self.refused(2, f"llmos {command[0]} takes no --connect", "--connect", "h:1", *command)

    def test_mistyped_words_are_named(self):
        self.refused(2, "unknown command 'rum'", "rum")
        self.assertIn("did you mean --temperature?",
                      self.refused(2, "'--temprature'", "run", "--temprature", "1", "x").errors)
        self.assertIn("in quotes", self.refused(2, "unexpected 'b'", "run", "a", "b").errors)
        self.refused(2, "--system= has no value", "run", "--system=", "x")
        self.refused(2, "--stop", "run", "--stop")
        self.refused(2, "excludes", "run", "--raw", "--system", "x", "y")

    def test_completion_offers_commands_options_and_models(self):
        script = self.write("llmos.bash", self.ok("completion", "bash").stdout)
        self.env["PATH"] = f"{pathlib.Path(LLMOS).parent}:{self.env['PATH']}"

        def complete(*words):
            quoted = " ".join(f"'{w}'" for w in words)
            run = subprocess.run(
                ["bash", "-c", f"source {script}; COMP_WORDS=({quoted}); "
                 f"COMP_CWORD={len(words) - 1}; _llmos; printf '%s\\n' \"${{COMPREPLY[@]}}\""],
                capture_output=True, text=True, cwd=self.here, env=self.env, check=True)
            return run.stdout.split()

        self.write("notes.txt", "x")
        self.assertEqual(complete("llmos", "ru"), ["run"])
        self.assertEqual(complete("llmos", "run", "--tempe"), ["--temperature"])
        self.assertIn("--config", complete("llmos", "--"))
        self.assertEqual(complete("llmos", "run", "--model", "ti"), ["tiny"])
        self.assertEqual(complete("llmos", "inspect", "ti"), ["tiny"])
        self.assertEqual(complete("llmos", "perplexity", "no"), ["notes.txt"])
        for shell in ("zsh", "fish"):
            text = self.ok("completion", shell).text
            self.assertIn("temperature", text)
            if program := shutil.which(shell):
                subprocess.run([program, "-n", self.write(f"c.{shell}", text)], check=True)
        self.refused(2, "no completion for the shell 'tcsh'", "completion", "tcsh")

    def test_a_full_disk_is_an_error(self):
        for arguments in (["config"], ["models"], ["run", "-n", "3", "x"]):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                run = self.start(*arguments, stdout=full, stderr=subprocess.PIPE)
                errors = run.communicate(timeout=TIMEOUT_S)[1]
                self.assertEqual(run.returncode, 3)
                self.assertIn(b"cannot write to standard output: No space left", errors)

    def without(self, descriptor, *arguments):
        """The command with a standard descriptor closed, as a shell's 2>&- does."""
        return subprocess.run(["sh", "-c", f'exec "$@" {descriptor}>&-', "sh",
                               *self.command(*arguments)], cwd=self.here, env=self.env,
                              capture_output=True, timeout=TIMEOUT_S, check=False)

    def test_a_closed_standard_output_is_an_error(self):
        for arguments in (["run", "-n", "3", "--ignore-eos", "x"], ["models"]):
            with self.subTest(arguments):
                run = self.without(1, *arguments)
                self.assertEqual(run.returncode, 3)
                self.assertIn(b"standard output is closed\nhint: ", run.stderr)

    def test_a_closed_standard_input_is_an_error(self):
        for command in ("run", "shell"):
            with self.subTest(command):
                run = self.without(0, command)
                self.assertEqual((run.returncode, run.stdout), (3, b""))
                self.assertIn(b"Bad file descriptor", run.stderr)

    def test_a_closed_standard_error_puts_nothing_into_the_output(self):
        job = self.write("job.yaml", "output: out.jsonl\ndefaults: {sampling: {max_tokens: 2}}\n"
                                     "items: [{prompt: a}, {prompt: b}]\n")
        run = self.without(2, "batch", job)
        self.assertEqual((run.returncode, run.stdout), (0, b""))
        lines = (self.here / "out.jsonl").read_text().splitlines()
        self.assertEqual(sorted(json.loads(x)["id"] for x in lines), ["1", "2"])


class Configuration(Case):
    def test_the_defaults_are_the_documented_file(self):
        documented = pathlib.Path(__file__).parents[2] / "configs" / "node.yaml"
        self.assertEqual(self.ok("config", "--defaults").stdout, documented.read_bytes())

    def test_file_then_set_then_log_level(self):
        path = self.write("c.yaml", "engine: {threads: 3, max_running: 5}\nlog: {level: error}\n")
        text = self.ok("--config", path, "config", "--set", "engine.threads=2", "--log-level",
                       "info").text
        self.assertIn("\n  threads: 2\n", text)
        self.assertIn("\n  max_running: 5\n", text)
        self.assertIn("\n  level: info\n", text)

    def test_a_memory_limit_is_a_size(self):
        self.assertIn("\n  memory_limit_bytes: 268435456\n",
                      self.ok("config", "--memory-limit", "256MiB").text)
        self.ok("--memory-limit", "128MiB", "run", "-n", "3", "hi")
        for size in ("lots", "-1MiB", "256MB"):
            with self.subTest(size):
                self.refused(2, "kernel.memory_limit_bytes: ", "--memory-limit", size, "config")

    def test_a_memory_limit_binds_every_command_that_loads_a_model(self):
        text = self.write("text.txt", "To be, or not to be. " * 9)
        for command in (["run", "x"], ["logits", "--tokens", "1", "--out", "x.npy"],
                        ["perplexity", text], ["bench"]):
            with self.subTest(command):
                run = self.llmos("--memory-limit", "1MiB", *command)
                self.assertEqual(run.returncode, 1, run.errors)
                self.assertIn("the memory limit of 1 MiB leaves 0 MiB\nhint: raise --memory-limit",
                              run.errors)

    def test_a_file_in_the_usual_place_is_read(self):
        folder = self.here / ".config" / "llmos"
        folder.mkdir(parents=True)
        (folder / "node.yaml").write_text("engine: {threads: 7}\n")
        self.assertIn("\n  threads: 7\n", self.ok("config").text)
        self.env["LLMOS_CONFIG"] = str(self.write("other.yaml", "engine: {threads: 6}\n"))
        self.assertIn("\n  threads: 6\n", self.ok("config").text)

    def test_mistakes_are_named_with_their_place(self):
        path = self.write("bad.yaml", "engine:\n  treads: 2\n")
        run = self.refused(3, f"{path}:2:3: unknown key \"engine.treads\"", "--config", path, "run",
                           "x")
        self.assertIn("did you mean engine.threads?", run.errors)
        path = self.write("bad.yaml", "engine:\n  threads: two\n")
        self.refused(3, f"{path}:2:12: engine.threads: expected a whole number", "--config", path,
                     "models")
        self.refused(3, "No such file", "--config", self.here / "none.yaml", "config")
        self.refused(2, "sampling.temperature: expected a finite number", "--set",
                     "sampling.temperature=.nan", "config")
        self.refused(2, "engine.max_running is 300", "--set", "engine.max_running=300", "config")
        self.refused(2, "log.level", "--log-level", "loud", "config")
        self.refused(3, "log.file", "--set", f"log.file={self.here}", "config")

    def test_prompts_and_answers_stay_out_of_the_log(self):
        log = self.here / "log"
        secret = "xylophone"
        arguments = ["--set", f"log.file={log}", "--log-level", "trace", "run", "-n", "3", secret]
        self.ok(*arguments)
        self.assertNotIn(secret, log.read_text())
        self.ok("--set", "log.content=true", *arguments)
        self.assertIn(secret, log.read_text())


class Run(Case):
    def test_the_answer_is_all_there_is_on_standard_output(self):
        run = self.ok("run", "-n", "5", "--temperature", "0", "hi")
        self.assertTrue(run.stdout.endswith(b"\n"))
        self.assertEqual(run.stderr, b"")

    def test_a_prompt_comes_as_an_argument_or_on_standard_input(self):
        how = ["run", "-n", "8", "--temperature", "3", "--seed", "1"]
        answer = self.ok(*how, "hi").stdout
        self.assertEqual(self.ok(*how, stdin=b"hi\n").stdout, answer)
        self.assertEqual(self.ok(*how, "-", stdin=b"hi").stdout, answer)
        self.assertNotEqual(self.ok(*how, stdin=b"something else").stdout, answer)

    def test_short_names_mean_the_same(self):
        long = self.ok("run", "--model", "tiny", "--temperature", "0", "-n", "8", "hi").stdout
        self.assertEqual(self.ok("run", "-m", "tiny", "--temp", "0", "-n", "8", "hi").stdout, long)
        self.refused(3, "no model 'nope'", "run", "-m", "nope", "--temp", "0", "hi")
        self.refused(2, "--temperature: -1 is out of range", "run", "--temp", "-1", "hi")

    def test_a_seed_repeats_the_answer(self):
        how = ["run", "-n", "20", "--temperature", "3", "--json", "hi"]
        first = json.loads(self.ok(*how).stdout)
        again = json.loads(self.ok(*how, "--seed", first["seed"]).stdout)
        self.assertEqual(again["tokens"], first["tokens"])
        self.assertEqual(again["seed"], first["seed"])
        self.assertLess(first["seed"], 2**53)  # what jq and JavaScript keep
        largest = json.loads(self.ok(*how, "--seed", 2**64 - 1).stdout)
        self.assertEqual(largest["seed"], 2**64 - 1)
        other = json.loads(self.ok(*how, "--seed", first["seed"] ^ 1).stdout)
        self.assertNotEqual(other["tokens"], first["tokens"])

    def test_json_is_one_object_with_text_usage_and_reason(self):
        run = self.ok("run", "--json", "--seed", "5", "-n", "6", "--ignore-eos", "hi")
        answer = json.loads(run.stdout)
        self.assertEqual(run.stdout.count(b"\n"), 1)
        self.assertEqual(answer["model"], "tiny")
        self.assertEqual(answer["finish_reason"], "length")
        self.assertEqual(answer["seed"], 5)
        self.assertEqual(len(answer["tokens"]), 6)
        self.assertEqual(answer["usage"]["completion_tokens"], 6)
        self.assertEqual(answer["usage"]["total_tokens"], answer["usage"]["prompt_tokens"] + 6)
        self.assertNotIn("logprobs", answer)

    def test_log_probabilities_come_when_asked_for(self):
        answer = json.loads(self.ok("run", "--json", "-n", "4", "--ignore-eos", "--logprobs",
                                    "--top-logprobs", "3", "--temperature", "0", "x").stdout)
        self.assertEqual([x["id"] for x in answer["logprobs"]], answer["tokens"])
        for x in answer["logprobs"]:
            self.assertEqual(len(x["top"]), 3)
            self.assertEqual(x["top"][0], {"id": x["id"], "logprob": x["logprob"]})
            self.assertLessEqual(x["logprob"], 0)

    def test_log_probabilities_that_nobody_would_see_are_refused(self):
        for arguments, hint in [(["run", "--logprobs", "x"], "add --json"),
                                (["run", "--json", "--top-logprobs", "5", "x"],
                                 "add --json --logprobs"),
                                (["shell", "--logprobs"], "llmos run --json"),
                                (["shell", "--top-logprobs", "5"], "llmos run --json")]:
            with self.subTest(arguments):
                self.assertIn(f"\nhint: {hint}", self.refused(2, "", *arguments).errors)
        self.assertNotIn("logprobs", self.ok("shell", "--help").text)

    def test_chat_template_system_prompt_and_raw_text_change_the_prompt(self):
        def tokens(*arguments):
            run = self.ok("run", "--json", "-n", "1", *arguments)
            return json.loads(run.stdout)["usage"]["prompt_tokens"]
        chat, system = tokens("hi"), tokens("--system", "be kind", "hi")
        self.assertGreater(system, chat + 7)
        self.assertEqual(tokens("--raw", "hi"), 2)
        self.assertEqual(tokens("--raw", "[hi]"), 4)
        self.assertEqual(tokens("--raw", "--", "--hi"), 4)

    def test_stop_texts_and_biases_end_and_steer_the_answer(self):
        # Token 3 + b is byte b: a bias makes the answer a row of one letter.
        letter = ["run", "--temperature", "0", "--ignore-eos", "--logit-bias", f"{3 + ord('a')}=100"]
        self.assertEqual(self.ok(*letter, "-n", "5", "x").text, "aaaaa\n")
        answer = json.loads(self.ok(*letter, "-n", "50", "--json", "--stop", "aaa", "x").stdout)
        self.assertEqual((answer["text"], answer["finish_reason"]), ("", "stop"))
        self.assertEqual(answer["stop_string"], "aaa")
        stopped = self.ok(*letter, "-n", "50", "--stop-token", 3 + ord("a"), "x")
        self.assertEqual(stopped.text, "")
        self.assertEqual(self.ok(*letter, "-n", "0", "x").text, "")

    def test_an_answer_cut_by_the_default_length_says_so(self):
        how = ["run", "--ignore-eos", "--set", "sampling.max_tokens=4"]
        self.assertIn("cut at 4 tokens; -n N allows more", self.ok(*how, "x").errors)
        self.assertEqual(self.ok(*how, "-n", "4", "x").errors, "")

    def test_a_default_length_shrinks_to_the_context(self):
        how = ["run", "--ignore-eos", "--set", "engine.context=64", "--raw"]
        run = self.ok(*how, "--json", "x" * 50)
        answer = json.loads(run.stdout)
        self.assertEqual((answer["finish_reason"], answer["usage"]["completion_tokens"]),
                         ("length", 14))
        self.assertIn("cut at 14 tokens: the context is full", run.errors)
        self.refused(2, "50 prompt tokens + 512 max_tokens exceed the context of 64",
                     *how, "-n", "512", "x" * 50)
        self.refused(2, "64 prompt tokens leave no room for an answer", *how, "x" * 64)

    def test_a_prompt_that_cannot_fit_is_refused_by_its_bytes(self):
        # Tiny's longest token has 13 bytes; 4096 of them make 53248.
        self.refused(2, "at least 769231 tokens", "run", "--raw", stdin=b"x" * 10_000_000)

    def test_stats_go_to_standard_error(self):
        run = self.ok("run", "-n", "5", "--stats", "--ignore-eos", "hi")
        self.assertIn("5 new", run.errors)
        self.assertNotIn("new", run.text)

    def test_wrong_parameters_are_refused_by_name(self):
        for arguments, text in [
                (["--temperature", "nan"], "--temperature: expected a finite number, found \"nan\""),
                (["--temperature", "-1"], "--temperature: -1 is out of range"),
                (["--temperature", "warm"], "--temperature: expected a number"),
                (["-n", "-5"], "--max-tokens: -5 is out of range"),
                (["-n", "1e3"], "--max-tokens: expected a whole number"),
                (["--top-p", "0"], "--top-p: 0 is out of range"),
                (["--top-k", "99999999999"], "--top-k: 99999999999 is out of range"),
                (["--seed", "-1"], "--seed: -1 is out of range"),
                (["--repetition-penalty", "inf"], "--repetition-penalty: expected a finite"),
                (["--logit-bias", "5"], "--logit-bias: \"5\" is no ID=VALUE"),
                (["--logit-bias", "5=200"], "--logit-bias: 200 is out of range"),
                (["--logit-bias", "99999=1"], "token id in logit_bias is 99999"),
                (["--stop", ""], "--stop: 0 bytes"),
                (["--stop-token", "x"], "--stop-token: expected a whole number"),
                (["--min-tokens", "9", "-n", "3"], "min_tokens is 9")]:
            with self.subTest(arguments):
                self.refused(2, text, "run", *arguments, "x")

    def test_prompts_that_cannot_be_answered_are_refused(self):
        self.refused(2, "the prompt is empty", "run")
        self.refused(2, "the prompt is empty", "run", "")
        self.refused(2, "byte 2 belongs to no character", "run", b"ab\xff")
        self.refused(2, "byte 0 belongs to no character", "run", stdin=b"\xc0\xaf")
        self.refused(2, "the system prompt is no valid UTF-8", "run", "--system", b"\x80", "x")
        self.refused(2, "exceed the context of 4096", "run", stdin=b"x" * 5000)
        self.refused(2, "exceed the context of 4096", "run", "-n", "4096", "x")

    def test_models_that_cannot_run_are_refused(self):
        self.refused(3, "no model 'nope'", "run", "--model", "nope", "x")
        self.assertIn("known: tiny", self.llmos("run", "--model", "nope", "x").errors)
        whole = self.tiny.read_bytes()
        for name, content, text in [
                ("cut.gguf", whole[:20000], "cut.gguf: tensor 'token_embd.weight'"),
                ("head.gguf", whole[:10], "head.gguf: "),
                ("empty.gguf", b"", "empty.gguf: "),
                ("text.gguf", b"hello, this is no model\n" * 10, "text.gguf: "),
                ("flipped.gguf", whole[:8] + b"\xff" * 8 + whole[16:], "flipped.gguf: ")]:
            with self.subTest(name):
                self.refused(3, text, "run", "--model", self.write(name, content), "x")
        self.env["LLMOS_MODELS"] = str(self.here / "none")
        self.assertIn("tools/get-model", self.refused(3, "no model 'tiny'", "run", "x").errors)

    def test_a_reader_that_goes_away_ends_it_quietly(self):
        run = self.start("run", "-n", "4000", "--ignore-eos", "--seed", "2", "--temperature", "5",
                         "x", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        fcntl.fcntl(run.stdout, fcntl.F_SETPIPE_SZ, 4096)
        run.stdout.read(1)
        run.stdout.close()
        errors = run.stderr.read()
        self.assertEqual((run.wait(TIMEOUT_S), errors), (0, b""))
        run.stderr.close()

    def test_signals_end_it_with_their_number(self):
        # The answer fills a small pipe and waits there, so the signal finds it under way.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                run = self.start("run", "-n", "4000", "--ignore-eos", "--seed", "2",
                                 "--temperature", "5", "x", stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
                fcntl.fcntl(run.stdout, fcntl.F_SETPIPE_SZ, 4096)
                run.stdout.read(1)
                run.send_signal(number)
                run.communicate(timeout=TIMEOUT_S)
                self.assertEqual(run.returncode, 128 + number)

    def test_a_signal_ignored_from_the_start_stays_ignored(self):
        run = self.start("run", "-n", "4000", "--ignore-eos", "--seed", "2", "--temperature", "5",
                         "x", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        fcntl.fcntl(run.stdout, fcntl.F_SETPIPE_SZ, 4096)
        run.stdout.read(1)
        run.send_signal(signal.SIGHUP)
        _, errors = run.communicate(timeout=TIMEOUT_S)
        self.assertEqual((run.returncode, errors), (0, b""))


class Files(Case):
    def test_models_are_listed(self):
        self.assertRegex(self.ok("models").text, r"^tiny +0\.1 MB  /.*/tiny\.gguf\n$")
        self.env["LLMOS_MODELS"] = str(self.here)
        run = self.ok("models")
        self.assertEqual(run.stdout, b"")
        self.assertIn("tools/get-model", run.errors)

    def test_names_of_files_do_not_reach_the_terminal_raw(self):
        self.env["LLMOS_MODELS"] = str(self.here)
        shutil.copy(self.tiny, self.here / "a\x1b]0;b\n.gguf")
        text = self.ok("models").text
        self.assertRegex(text, r"^a\\x1b\]0;b\\n +0\.1 MB  /.*/a\\x1b\]0;b\\n\.gguf\n$")
        errors = self.refused(3, "no model 'x\\x1by'", "run", "--model", "x\x1by", "x").errors
        self.assertIn("hint: known: a\\x1b]0;b\\n\n", errors)

    def test_inspect_shows_metadata_tensors_and_memory(self):
        text = self.ok("inspect").text
        for part in ("general.architecture", "llama", "blk.1.ffn_down.weight", "KV cache"):
            self.assertIn(part, text)
        all_of_it = json.loads(self.ok("inspect", self.tiny, "--json").stdout)
        self.assertTrue(all_of_it["memory"]["runs"])
        self.assertEqual(all_of_it["memory"]["kv_bytes_per_token"], 2 * 2 * 2 * 8 * 2)
        small = json.loads(self.ok("--set", "engine.kv_type=q8_0", "inspect", self.tiny, "--json")
                           .stdout)["memory"]
        self.assertEqual((small["kv_type"], small["kv_bytes_per_token"]),
                         ("q8_0", 2 * 2 * 2 * (8 + 2)))
        self.assertEqual(all_of_it["file_bytes"], self.tiny.stat().st_size)
        self.refused(3, "no model 'none.gguf'", "inspect", "none.gguf")
        self.refused(3, "cut.gguf: ", "inspect",
                     self.write("cut.gguf", self.tiny.read_bytes()[:5000]))

    def vocabulary_file(self):
        """The tiny model's metadata without its tensors."""
        whole = self.tiny.read_bytes()
        return self.write("vocabulary.gguf", whole[:8] + struct.pack("<Q", 0) + whole[16:])

    def test_inspect_of_a_vocabulary_says_what_is_missing(self):
        path = self.vocabulary_file()
        self.assertIn("llmos cannot run it: ", self.ok("inspect", path).text)
        memory = json.loads(self.ok("inspect", path, "--json").stdout)["memory"]
        self.assertFalse(memory["runs"])

    def test_tokenize_prints_ids_on_one_line(self):
        for text, arguments, ids in [
                (b"Ab", [], [68, 101]), (b"", [], []), (b"a\n", [], [100, 13]),
                (b"\xff\x00", [], [242, 194, 192, 3]), (b"\xc3\xa4", [], [198, 167]),
                (b"<|im_end|>", ["--special"], [2]), (b"a<|im_end|>", ["--special"], [100, 2]),
                (b"<|im_end|>", [], [b + 3 for b in b"<|im_end|>"])]:
            with self.subTest(text):
                expected = " ".join(map(str, ids)) + "\n"
                self.assertEqual(self.ok("tokenize", *arguments, stdin=text).text, expected)
                self.assertEqual(self.ok("tokenize", "--model", self.vocabulary_file(), *arguments,
                                         stdin=text).text, expected)
        self.refused(3, "no model 'x'", "tokenize", "--model", "x")

    def test_template_renders_a_chat(self):
        chat = self.write("chat.json", '[{"role": "user", "content": "Grüße"}]')
        self.assertEqual(self.ok("template", "--messages", chat).text,
                         "<|im_start|>user\nGrüße<|im_end|>\n<|im_start|>assistant\n")
        self.assertEqual(self.ok("template", "--messages", chat, "--no-generation-prompt").text,
                         "<|im_start|>user\nGrüße<|im_end|>\n")
        mine = self.write("my.jinja", "{{ bos_token }}{% for t in tools %}{{ t.name }} {% endfor %}"
                                      "{{ messages[0].content }}{{ eos_token }}")
        tools = self.write("tools.json", '[{"name": "clock"}]')
        self.assertEqual(self.ok("template", "--template", mine, "--messages", chat, "--tools",
                                 tools, "--bos", "<s>", "--eos", "</s>").text,
                         "<s>clock Grüße</s>")

    def test_template_names_what_is_wrong(self):
        chat = self.write("chat.json", '[{"role": "user", "content": "x"}]')
        self.refused(2, "--messages", "template")
        self.refused(3, "bad.json:2:1: no valid JSON", "template", "--messages",
                     self.write("bad.json", "[1,\n}"))
        self.refused(3, "big.json:2:4: a number too large", "template", "--messages", chat, "--tools",
                     self.write("big.json", "[1,\n2, 1e400]"))
        self.refused(3, "holds no JSON array", "template", "--messages",
                     self.write("object.json", "{}"))
        self.refused(3, "No such file", "template", "--messages", "none.json")
        self.refused(3, "", "template", "--messages", chat, "--template",
                     self.write("open.jinja", "{% if x %}"))
        self.refused(2, "not today", "template", "--messages", chat, "--template",
                     self.write("raise.jinja", "{{ raise_exception('not today') }}"))

    def read_npy(self, path):
        data = path.read_bytes()
        self.assertEqual(data[:8], b"\x93NUMPY\x01\x00")
        end = 10 + struct.unpack("<H", data[8:10])[0]
        head = ast.literal_eval(data[10:end].decode())
        self.assertEqual((head["descr"], head["fortran_order"]), ("<f4", False))
        return head["shape"], data[end:]

    def test_logits_are_written_as_an_array(self):
        for name in ("a.npy", "b.npy"):
            self.ok("logits", "--tokens", "1,2,200", "--backend", "reference", "--out", name)
        shape, values = self.read_npy(self.here / "a.npy")
        self.assertEqual(shape, (3, 259))
        self.assertEqual(len(values), 3 * 259 * 4)
        self.assertEqual(values, self.read_npy(self.here / "b.npy")[1])
        self.ok("logits", "--tokens", "1,2,201", "--backend", "reference", "--out", "c.npy")
        other = self.read_npy(self.here / "c.npy")[1]
        self.assertEqual(other[:2 * 259 * 4], values[:2 * 259 * 4])
        self.assertNotEqual(other, values)

    def test_logits_names_what_is_wrong(self):
        for tokens in ("1,x", "", "1,,2", "259", "-1", "99999999999"):
            with self.subTest(tokens):
                self.refused(2, "is no token id", "logits", "--tokens", tokens, "--out", "x.npy")
        self.refused(2, "--out", "logits", "--tokens", "1")
        self.refused(2, "engine.backend", "logits", "--tokens", "1", "--backend", "abacus", "--out",
                     "x.npy")
        self.refused(3, "none/x.npy", "logits", "--tokens", "1", "--out", "none/x.npy")
        self.refused(2, "4097 tokens, but the model's context is 4096", "logits", "--tokens",
                     ",".join(["1"] * 4097), "--out", "x.npy")

    def test_perplexity_measures_a_text(self):
        text = self.write("text.txt", "To be, or not to be, that is the question. " * 20)
        self.assertRegex(self.ok("perplexity", text).text, r"^perplexity \d+\.\d+ over \d+ tokens\n$")
        one = json.loads(self.ok("perplexity", text, "--json", "--window", "64", "--max-tokens",
                                 "200", "--backend", "reference").stdout)
        self.assertEqual(one["tokens"], 200)
        self.assertAlmostEqual(one["perplexity"], math.exp(one["nll"] / one["scored_tokens"]), 3)
        both = json.loads(self.ok("perplexity", "-", "--json", "--window", "64", "--max-tokens",
                                  "200", "--backend", "reference", "--compare", "reference",
                                  stdin=text.read_bytes()).stdout)
        self.assertEqual((both["mean_kl"], both["same_top_share"]), (0, 1))
        self.assertEqual(both["perplexity"], one["perplexity"])
        small = json.loads(self.ok("--set", "engine.kv_type=q8_0", "perplexity", text, "--json",
                                   "--max-tokens", "200", "--compare", "cpu").stdout)
        self.assertIn("q8_0", small["numerics"])
        self.assertIn("f16", small["base_numerics"])
        self.assertGreater(small["mean_kl"], 0)

    def test_perplexity_names_what_is_wrong(self):
        self.refused(3, "none.txt", "perplexity", "none.txt")
        self.refused(2, "", "perplexity", self.write("empty.txt", ""))
        self.refused(2, "--window", "perplexity", self.write("t.txt", "abc"), "--window", "1")
        self.refused(2, "4097 tokens, but the model's context is 4096", "perplexity",
                     self.write("t.txt", "abc"), "--window", "4097")
        self.refused(2, "text is required", "perplexity")

    def test_bench_measures_and_reports(self):
        how = ["bench", "--prompt-tokens", "16", "--decode-tokens", "3", "--depths", "8",
               "--concurrent", "1,3", "--repeats", "2"]
        report = json.loads(self.ok(*how, "--json").stdout)
        self.assertEqual([r["what"] for r in report["rows"]],
                         ["prefill 16", "decode 3", "decode 3 at 8", "1 concurrent", "3 concurrent"])
        self.assertEqual(report["model_bytes"], self.tiny.stat().st_size)
        for row in report["rows"]:
            self.assertEqual(len(row["samples"]), 2)
            self.assertGreater(row["tokens_per_s"], 0)
        for row in report["rows"][3:]:
            for key in ("first_token_ms", "token_gap_ms"):
                p = row[key]
                self.assertTrue(0 < p["p50"] <= p["p99"] <= p["max"], p)
            step = row["step_us"]
            parts = ["deliver", "plan", "blocks", "dispatch", "compute", "sample"]
            self.assertEqual(list(step), parts + ["idle_share"])
            self.assertGreater(step["compute"], 0)
            self.assertTrue(0 < step["idle_share"] < 1)
        self.assertIn("3 concurrent", self.ok(*how).text)
        odd = os.fsencode(self.here) + b"/odd\xff.gguf"
        shutil.copy(self.tiny, odd)
        report = json.loads(self.ok(*how, "--json", "--model", odd).stdout)
        self.assertEqual(report["model"], "odd\ufffd")
        for arguments in (["--prompt-tokens", "4097"], ["--depths", "4094", "--decode-tokens", "3"]):
            self.refused(2, "4097 tokens, but the model's context is 4096", "bench", *arguments)
        self.refused(2, "--repeats", "bench", "--repeats", "0")
        self.refused(3, "no model 'x'", "bench", "--model", "x")

    def test_auto_takes_the_device_of_a_module_where_a_file_shows_it(self):
        def chosen(*options):
            how = ["bench", "--rows", "prefill", "--prompt-tokens", "16", "--repeats", "1", "--json"]
            return json.loads(self.ok(*options, *how).stdout)["backend"]
        os.symlink(MODULE, self.here / "llmos-example.so")
        self.env |= {"LLMOS_MODULES": str(self.here), "LLMOS_EXAMPLE_DEVICES": "2"}
        self.assertEqual(chosen(), "cpu")
        self.write("llmos-example.devices", "/nowhere\n/dev/null\n")
        self.assertEqual(chosen(), "example")
        self.assertEqual(chosen("--set", "engine.backend=cpu"), "cpu")
        self.env["LLMOS_EXAMPLE_DEVICES"] = "0"
        self.assertEqual(chosen(), "cpu")

    def test_engines_on_several_devices_answer(self):
        self.env["LLMOS_MODULES"] = str(pathlib.Path(MODULE).parent)
        alone = self.ok("run", "-n", "4", "--temperature", "0", "hello").stdout
        several = ["--set", "engine.backend=cpu,example:1"]
        self.assertEqual(self.ok(*several, "run", "-n", "4", "--temperature", "0", "hello").stdout,
                         alone)
        self.refused(2, "engine.backend names cpu twice", "--set", "engine.backend=cpu,cpu:0", "run",
                     "hello")

    def test_bench_measures_the_rows_that_are_asked_for(self):
        how = ["bench", "--rows", "cached,prefill", "--prompt-tokens", "16", "--repeats", "1"]
        rows = json.loads(self.ok(*how, "--json").stdout)["rows"]
        self.assertEqual([x["what"] for x in rows],
                         ["prefill 16", "first token, cold", "first token, 600 cached",
                          "first token, new part"])
        cold, cached, new_part = (x["tokens"] for x in rows[1:])
        self.assertLess(new_part, min(cold, cached))
        of_cold, of_cached, of_new = (x["cached_tokens"] for x in rows[1:])
        self.assertGreater(of_cached, cached / 2)
        self.assertLess(max(of_cold, of_new), 64)  # the template
        self.refused(2, "nope", "bench", "--rows", "nope")
        how = ["bench", "--rows", "copy,plain", "--repeats", "1"]
        rows = json.loads(self.ok(*how, "--json").stdout)["rows"]
        self.assertEqual([x["what"] for x in rows],
                         ["copy, no speculation", "copy", "plain, no speculation", "plain"])
        for without, guessing in (rows[:2], rows[2:]):
            self.assertEqual(without["tokens"], guessing["tokens"])
            self.assertGreater(guessing["ratio"], 0)

    def test_bench_measures_many_streams(self):
        how = ["bench", "--rows", "streams,shared,known", "--repeats", "1", "--json",
               "--set", "engine.context=4096"]
        rows = json.loads(self.ok(*how).stdout)["rows"]
        self.assertEqual([x["what"] for x in rows], ["streams", "shared", "known"])
        for row in rows:
            self.assertGreater(row["token_gap_ms"]["max"], 0)
        streams, shared, known = (row["cached_tokens"] for row in rows)
        self.assertLess(streams, 16 * 64)  # the template
        self.assertLess(streams, shared)
        self.assertLess(shared, known)

    def test_bench_prints_a_row_as_soon_as_it_is_measured(self):
        # The requests do not fit this node's context: what was measured before is there.
        run = self.llmos("bench", "--prompt-tokens", "16", "--decode-tokens", "3", "--depths", "8",
                         "--repeats", "1", "--concurrent", "1", "--set", "engine.context=16")
        self.assertNotEqual(run.returncode, 0)
        self.assertRegex(run.text, r"(?s)^tiny, .*\n\nprefill 16 .*\ndecode 3 .*\ndecode 3 at 8 ")
        self.assertNotIn("concurrent", run.text)


class Batch(Case):
    def lines(self, path):
        return [json.loads(line) for line in path.read_text().splitlines()]

    def job(self, text):
        return self.write("job.yaml", text)

    def test_items_become_lines_beside_the_job(self):
        job = self.job("output: out.jsonl\nconcurrency: 2\n"
                       "defaults: {sampling: {max_tokens: 4, seed: 3, ignore_eos: true}}\n"
                       "items:\n  - prompt: one\n  - {id: b, prompt: two}\n"
                       "  - messages: [{role: user, content: three}]\n")
        run = self.ok("batch", job)
        self.assertEqual(run.stdout, b"")
        self.assertIn("3/3 done", run.errors)
        lines = sorted(self.lines(self.here / "out.jsonl"), key=lambda x: x["index"])
        self.assertEqual([x["id"] for x in lines], ["1", "b", "3"])
        for x in lines:
            self.assertEqual((x["status"], x["finish_reason"], x["seed"], x["model"]),
                             ("done", "length", 3, "tiny"))
            self.assertEqual(x["usage"]["completion_tokens"], 4)

    def test_rows_of_a_table_fill_the_prompt(self):
        self.write("rows.csv", 'id,word\r\nx,"a, ""b"""\r\ny,"two\nlines"\r\n')
        self.write("rows.jsonl", '{"id": "x", "word": "a, \\"b\\""}\n{"id": "y", "word": 7}\n')
        answers = {}
        for rows in ("rows.csv", "rows.jsonl"):
            job = self.job(f"items_from: {rows}\n"
                           "defaults: {prompt: 'Say {{ word }}', sampling: {max_tokens: 3, seed: 1}}")
            run = self.ok("batch", job)
            answers[rows] = {x["id"]: x for x in map(json.loads, run.stdout.splitlines())}
            self.assertEqual(sorted(answers[rows]), ["x", "y"])
        self.assertEqual(answers["rows.csv"]["y"]["variables"], {"id": "y", "word": "two\nlines"})
        self.assertEqual(answers["rows.jsonl"]["y"]["variables"], {"id": "y", "word": 7})
        self.assertEqual(answers["rows.csv"]["x"]["text"], answers["rows.jsonl"]["x"]["text"])

    def test_concurrency_does_not_change_the_answers(self):
        items = "".join(f"  - {{prompt: 'item {i} {'x' * (i * 7 % 50)}'}}\n" for i in range(24))
        texts = []
        for concurrency in (1, 16):
            run = self.ok("batch", self.job(
                f"concurrency: {concurrency}\nitems:\n{items}"
                "defaults: {sampling: {max_tokens: 30, seed: 9, temperature: 2}}\n"))
            lines = sorted(map(json.loads, run.stdout.splitlines()), key=lambda x: x["index"])
            texts.append([x["text"] for x in lines])
        self.assertEqual(len(texts[0]), 24)
        self.assertEqual(texts[0], texts[1])

    def test_answers_are_printed_for_people(self):
        run = self.ok("batch", self.job(
            "print: true\ndefaults: {sampling: {max_tokens: 2}}\n"
            "items: [{prompt: first}, {prompt: second}]\n"))
        self.assertRegex(run.text, r"(?s)^\[1\] first\n.*\n\n\[2\] second\n.*\n\n$")

    def test_a_failed_item_is_a_line_and_the_exit_status(self):
        run = self.llmos("batch", self.job("items:\n  - prompt: ok\n    sampling: {max_tokens: 2}\n"
                                           f"  - prompt: {'x' * 5000}\n"
                                           "  - {prompt: x, model: nope}\n"))
        self.assertEqual(run.returncode, 1)
        lines = {x["id"]: x for x in map(json.loads, run.stdout.splitlines())}
        self.assertEqual(lines["1"]["status"], "done")
        self.assertEqual((lines["2"]["status"], lines["2"]["error"]["code"]),
                         ("failed", "over_context"))
        self.assertEqual(lines["3"]["error"]["code"], "not_found")
        self.assertIn("tiny", lines["3"]["error"]["hint"])
        self.assertIn("1/3 done, 2 failed", run.errors)

    def test_an_existing_output_is_refused_overwritten_or_resumed(self):
        job = self.job("output: out.jsonl\ndefaults: {sampling: {max_tokens: 2}}\n"
                       "items: [{prompt: a}, {prompt: b}, {prompt: c}]\n")
        out = self.here / "out.jsonl"
        self.ok("batch", job)
        self.refused(2, f"the output {out} exists", "batch", job)
        whole = out.read_bytes()
        first = whole[:whole.index(b"\n") + 1]
        out.write_bytes(first + whole[len(first):len(first) + 25])  # killed while writing
        run = self.ok("batch", job, "--resume")
        self.assertTrue(out.read_bytes().startswith(first))
        self.assertEqual(sorted(x["id"] for x in self.lines(out)), ["1", "2", "3"])
        self.assertIn("3/3 done", run.errors)
        self.ok("batch", job, "--overwrite")
        self.assertEqual(len(self.lines(out)), 3)
        answers = {x["id"]: x for x in self.lines(out)}
        run = self.ok("batch", self.job("output: out.jsonl\n"
                                        "defaults: {sampling: {max_tokens: 2}}\n"
                                        "items: [{prompt: a}, {prompt: other}, {prompt: c}]\n"),
                      "--resume")
        self.assertIn("1 items changed since they were answered", run.errors)
        again = {x["id"]: x for x in self.lines(out)}
        self.assertEqual(len(self.lines(out)), 3)
        self.assertEqual((again["1"], again["3"]), (answers["1"], answers["3"]))
        self.assertNotEqual(again["2"]["request"], answers["2"]["request"])
        out.write_text("my notes\n")
        self.refused(3, f"{out}:1:1: no line of a job", "batch", job, "--resume")
        self.assertEqual(out.read_text(), "my notes\n")
        self.refused(2, "excludes", "batch", job, "--resume", "--overwrite")

    def test_a_job_never_overwrites_its_own_items(self):
        rows = self.write("rows.jsonl", '{"x": 1}\n')
        job = self.job("output: rows.jsonl\nitems_from: rows.jsonl\ndefaults: {prompt: '{{ x }}'}\n")
        for how in ([], ["--overwrite"], ["--resume"], ["--check"]):
            with self.subTest(how):
                errors = self.refused(3, "job.yaml:1:9: output: ", "batch", job, *how).errors
                self.assertNotIn("--overwrite", errors)
                self.assertEqual(rows.read_text(), '{"x": 1}\n')

    LONG = ("output: out.jsonl\nconcurrency: 4\n"
            "defaults: {prompt: '{{ n }}', sampling: {max_tokens: 300, ignore_eos: true}}\n"
            "items_from: rows.csv\n")

    def start_long(self, num_items):
        """A job that has written some lines and is far from its end."""
        self.write("rows.csv", "n\n" + "".join(f"{i}\n" for i in range(num_items)))
        run = self.start("batch", self.job(self.LONG), "--resume", stderr=subprocess.PIPE)
        out = self.here / "out.jsonl"
        while not out.exists() or out.read_bytes().count(b"\n") < 3:
            self.assertIsNone(run.poll(), "it ended too early")
        return run, out

    def test_a_killed_run_is_resumed_without_loss_or_double(self):
        num_items = 200
        run, out = self.start_long(num_items)
        run.kill()
        run.communicate(timeout=TIMEOUT_S)
        before = out.read_bytes()
        kept = before[:before.rfind(b"\n") + 1]
        self.assertLess(kept.count(b"\n"), num_items)
        self.ok("batch", self.here / "job.yaml", "--resume")
        self.assertTrue(out.read_bytes().startswith(kept))
        self.assertEqual(sorted(int(x["id"]) for x in self.lines(out)),
                         list(range(1, num_items + 1)))

    def test_ctrl_c_stops_it_and_leaves_whole_lines(self):
        run, out = self.start_long(5000)
        run.send_signal(signal.SIGINT)
        errors = run.communicate(timeout=TIMEOUT_S)[1].decode()
        self.assertEqual(run.returncode, 130, errors)
        self.assertIn("--resume", errors)
        lines = self.lines(out)
        self.assertLess(len(lines), 5000)
        self.assertEqual({x["status"] for x in lines}, {"done"})

    def test_a_reader_that_goes_away_is_no_success(self):
        items = "".join(f"  - {{prompt: '{i}'}}\n" for i in range(40))
        job = self.job("concurrency: 1\ndefaults: {sampling: {max_tokens: 300, ignore_eos: true}}\n"
                       f"items:\n{items}")
        run = self.start("batch", job, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        fcntl.fcntl(run.stdout, fcntl.F_SETPIPE_SZ, 4096)
        run.stdout.read(1)
        run.stdout.close()
        errors = run.stderr.read().decode()
        self.assertEqual(run.wait(TIMEOUT_S), 1, errors)
        self.assertIn("llmos: stopped: the reader of standard output has gone\n", errors)
        self.assertRegex(errors, r"\d+/40 done")
        run.stderr.close()

    def test_check_reads_everything_and_runs_nothing(self):
        job = self.job("output: out.jsonl\nitems: [{prompt: a}]\n")
        run = self.ok("batch", job, "--check")
        self.assertIn("1 items, no mistake", run.errors)
        self.assertFalse((self.here / "out.jsonl").exists())
        self.refused(3, "item \"2\": ", "batch", "--check",
                     self.job("items: [{prompt: a}, {prompt: b, model: nope}]\n"))
        self.refused(3, "job.yaml:1:9: sampling: min_tokens is 9", "batch", "--check",
                     self.job("items: [{prompt: a, sampling: {min_tokens: 9, max_tokens: 3}}]\n"))

    def test_mistakes_are_named_with_their_place(self):
        for text, error in [
                ("itmes: []\n", "job.yaml:1:1: unknown key \"itmes\""),
                ("items:\n  - prompt: a\n    sampling: {temperature: .nan}\n",
                 "job.yaml:3:29: sampling.temperature: expected a finite number"),
                ("items:\n  - prompt: '{{ x }}'\n", "job.yaml:2:13: prompt: unknown variable \"x\""),
                ("items: [", "job.yaml:"),
                ("items_from: none.csv\n", "none.csv: No such file"),
                ("items: &a [*a]\n", "job.yaml:1:12: aliases are not supported")]:
            with self.subTest(text):
                self.refused(3, error, "batch", self.job(text))
        self.refused(3, "none.yaml", "batch", "none.yaml")
        self.refused(3, "none/out.jsonl", "batch",
                     self.job("output: none/out.jsonl\nitems: [{prompt: a}]\n"))

    def test_a_row_that_cannot_be_read_is_named(self):
        self.write("rows.jsonl", '{"x": 1}\n{"x": 1e400}\n')
        self.refused(3, "rows.jsonl:2:7: a number too large", "batch",
                     self.job("items_from: rows.jsonl\ndefaults: {prompt: '{{ x }}'}\n"))

    def test_the_example_jobs_are_right(self):
        for path in sorted((pathlib.Path(__file__).parents[2] / "configs" / "jobs").glob("*.yaml")):
            with self.subTest(path.name):
                self.ok("batch", path, "--check")


if __name__ == "__main__":
    script_test.main()
