#!/usr/bin/env python3
"""Drives `llmos shell` as a person at a terminal does, and as a script over a pipe does.

Usage: shell_test.py LLMOS. What needs the default model is skipped where that is missing.
"""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
from default_model import MODEL_NAME, model_path, needs_model  # noqa: E402

LLMOS = str(pathlib.Path(sys.argv[1]).resolve())
PATIENCE_S = 120  # for a busy machine; nothing waits so long when all is well
UP, CTRL_C, CTRL_D, CTRL_Z = "\x1b[A", "\x03", "\x04", "\x1a"


class Terminal:
    """A shell on a pseudo-terminal; `expect` waits for text and returns what came up to it."""

    def __init__(self, args, env):
        self.seen = ""
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(LLMOS, [LLMOS, "shell", *args], env)

    def read(self, deadline):
        ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"nothing came within {PATIENCE_S} s; seen: {self.seen!r}")
        try:
            got = os.read(self.fd, 65536)
        except OSError:  # how Linux says that the other side has closed
            got = b""
        self.raw += got
        self.seen = self.raw.decode(errors="replace")
        return got

    def expect(self, text):
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            if not self.read(deadline):
                raise AssertionError(f"it ended before {text!r}; seen: {self.seen!r}")
        before, self.seen = self.seen.split(text, 1)
        self.raw = self.seen.encode()
        return before

    def send(self, keys):
        os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)

    def enter(self, line):
        """Types a line; returns what the shell says until it asks again."""
        self.send(line + "\r")
        self.expect("\n")
        return self.expect(">>> ")

    def status(self):
        """Reads to the end; the exit status, or -signal."""
        deadline = time.monotonic() + PATIENCE_S
        while self.read(deadline):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = None
        return os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class ShellTest(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="llmos-shell-")
        self.addCleanup(shutil.rmtree, self.home)
        models = pathlib.Path(self.home) / "models"
        models.mkdir()
        if model_path().exists():
            (models / (MODEL_NAME + ".gguf")).symlink_to(model_path().resolve())
        self.env = {"HOME": self.home, "LLMOS_MODELS": str(models), "TERM": "xterm",
                    "PATH": os.environ["PATH"]}

    def terminal(self, *args, **env):
        terminal = Terminal(["--temperature", "0", *args], {**self.env, **env})
        self.addCleanup(terminal.close)
        terminal.expect(">>> ")
        return terminal

    def pipe(self, text, *args):
        return subprocess.run([LLMOS, "shell", "--temperature", "0", *args], env=self.env,
                              input=text if isinstance(text, bytes) else text.encode(),
                              capture_output=True, timeout=PATIENCE_S, check=False)

    def path(self, name):
        return os.path.join(self.home, name)


class OverAPipe(ShellTest):
    @needs_model
    def test_questions_are_answered_as_run_answers_them(self):
        shell = self.pipe("Name a colour.\n\n/clear\nName a colour.\n", "-n", "20")
        alone = subprocess.run([LLMOS, "run", "--temperature", "0", "-n", "20", "Name a colour."],
                               env=self.env, capture_output=True, timeout=PATIENCE_S, check=True)
        self.assertEqual(shell.returncode, 0, shell.stderr)
        self.assertNotEqual(alone.stdout.strip(), b"")
        self.assertEqual(shell.stdout, alone.stdout * 2)
        self.assertNotIn(b"\x1b", shell.stdout + shell.stderr)

    @needs_model
    def test_the_conversation_goes_on_from_the_cache(self):
        shell = self.pipe("Name a colour.\nAnother one.\n", "--timing", "-n", "8")
        lines = re.findall(r"\[(\d+) tokens, [\d.]+ tokens/s, first after [\d.]+ s; "
                           r"prompt (\d+) tokens, (\d+) of them cached\]", shell.stderr.decode())
        self.assertEqual(len(lines), 2, shell.stderr)
        self.assertEqual(lines[0][2], "0")
        self.assertGreater(int(lines[1][2]), 16)
        self.assertGreater(int(lines[1][1]), int(lines[0][1]))
        self.assertIn(b"[cut after 8 tokens: /set max_tokens N allows more]", shell.stderr)

    @needs_model
    def test_an_answer_that_does_not_fit_says_what_to_do(self):
        shell = self.pipe("/set max_tokens 100000\nHi\n/set max_tokens 4\n/regen\n")
        self.assertEqual(shell.returncode, 2)
        self.assertIn(b"/clear forgets the conversation, /set max_tokens N", shell.stderr)
        self.assertNotEqual(shell.stdout.strip(), b"")

    @needs_model
    def test_a_conversation_is_saved(self):
        file = self.path("chat.json")
        shell = self.pipe(f"/system Be kind.\nHi\n/save {file}\n", "-n", "4")
        self.assertEqual(shell.returncode, 0, shell.stderr)
        with open(file, encoding="utf-8") as saved:
            messages = json.load(saved)["messages"]
        self.assertEqual([m["role"] for m in messages], ["system", "user", "assistant"])
        self.assertEqual(messages[2]["content"].strip(),
                         shell.stdout.decode().split("wrote 3 messages")[0].strip())

    @needs_model
    def test_ctrl_c_ends_a_script(self):
        with subprocess.Popen([LLMOS, "shell", "--temperature", "0", "--ignore-eos", "-n", "4000"],
                              env=self.env, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as shell:
            shell.stdin.write(b"Tell me a story.\n")
            shell.stdin.flush()
            self.assertNotEqual(shell.stdout.read(1), b"")
            shell.send_signal(signal.SIGINT)
            shell.stdout.read()
            self.assertEqual(shell.wait(PATIENCE_S), 130)

    @needs_model
    def test_it_ends_when_nobody_reads(self):
        with subprocess.Popen([LLMOS, "shell", "--temperature", "0", "--ignore-eos", "-n", "4000"],
                              env=self.env, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as shell:
            shell.stdin.write(b"Tell me a story.\n")
            shell.stdin.flush()
            self.assertNotEqual(shell.stdout.read(1), b"")
            shell.stdout.close()
            self.assertEqual(shell.wait(PATIENCE_S), 0)

    def test_a_wrong_command_is_an_error_and_the_rest_is_done(self):
        shell = self.pipe("/hel\n/show model\n")
        self.assertEqual(shell.returncode, 2)
        self.assertIn(b"error: unknown command /hel\nhint: did you mean /help?", shell.stderr)
        self.assertEqual(shell.stdout.decode(), MODEL_NAME + "\n")

    def test_a_missing_model_is_named(self):
        shell = self.pipe("Hi\n", "--model", "nothing")
        self.assertEqual(shell.returncode, 3)
        self.assertIn(b"error: no model 'nothing'", shell.stderr)
        self.assertEqual(shell.stdout, b"")

    def test_several_lines_are_one_input_and_must_end(self):
        shell = self.pipe('/system """one\ntwo\n"""\n/show system\n"""three\n')
        self.assertEqual(shell.stdout, b"one\ntwo\n")
        self.assertIn(b'error: the input ends inside """', shell.stderr)
        self.assertEqual(shell.returncode, 2)

    def test_what_is_no_text_is_refused(self):
        shell = self.pipe(b"a\xffb\n/show model\n")
        self.assertIn(b"error: the input is not valid UTF-8 (byte 2)", shell.stderr)
        self.assertEqual(shell.stdout.decode(), MODEL_NAME + "\n")
        self.assertEqual(shell.returncode, 2)

    def test_a_system_prompt_that_is_no_text_is_refused(self):
        shell = self.pipe("/show model\n", "--system", b"a\xff")
        self.assertIn(b"error: the system prompt is no valid UTF-8: byte 1", shell.stderr)
        self.assertEqual((shell.returncode, shell.stdout), (2, b""))

    def test_an_endless_line_is_refused(self):
        shell = self.pipe(b"x" * (5 << 20) + b"\n/show model\n")
        self.assertIn(b"error: the input is longer than 4194304 bytes", shell.stderr)
        self.assertEqual(shell.stdout.decode(), MODEL_NAME + "\n")

    def test_the_last_line_needs_no_end(self):
        self.assertEqual(self.pipe("/show model\r\n/show model").stdout.decode(),
                         2 * (MODEL_NAME + "\n"))

    def test_an_input_that_cannot_be_read_is_an_error(self):
        folder = os.open(self.home, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        shell = subprocess.run([LLMOS, "shell"], env=self.env, stdin=folder, capture_output=True,
                               timeout=PATIENCE_S, check=False)
        self.assertEqual(shell.returncode, 3)
        self.assertIn(b"error: cannot read the input: Is a directory", shell.stderr)


class AtATerminal(ShellTest):
    @needs_model
    def test_an_answer_can_be_stopped_and_the_next_question_asked(self):
        shell = self.terminal("--ignore-eos", "-n", "4000")
        shell.send("Tell me a very long story.\r")
        shell.expect("story.\r\n")
        shell.expect(" the ")  # the answer streams
        shell.send(CTRL_C)
        shell.expect("[stopped]")
        shell.expect(">>> ")
        shell.enter("/set ignore_eos false")
        shell.enter("/set max_tokens 8")
        self.assertIn("[cut after 8 tokens", shell.enter("Go on."))
        shell.send("/show history\r")
        for text in (">>> Tell me a very long story.", "[stopped]", ">>> Go on.", "[cut after 8"):
            shell.expect(text)
        shell.expect(">>> ")
        shell.send(CTRL_D)
        self.assertEqual(shell.status(), 0)

    @needs_model
    def test_another_answer_and_commands_about_the_node(self):
        shell = self.terminal("-n", "6", "--timing")
        first = shell.enter("Name a colour.")
        self.assertRegex(first, r"prompt \d+ tokens, 0 of them cached\]")
        shell.enter("/regen")
        self.assertIn("turns: 1", shell.enter("/show"))
        self.assertIn("no generation runs", shell.enter("/ps"))
        self.assertRegex(shell.enter("/models"), r"\* +" + re.escape(MODEL_NAME) + " +loaded")
        self.assertIn("llmos_requests_total", shell.enter("/stats"))
        self.assertIn("is unloaded", shell.enter("/unload " + MODEL_NAME))
        self.assertIn("on disk", shell.enter("/models"))
        shell.send("/exit\r")
        self.assertEqual(shell.status(), 0)

    def test_ctrl_c_clears_the_line_and_an_open_block(self):
        shell = self.terminal()
        shell.send("/exit")
        shell.expect("/exit")
        shell.send(CTRL_C)
        shell.expect(">>> ")
        shell.send('"""one\r')
        shell.expect("... ")
        shell.send(CTRL_C)
        shell.expect(">>> ")
        self.assertIn(MODEL_NAME, shell.enter("/show model"))

    def test_tab_completes_commands_keys_models_and_files(self):
        with open(self.path("my prompt.txt"), "w", encoding="utf-8"):
            pass
        shell = self.terminal()
        self.assertIn("Allowed: 0 to 100", shell.enter("/se\tte\t"))
        shell.send("/s\t")
        shell.expect("/save  /set  /show  /stats  /system")
        shell.expect(">>> /s")
        shell.send(CTRL_C)
        shell.expect(">>> ")
        self.assertIn("(nothing was said yet)", shell.enter("/sho\thi\t"))
        self.assertIn("is empty", shell.enter(f"/read {self.home}/my\t"))
        if model_path().exists():
            self.assertIn("is ready", shell.enter("/load Smol\t"))

    def test_inputs_are_kept_over_runs(self):
        first = self.terminal()
        first.enter("/show model")
        first.send('/system """one\r')
        first.expect("... ")
        first.enter('two"""')
        first.send(CTRL_D)
        self.assertEqual(first.status(), 0)
        file = self.path(".local/state/llmos/history")
        self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o600)
        second = self.terminal()
        self.assertIn("model's own", second.enter("/show system"))
        second.enter(UP + UP)  # the block, as one input
        self.assertIn("one\r\ntwo\r\n", second.enter("/show system"))
        self.assertIn(MODEL_NAME, second.enter("/show model"))
        with open(file, encoding="utf-8") as lines:
            self.assertEqual(lines.read().splitlines()[:2],
                             ["/show model", r'/system """one\ntwo"""'])

    def test_a_history_that_cannot_be_written_is_said_once(self):
        with open(self.path("node.yaml"), "w", encoding="utf-8") as config:
            config.write("shell:\n  history: /proc/none/history\n")
        shell = Terminal(["--config", self.path("node.yaml")], self.env)
        self.addCleanup(shell.close)
        self.assertEqual(shell.expect(">>> ").count("what you type is not kept"), 1)
        self.assertNotIn("not kept", shell.enter("/show model"))

    def test_a_paste_of_several_lines_is_one_input(self):
        shell = self.terminal()
        shell.send("/system \x1b[200~one\rtwo\r\rthree\x1b[201~")
        shell.enter("")
        self.assertIn("one\r\ntwo\r\n\r\nthree\r\n", shell.enter("/show system"))

    def test_it_can_be_suspended(self):
        shell = self.terminal()
        shell.send("/show mo")
        shell.expect("/show mo")
        shell.send(CTRL_Z)
        _, status = os.waitpid(shell.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        os.kill(shell.pid, signal.SIGCONT)
        shell.expect(">>> /show mo")  # drawn anew: from here on it reads again
        self.assertIn(MODEL_NAME, shell.enter("del"))

    def test_bytes_that_are_no_text_are_refused(self):
        shell = self.terminal()
        shell.send(b"/system caf\xc3\xa9 \xff\r")
        shell.expect("not valid UTF-8 (byte 15)")
        shell.expect(">>> ")
        shell.enter("/system 日本 é")
        self.assertIn("日本 é", shell.enter("/show system"))

    def test_a_terminal_without_abilities_will_do(self):
        shell = self.terminal(TERM="dumb", LC_ALL="C")
        self.assertIn(MODEL_NAME, shell.enter("/show model"))
        shell.send("/exit")
        shell.expect("/exit")
        shell.send(CTRL_C)
        shell.expect(">>> ")
        shell.send(CTRL_D)
        self.assertEqual(shell.status(), 0)
        self.assertNotIn("\x1b", shell.seen)

    def test_a_signal_ends_it(self):
        shell = self.terminal()
        os.kill(shell.pid, signal.SIGTERM)
        self.assertEqual(shell.status(), 128 + signal.SIGTERM)


if __name__ == "__main__":
    script_test.main()
