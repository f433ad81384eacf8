#!/usr/bin/env python3
"""Clients that change their minds, thousands of times: nothing of theirs stays, and all is counted.

Usage: leak_test.py LLMOS MAKE_TINY_MODEL EXAMPLE_MODULE
"""
import json
import os
import pathlib
import random
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
from cli_test import TIMEOUT_S  # noqa: E402
from serving import (HOST, LETTERS, LONG, VERY_LONG, ServeCase, chat_body,  # noqa: E402
                     reset_when_closed, wait_until)

NUM_CANCELS = 10_000
NUM_CLIENTS = 16
MAX_PROCESSES = 128
CHAT = "/v1/chat/completions"
SCARCE = 1 << 20


class Client(threading.Thread):
    """Asks and changes its mind, as its seed has it. What goes wrong is kept."""

    def __init__(self, node, seed, num_cancels, patience):
        """`patience`: how often it reads at most before it has had enough."""
        super().__init__(daemon=True)
        self.node, self.random, self.num_cancels = node, random.Random(seed), num_cancels
        self.patience = patience
        self.failure = None
        self.asked = {"close": 0, "reset": 0, "silent": 0, "delete": 0, "end": 0}
        self.sure = []  # n of each request that the node has read for certain
        self.reasons = []  # of what was ended by its id

    def run(self):
        try:
            while sum(self.asked.values()) - self.asked["end"] < self.num_cancels:
                kind = self.random.choice(list(self.asked))
                getattr(self, kind)()
                self.asked[kind] += 1
        except Exception as e:  # noqa: BLE001
            self.failure = e

    def body(self, **fields):
        """Prompts share beginnings, so that blocks are shared, cached and evicted."""
        prompt = self.random.choice("abc") * self.random.choice([1, 50, 50, 500, 2000])
        some = {"logprobs": True} if self.random.random() < 0.2 else {}
        return chat_body(prompt, {**LETTERS, **some, "ignore_eos": True, "max_tokens": 1900,
                                  "n": self.random.choice([1, 1, 1, 2, 4]), **fields})

    def send(self, **fields):
        sent = json.dumps(self.body(**fields)).encode()
        head = (f"POST {CHAT} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(sent)}\r\n"
                f"Authorization: Bearer {self.node.key}\r\n\r\n")
        s = self.node.open()
        s.sendall(head.encode() + sent)
        return s

    def close(self):
        """In the middle of a stream, or before its first byte."""
        with self.send(stream=True) as s:
            for _ in range(self.random.choice([0, 0, 1, self.patience])):
                s.recv(self.random.choice([1, 100, 5000]))

    def reset(self):
        with self.send(stream=True) as s:
            s.recv(self.random.choice([1, 100, 5000]))
            reset_when_closed(s)

    def silent(self):
        """While an answer that comes whole is made."""
        with self.send() as s:
            s.settimeout(self.random.choice([0.0001, 0.001, 0.01]))
            try:
                s.recv(1)
            except (TimeoutError, BlockingIOError):
                pass

    def delete(self):
        asked = self.body()
        stream = self.node.stream(CHAT, asked)
        self.sure.append(asked["n"])
        for _ in zip(range(self.random.choice([0, 1, 5])), stream):
            pass
        answer = self.node.ask("DELETE", "/v1/requests/" + stream.headers["X-Request-Id"])
        if answer.status not in (200, 404):
            raise AssertionError(answer.body)
        self.reasons += [c["finish_reason"] for e in stream for c in e["choices"]
                         if c["finish_reason"]]

    def end(self):
        asked = self.body(max_tokens=self.random.randrange(1, 20))
        usage = {"include_usage": True}
        *_, last = self.node.stream(CHAT, {**asked, "stream_options": usage})
        self.sure.append(asked["n"])
        if last["usage"]["completion_tokens"] != asked["n"] * asked["max_tokens"]:
            raise AssertionError(last)


class Leaks(ServeCase):
    def threads_of(self, node):
        return len(os.listdir(f"/proc/{node.process.pid}/task"))

    def descriptors_of(self, node, are_sockets):
        """What they stand for: a socket's name is its own."""
        folder, out = f"/proc/{node.process.pid}/fd", []
        for name in os.listdir(folder):
            try:
                out.append(os.readlink(f"{folder}/{name}"))
            except FileNotFoundError:
                pass  # closed since
        return sorted(x for x in out if x.startswith("socket:") == are_sockets)

    def storm(self, node, num_cancels, patience):
        clients = [Client(node, seed, num_cancels // NUM_CLIENTS, patience)
                   for seed in range(NUM_CLIENTS)]
        for c in clients:
            c.start()
        for c in clients:
            c.join(5 * TIMEOUT_S)
            self.assertIsNone(c.failure)
            self.assertFalse(c.is_alive())
        return clients

    def fill(self, node):
        """As many processes as the kernel allows: where one was left, there is no room."""
        return node.complete(["hi"] * (MAX_PROCESSES // 16), n=16, max_tokens=1, ignore_eos=True)

    def check_nothing_is_left(self, node, sockets, others, threads):
        node.wait_until_idle()
        wait_until(lambda: self.descriptors_of(node, True) == sockets, "connections are closed")
        self.assertEqual(self.descriptors_of(node, False), others)
        self.assertEqual(self.threads_of(node), threads)
        blocks = sum(node.metric("llmos_kv_blocks", state=x) for x in ("free", "cached"))
        self.assertEqual(blocks, node.metric("llmos_kv_blocks"))
        wait_until(lambda: self.fill(node).status == 200, "there is room for all again")
        node.wait_until_idle()

    def check_counts(self, node, clients):
        """What was cancelled is not counted to the token, but no answer is missing or twice."""
        reasons = [r for c in clients for r in c.reasons]
        self.assertEqual(set(reasons), {"abort", "length"} & set(reasons))
        self.assertGreaterEqual(node.metric("llmos_requests_total", outcome="cancelled"),
                                reasons.count("abort"))
        sure = sum(n for c in clients for n in c.sure)
        ended = sum(node.metric("llmos_requests_total", outcome=x) for x in ("cancelled", "length"))
        self.assertEqual(ended, node.metric("llmos_requests_total"))
        self.assertGreaterEqual(ended, sure)
        for name in ("llmos_requests_refused_total", "llmos_restarts_total"):
            self.assertEqual(node.metric(name), 0)

    def check_storm(self, num_cancels, patience, **options):
        node = self.serve(*self.set(kernel_max_processes=MAX_PROCESSES, **options))
        sockets = self.descriptors_of(node, True)  # before any connection
        self.assertEqual(self.fill(node).status, 200)
        before = sockets, self.descriptors_of(node, False), self.threads_of(node)
        clients = self.storm(node, num_cancels, patience)
        self.check_nothing_is_left(node, *before)
        self.check_counts(node, clients)
        num_preempted = node.metric("llmos_preemptions_total")
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.errors.whole(), "llmos: draining")
        return num_preempted

    def test_cancels_at_any_moment_leave_nothing(self):
        self.check_storm(NUM_CANCELS, patience=10)

    def test_nor_where_blocks_are_scarce_and_most_have_to_wait(self):
        # Little more than one context: sequences are preempted, and cancelled then as well.
        num_preempted = self.check_storm(NUM_CANCELS // 5, patience=300, engine_kv_bytes=SCARCE)
        self.assertGreater(num_preempted, 0)


class Counters(ServeCase):
    def test_they_agree_with_what_clients_counted_to_the_token(self):
        node, answers, failures = self.serve(), [], []

        def ask(seed):
            mine = random.Random(seed)
            try:
                for _ in range(25):
                    answers.append(self.one(node, mine))
            except Exception as e:  # noqa: BLE001
                failures.append(e)
        threads = [threading.Thread(target=ask, args=[i], daemon=True) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(TIMEOUT_S)
        self.assertEqual(failures, [])
        self.check(node, answers)

    def one(self, node, mine):
        """n, the usage and the reasons of one answer, in any of the ways to ask for it."""
        n = mine.choice([1, 1, 2, 3])
        asked = {**LETTERS, "n": n, "max_tokens": mine.randrange(0, 80), "seed": mine.randrange(9)}
        if mine.random() < 0.3:
            asked["stop"] = [mine.choice("abcdefgh") * 2]
        if mine.random() < 0.3:
            asked["logprobs"] = True
        body = chat_body("b" * mine.choice([1, 30, 100]), asked)
        if mine.random() < 0.5:
            got = node.post(CHAT, body).json()
            return n, got["usage"], [c["finish_reason"] for c in got["choices"]]
        events = list(node.stream(CHAT, {**body, "stream_options": {"include_usage": True}}))
        return n, events[-1]["usage"], [c["finish_reason"] for e in events for c in e["choices"]
                                        if c["finish_reason"]]

    def check(self, node, answers):
        self.assertEqual(len(answers), 400)
        reasons = [r for _, _, all_of_one in answers for r in all_of_one]
        wanted = {("llmos_completion_tokens_total", None):
                  sum(usage["completion_tokens"] for _, usage, _ in answers),
                  ("llmos_prompt_tokens_total", None):
                  sum(n * usage["prompt_tokens"] for n, usage, _ in answers),
                  ("llmos_requests_total", "stop"): reasons.count("stop"),
                  ("llmos_requests_total", "length"): reasons.count("length"),
                  ("llmos_requests_total", None): len(reasons)}
        self.assertEqual(len(reasons), sum(n for n, _, _ in answers))
        for _ in range(2):  # reached, and then not passed
            for (name, outcome), value in wanted.items():
                node.wait_for_metric(value, name, **({"outcome": outcome} if outcome else {}))
            node.wait_until_idle()

    def test_cached_tokens_are_those_of_the_usage(self):
        node, usages = self.serve(), []
        for length in (100, 100, 200, 50, 200):
            usages.append(node.chat("c" * length, max_tokens=1).json()["usage"])
        cached = [u.get("prompt_tokens_details", {}).get("cached_tokens") for u in usages]
        self.assertEqual((cached[0], min(cached[1:]) > 0), (0, True))
        node.wait_for_metric(sum(cached), "llmos_prefix_cache_hit_tokens_total")


class Named(ServeCase):
    """Requests that are ended by the id of their answer."""

    def test_with_each_of_their_answers(self):
        # Also those that the kernel has not taken yet when another's first word is out.
        node = self.serve()
        control = node.connect()
        self.addCleanup(control.close)
        node.get("/livez", on=control)
        for _ in range(5):
            stream = node.stream("/v1/completions", VERY_LONG)
            name = stream.headers["X-Request-Id"]
            self.assertEqual(node.ask("DELETE", f"/v1/requests/{name}", on=control).status, 200)
            reasons = [c["finish_reason"] for e in stream for c in e["choices"]]
            self.assertEqual(reasons.count("abort"), 8 * LONG["n"])
            node.wait_until_idle()

    def test_only_by_their_owner_or_an_operator(self):
        keys = [self.ok("key", "add", name).text.strip() for name in ("billing", "other")]
        node = self.serve()
        for key, status in ((keys[1], 404), (keys[0], 200), (None, 200)):
            stream = node.stream(CHAT, chat_body("hi", LONG), key=keys[0])
            name = stream.headers["X-Request-Id"]
            answer = node.ask("DELETE", f"/v1/requests/{name}", key=key)
            self.assertEqual(answer.status, status)
            if status == 404:
                self.assertGreater(node.metric("llmos_requests_running"), 0)
                stream.close()
            else:
                self.assertEqual(answer.json(), {"id": name, "cancelled": True})
                reasons = [c["finish_reason"] for e in stream for c in e["choices"]]
                self.assertEqual(reasons.count("abort"), LONG["n"])
            node.wait_until_idle()
            self.assertEqual(node.ask("DELETE", f"/v1/requests/{name}").status, 404)


if __name__ == "__main__":
    script_test.main()
