#!/usr/bin/env python3
"""`llmos serve` as its operator and its clients meet it: a real node, over loopback.

Usage: serve_test.py LLMOS MAKE_TINY_MODEL EXAMPLE_MODULE
"""
import os
import pathlib
import signal
import socket
import stat
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
from cli_test import Case, TIMEOUT_S  # noqa: E402
from serving import HOST, ServeCase, read_all, wait_until  # noqa: E402

FILES = ["ca.crt", "ca.key", "node.crt", "node.key", "client-client.crt", "client-client.key",
         "api_keys"]
KEY = r"^sk-llmos-[A-Za-z0-9_-]{43}$"
# As many tokens as an answer of the tiny model can have, sixteen times: seconds of work.
LONG = {"max_tokens": 4000, "n": 16, "ignore_eos": True}


class Init(Case):
    def state(self):
        folder = self.here / ".config/llmos/identity"
        return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}

    def test_it_makes_the_files_for_their_owner_alone_and_shows_the_key_once(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        lines = self.ok("init").text.splitlines()
        folder = self.here / ".config/llmos/identity"
        self.assertEqual(lines[:7], [str(folder / name) for name in FILES])
        self.assertEqual(lines[7:9], ["", "The first API key, shown only now:"])
        self.assertRegex(lines[9], KEY)
        self.assertEqual(len(lines), 10)
        self.assertEqual({p.name for p in folder.iterdir()}, set(FILES))
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        for path in folder.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)
            self.assertNotIn(lines[9].encode(), path.read_bytes())

    def test_a_second_time_changes_nothing(self):
        self.ok("init")
        before = self.state()
        again = self.ok("init")
        self.assertEqual(again.stdout, b"")
        self.assertRegex(again.errors, r"^Nothing to make: .+/identity is complete\n$")
        self.assertEqual(self.state(), before)

    def test_it_makes_what_is_missing_and_no_more(self):
        self.ok("init")
        folder, before = self.here / ".config/llmos/identity", self.state()
        (folder / "api_keys").unlink()
        lines = self.ok("init").text.splitlines()
        self.assertEqual(lines[0], str(folder / "api_keys"))
        self.assertRegex(lines[-1], KEY)
        made = self.ok("init", "--client", "billing").text.splitlines()
        self.assertEqual(made, [str(folder / f"client-billing.{x}") for x in ("crt", "key")])
        after = self.state()
        self.assertEqual({k: v for k, v in after.items() if k in before and k != "api_keys"},
                         {k: v for k, v in before.items() if k != "api_keys"})

    def test_another_folder_is_taken_as_it_is_named(self):
        elsewhere = self.here / "a/b"
        self.assertIn(str(elsewhere / "node.crt"), self.ok("init", "--identity", elsewhere).text)
        where = ["--set", f"remote.identity={elsewhere}"]
        self.assertEqual(self.ok(*where, "init").stdout, b"")
        self.assertIn("  client\n", self.ok(*where, "key", "list").text)

    def test_keys_are_added_listed_and_revoked(self):
        self.ok("init")
        key = self.ok("key", "add", "billing").text
        self.assertRegex(key.rstrip("\n"), KEY)
        rows = [line.split("  ") for line in self.ok("key", "list").text.splitlines()]
        self.assertEqual([row[2] for row in rows], ["client", "billing"])
        for row in rows:
            self.assertRegex(row[0], r"^[0-9a-f]{8}$")
            self.assertRegex(row[1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(self.ok("key", "revoke", rows[0][0]).stdout, b"")
        self.assertEqual(self.ok("key", "list").text, "  ".join(rows[1]) + "\n")
        self.refused(3, "no key has the id 'ffffffff'", "key", "revoke", "ffffffff")
        self.refused(2, "needs a name", "key", "add")
        self.refused(2, "takes no name", "key", "list", "x")
        self.refused(2, "a key cannot belong to 'a b'", "key", "add", "a b")


class Start(ServeCase):
    def missing(self, name, *arguments, status=3):
        return self.refused(status, name, *self.set(http_port=0, remote_port=0), "serve",
                            *arguments)

    def test_what_is_missing_is_named(self):
        for name in ("node.crt", "node.key", "ca.crt", "api_keys"):
            with self.subTest(name):
                path = self.identity / name
                away = path.rename(self.here / name)
                run = self.missing(f"{path}: No such file or directory")
                self.assertRegex(run.errors, r"\nhint: .*llmos init")
                away.rename(path)
        self.assertEqual(self.serve().stop(), 0)

    def test_keys_that_others_can_read_are_refused(self):
        for name, status in (("api_keys", 2), ("node.key", 3)):
            with self.subTest(name):
                path = self.identity / name
                path.chmod(0o640)
                run = self.missing(str(path), status=status)
                self.assertIn(f"hint: chmod 600 {path}\n", run.errors)
                path.chmod(0o600)

    def test_a_taken_port_is_named(self):
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            for which, text in (("http", f"127.0.0.1 port {port}: Address already in use"),
                                ("remote", f"remote.port {port} at 127.0.0.1 cannot be opened")):
                with self.subTest(which):
                    self.missing(text, *self.set(**{f"{which}_port": port}))

    def test_two_nodes_stand_side_by_side(self):
        one, other = self.serve(), self.serve()
        self.assertEqual(len({*one.ports.values(), *other.ports.values()}), 4)
        self.assertEqual(one.chat(seed=1, max_tokens=9).text, other.chat(seed=1, max_tokens=9).text)
        self.assertEqual(one.stop(), 0)
        self.assertEqual(other.get("/v1/models").status, 200)
        self.assertEqual(other.stop(), 0)

    def test_http_alone_needs_no_certificate(self):
        for name in FILES[:-1]:
            (self.identity / name).unlink()
        node = self.serve(*self.set(remote_enabled=False), ports=["http"])
        self.assertEqual(node.get("/v1/models").status, 200)
        self.assertEqual(node.stop(), 0)
        self.assertRegex(node.out.whole(), r"^http://127.0.0.1:\d+/v1$")

    def test_services_alone_need_no_api_key(self):
        (self.identity / "api_keys").unlink()
        node = self.serve(*self.set(http_enabled=False), ports=["remote"])
        self.assertEqual(node.stop(), 0)
        self.assertRegex(node.out.whole(), r"^services connect at 127.0.0.1:\d+$")

    def test_a_node_that_serves_nobody_is_a_mistake(self):
        self.missing("http.enabled", *self.set(http_enabled=False, remote_enabled=False), status=2)

    def test_an_address_that_is_none_is_named(self):
        self.missing("'nowhere' is no IP address", *self.set(http_address="nowhere"), status=2)

    def test_a_key_holds_until_it_is_revoked(self):
        key = self.ok("key", "add", "billing").text.strip()
        node = self.serve()
        self.assertEqual(node.get("/v1/models", key=key).status, 200)
        node.stop()
        number = self.ok("key", "list").text.splitlines()[1].split()[0]
        self.ok("key", "revoke", number)
        self.assertEqual(self.serve().get("/v1/models", key=key).status, 401)


class Stop(ServeCase):
    def drain(self, node):
        node.signal(signal.SIGTERM)
        self.assertIsNotNone(node.errors.find("draining"))
        wait_until(lambda: node.get("/readyz").status == 503, "the node drains")

    def read_in_background(self, stream):
        events, failures = [], []

        def read():
            try:
                events.extend(stream)
            except Exception as e:  # noqa: BLE001
                failures.append(e)
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread, events, failures

    def test_what_runs_ends_and_nothing_new_begins(self):
        node = self.serve()
        stream = node.stream_chat(**LONG, seed=1)
        thread, events, failures = self.read_in_background(stream)
        wait_until(lambda: node.metric("llmos_requests_running") == 16, "it runs")
        self.drain(node)
        refused = node.chat()
        self.assertEqual((refused.status, refused.error["code"]), (503, "shutting_down"))
        self.assertGreaterEqual(int(refused.headers["Retry-After"]), 1)
        self.assertEqual(node.get("/livez").status, 200)
        self.assertEqual(node.wait(), 0)
        thread.join(TIMEOUT_S)
        self.assertEqual(failures, [])
        reasons = [c["finish_reason"] for e in events for c in e["choices"]]
        self.assertEqual(reasons.count("length"), 16)
        self.assertEqual(node.errors.whole(), "llmos: draining")

    def test_an_answer_that_is_not_streamed_arrives_as_well(self):
        node, got = self.serve(), []
        thread = threading.Thread(target=lambda: got.append(node.chat(**LONG)), daemon=True)
        thread.start()
        wait_until(lambda: node.metric("llmos_requests_running") == 16, "it runs")
        self.assertEqual(node.stop(), 0)
        thread.join(TIMEOUT_S)
        self.assertEqual(got[0].status, 200)
        self.assertEqual(got[0].json()["usage"]["completion_tokens"], 16 * 4000)

    def test_an_answer_larger_than_sockets_hold_arrives_whole(self):
        node, got = self.serve(), []
        asked = {**LONG, "max_tokens": 1000, "logprobs": True, "top_logprobs": 20}
        thread = threading.Thread(target=lambda: got.append(node.chat(**asked)), daemon=True)
        thread.start()
        wait_until(lambda: node.metric("llmos_requests_running") == 16, "it runs")
        self.assertEqual(node.stop(), 0)
        thread.join(TIMEOUT_S)
        self.assertEqual(len(got[0].json()["choices"][15]["logprobs"]["content"]), 1000)

    def test_a_second_signal_ends_it_at_once(self):
        node = self.serve()
        stream = node.stream_chat(**LONG)
        next(iter(stream))
        self.drain(node)
        self.assertEqual(node.stop(), -signal.SIGTERM)
        stream.close()

    def test_what_does_not_end_in_time_is_cut_off_and_is_seen_not_to_be_whole(self):
        node = self.serve(*self.set(kernel_drain_ms=1))
        thread, _, failures = self.read_in_background(node.stream_chat(**LONG))
        wait_until(lambda: node.metric("llmos_requests_running") == 16, "it runs")
        self.assertEqual(node.stop(), 0)
        thread.join(TIMEOUT_S)
        self.assertEqual(len(failures), 1)

    def test_a_connection_that_asks_nothing_holds_nobody_up(self):
        node = self.serve()
        idle = node.connect()
        self.assertEqual(node.get("/livez", on=idle).status, 200)
        with node.open() as silent:
            self.assertEqual(node.stop(), 0)
            self.assertEqual(read_all(silent), b"")
        idle.close()

    def test_ctrl_c_ends_it_and_a_hang_up_does_not(self):
        node = self.serve()
        node.signal(signal.SIGHUP)
        self.assertEqual(node.get("/readyz").status, 200)
        node.signal(signal.SIGINT)
        self.assertEqual(node.wait(), 0)


if __name__ == "__main__":
    script_test.main()
