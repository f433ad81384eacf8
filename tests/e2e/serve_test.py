#!/usr/bin/env python3
"""`llmos serve` as its operator and its clients meet it: a real node, over loopback.

Usage: serve_test.py LLMOS MAKE_TINY_MODEL EXAMPLE_MODULE
"""
import json
import os
import pathlib
import signal
import socket
import ssl
import stat
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
from cli_test import Case, TIMEOUT_S  # noqa: E402
from serving import (CONTEXT, HOST, LETTERS, LONG, ServeCase, only, read_all,  # noqa: E402
                     statuses_of, text_of, token, wait_until)

FILES = ["ca.crt", "ca.key", "node.crt", "node.key", "client-client.crt", "client-client.key",
         "api_keys"]
KEY = r"^sk-llmos-[A-Za-z0-9_-]{43}$"


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
                                ("remote", f"remote.port {port} at 127.0.0.1 cannot be opened: it is taken")):
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


class HangUp(ServeCase):
    def configured(self, max_tokens):
        return self.write("node.yaml", f"sampling: {{max_tokens: {max_tokens}}}\n")

    def serve_configured(self):
        return self.serve("--config", self.configured(3))

    def length(self, node):
        return node.chat(ignore_eos=True).json()["usage"]["completion_tokens"]

    def hang_up(self, node, says):
        node.signal(signal.SIGHUP)
        self.assertIsNotNone(node.errors.find(says))

    def test_another_configuration_is_read(self):
        node = self.serve_configured()
        self.assertEqual(self.length(node), 3)
        self.configured(5)
        self.hang_up(node, "the configuration was read again")
        wait_until(lambda: self.length(node) == 5, "the new length holds")

    def test_one_that_is_wrong_changes_nothing(self):
        node = self.serve_configured()
        self.configured("many")
        self.hang_up(node, "the configuration stays as it was")
        self.assertIsNotNone(node.errors.find("sampling.max_tokens"))
        self.assertEqual(self.length(node), 3)

    def test_keys_come_and_go(self):
        node = self.serve()
        key = self.ok("key", "add", "billing").text.strip()
        self.assertEqual(node.get("/v1/models", key=key).status, 401)
        self.hang_up(node, "the configuration was read again")
        wait_until(lambda: node.get("/v1/models", key=key).status == 200, "the key is known")
        number = next(x for x in self.ok("key", "list").text.splitlines() if "billing" in x)
        self.ok("key", "revoke", number.split()[0])
        node.signal(signal.SIGHUP)
        wait_until(lambda: node.get("/v1/models", key=key).status == 401, "the key is gone")


class Models(ServeCase):
    def test_the_models_of_the_folder_are_listed(self):
        node = self.serve()
        listed = node.get("/v1/models").json()
        self.assertEqual(listed["object"], "list")
        self.assertEqual([x["id"] for x in listed["data"]], ["tiny"])
        one = node.get("/v1/models/tiny")
        self.assertEqual(one.headers["Content-Type"], "application/json")
        self.assertEqual({**one.json(), "created": 0},
                         {"id": "tiny", "object": "model", "created": 0, "owned_by": "llmos"})

    def test_a_model_that_is_not_there_is_named(self):
        node = self.serve()
        for answer in (node.get("/v1/models/nope"), node.chat(model="nope"),
                       node.complete(model="nope"),
                       node.post("/tokenize", {"prompt": "x", "model": "nope"})):
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.error["code"], "model_not_found")
            self.assertIn("nope", answer.error["message"])

    def test_a_name_may_be_written_with_percent_signs(self):
        os.link(self.tiny, self.models / "a b.gguf")
        self.addCleanup((self.models / "a b.gguf").unlink)
        node = self.serve()
        self.assertEqual(node.get("/v1/models/a%20b").json()["id"], "a b")
        self.assertEqual(node.get("/v1/models/a%2").status, 404)


class Completions(ServeCase):
    def setUp(self):
        super().setUp()
        self.node = self.serve()

    def test_an_answer_has_all_that_clients_look_for(self):
        answer = self.node.chat(max_tokens=5, ignore_eos=True)
        body = answer.json()
        self.assertRegex(body["id"], r"^chatcmpl-[0-9a-f]{32}$")
        self.assertEqual(answer.headers["X-Request-Id"], body["id"])
        self.assertEqual(list(body), ["id", "object", "created", "model", "choices", "usage"])
        self.assertEqual((body["object"], body["model"]), ("chat.completion", "tiny"))
        choice = body["choices"][0]
        self.assertEqual((choice["index"], choice["finish_reason"]), (0, "length"))
        self.assertEqual(choice["message"]["role"], "assistant")
        self.assertEqual(body["usage"]["completion_tokens"], 5)
        self.assertEqual(body["usage"]["total_tokens"], body["usage"]["prompt_tokens"] + 5)
        body = self.node.complete(max_tokens=5, ignore_eos=True).json()
        self.assertRegex(body["id"], r"^cmpl-[0-9a-f]{32}$")
        self.assertEqual(body["object"], "text_completion")
        self.assertEqual(list(body["choices"][0]), ["index", "text", "logprobs", "finish_reason"])
        self.assertEqual(body["usage"]["prompt_tokens"], 2)

    def test_a_seed_repeats_the_answer(self):
        how = {**LETTERS, "max_tokens": 30}
        for ask in (self.node.chat, self.node.complete):
            first = ask(**how, seed=7).text
            self.assertRegex(first, r"^[a-h]{30}$")
            self.assertEqual(ask(**how, seed=7).text, first)
            self.assertNotEqual(ask(**how, seed=8).text, first)
            self.assertEqual(ask(**how, seed=2**64 - 1).text, ask(**how, seed=2**64 - 1).text)

    def test_the_answer_is_that_of_the_command_line(self):
        for ask, arguments in ((self.node.chat, []), (self.node.complete, ["--raw"])):
            with self.subTest(arguments):
                run = json.loads(self.ok(
                    "run", *arguments, "--json", "--seed", 7, "--temperature", 1.5, "--top-k", 90,
                    "--top-p", 0.9, "--min-p", 0.01, "--repetition-penalty", 1.2, "-n", 40,
                    "hi").stdout)
                body = ask(seed=7, temperature=1.5, top_k=90, top_p=0.9, min_p=0.01,
                           repetition_penalty=1.2, max_tokens=40).json()
                self.assertEqual(text_of(body["choices"][0]), run["text"])
                self.assertEqual(body["choices"][0]["finish_reason"], run["finish_reason"])
                for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
                    self.assertEqual(body["usage"][name], run["usage"][name])

    def test_where_a_request_says_nothing_the_configuration_holds(self):
        node = self.serve(*self.set(sampling_max_tokens=3, sampling_temperature=0,
                                    sampling_ignore_eos=True))
        body = node.chat().json()
        self.assertEqual(body["usage"]["completion_tokens"], 3)
        self.assertEqual(node.chat(seed=1).text, node.chat(seed=2).text)

    def test_a_default_length_shrinks_to_the_context_and_an_asked_one_is_refused(self):
        node = self.serve(*self.set(engine_context=64))
        self.assertEqual(node.complete(ignore_eos=True).json()["usage"]["completion_tokens"], 62)
        refused = node.complete(max_tokens=63)
        self.assertEqual((refused.status, refused.error["code"]), (400, "context_length_exceeded"))
        self.assertIn("2 prompt tokens + 63 max_tokens exceed the context of 64",
                      refused.error["message"])
        self.assertEqual(node.complete(max_tokens=62, ignore_eos=True).status, 200)
        for where in (node.complete, node.chat):
            refused = where("x" * 100)
            self.assertEqual((refused.status, refused.error["code"]),
                             (400, "context_length_exceeded"))

    def test_n_asks_for_several_each_with_a_seed_of_its_own(self):
        how = {**LETTERS, "max_tokens": 20}
        body = self.node.chat(**how, n=3, seed=5).json()
        self.assertEqual([c["index"] for c in body["choices"]], [0, 1, 2])
        self.assertEqual([text_of(c) for c in body["choices"]],
                         [self.node.chat(**how, seed=s).text for s in (5, 6, 7)])
        self.assertEqual(body["usage"]["completion_tokens"], 60)
        self.assertEqual(body["usage"]["prompt_tokens"],
                         self.node.chat(max_tokens=1).json()["usage"]["prompt_tokens"])

    def test_several_prompts_are_answered_in_their_order(self):
        how = {**LETTERS, "max_tokens": 20, "seed": 3}
        body = self.node.complete(["hi", "you"], **how, n=2).json()
        self.assertEqual([c["index"] for c in body["choices"]], [0, 1, 2, 3])
        self.assertEqual(
            [text_of(c) for c in body["choices"]],
            [self.node.complete(p, **{**how, "seed": s}).text for p in ("hi", "you")
             for s in (3, 4)])
        self.assertEqual(body["usage"]["prompt_tokens"], 5)
        too_many = self.node.complete(["x"] * 9, n=16)
        self.assertEqual((too_many.status, too_many.error["param"]), (400, "prompt"))

    def test_a_stop_ends_the_text_before_itself(self):
        how = {**LETTERS, "max_tokens": 60, "seed": 11}
        text = self.node.complete(**how).text
        for stop in (text[20:23], ["never", text[30:34], text[20:23]]):
            body = self.node.complete(**how, stop=stop).json()
            cut = text.index(stop if isinstance(stop, str) else stop[2])
            self.assertEqual(body["choices"][0]["text"], text[:cut])
            self.assertEqual(body["choices"][0]["finish_reason"], "stop")
            self.assertEqual(body["usage"]["completion_tokens"], cut + 3)
            streamed = "".join(text_of(e["choices"][0])
                               for e in self.node.stream_completion(**how, stop=stop))
            self.assertEqual(streamed, text[:cut])
        body = self.node.complete(**how, stop_token_ids=[token(text[5])]).json()
        self.assertEqual(body["choices"][0]["text"], text[:text.index(text[5])])

    def test_a_bias_forces_a_token_and_forbids_one(self):
        self.assertEqual(self.node.chat(logit_bias=only("Q"), max_tokens=6).text, "QQQQQQ")
        how = {"temperature": 0, "max_tokens": 8}
        self.assertEqual(self.node.complete(logit_bias=only("AZ"), **how).text.strip("AZ"), "")
        likeliest = self.node.complete(logit_bias=only("AZ"), **how).text[0]
        bias = {**only("AZ"), str(token(likeliest)): -100}
        other = {"A": "Z", "Z": "A"}[likeliest]
        self.assertEqual(self.node.complete(logit_bias=bias, **how).text, other * 8)

    def test_log_probabilities_of_a_chat(self):
        asked = {**LETTERS, "max_tokens": 6, "seed": 1, "logprobs": True, "top_logprobs": 3}
        choice = self.node.chat(**asked).json()["choices"][0]
        content = choice["logprobs"]["content"]
        self.assertEqual("".join(x["token"] for x in content), text_of(choice))
        for x in content:
            self.assertEqual(x["bytes"], list(x["token"].encode()))
            self.assertLessEqual(x["logprob"], 0)
            tops = [t["logprob"] for t in x["top_logprobs"]]
            self.assertEqual(tops, sorted(tops, reverse=True))
            self.assertEqual(len(tops), 3)
        streamed = []
        for event in self.node.stream_chat(**asked):
            streamed += (event["choices"][0]["logprobs"] or {}).get("content", [])
        self.assertEqual(streamed, content)
        self.assertIsNone(self.node.chat(max_tokens=1).json()["choices"][0]["logprobs"])

    def test_log_probabilities_of_a_text(self):
        asked = {**LETTERS, "max_tokens": 6, "seed": 1, "logprobs": 2}
        choice = self.node.complete(**asked).json()["choices"][0]
        logprobs = choice["logprobs"]
        self.assertEqual("".join(logprobs["tokens"]), choice["text"])
        self.assertEqual(logprobs["text_offset"], list(range(6)))
        for word, value, top in zip(*(logprobs[k] for k in ("tokens", "token_logprobs",
                                                            "top_logprobs"))):
            self.assertEqual(top[word], value)
            self.assertIn(len(top), (2, 3))
        streamed = {name: [] for name in logprobs}
        for event in self.node.stream_completion(**asked):
            for name, values in (event["choices"][0]["logprobs"] or {}).items():
                streamed[name] += values
        self.assertEqual(streamed, logprobs)

    def test_a_message_that_only_calls_a_tool_has_no_text(self):
        """The tiny model's template puts texts together."""
        call = {"id": "call_1", "type": "function",
                "function": {"name": "now", "arguments": "{}"}}

        def ask(content):
            return self.node.chat([{"role": "user", "content": "hi"},
                                   {"role": "assistant", "content": content, "tool_calls": [call]},
                                   {"role": "tool", "tool_call_id": "call_1", "content": "noon"}],
                                  max_tokens=5, seed=1, ignore_eos=True)
        self.assertEqual(ask(None).text, ask("").text)

    def test_broken_characters_do_no_harm(self):
        bias = {str(0x80 + 3): 100, str(0xe2 + 3): 100}
        body = self.node.complete(logit_bias=bias, max_tokens=20, temperature=2, logprobs=0).json()
        self.assertRegex("".join(body["choices"][0]["logprobs"]["tokens"]),
                         r"^(bytes:\\x(80|e2))+$")
        self.assertEqual(self.node.complete("\U0001f600\u00e9", max_tokens=1).json()["usage"]
                         ["prompt_tokens"], 6)


class Streams(ServeCase):
    def setUp(self):
        super().setUp()
        self.node = self.serve()

    def test_a_chat_comes_role_first_and_usage_last(self):
        how = {**LETTERS, "max_tokens": 12, "seed": 2}
        stream = self.node.stream_chat(**how, stream_options={"include_usage": True})
        self.assertEqual(stream.headers["Content-Type"], "text/event-stream")
        self.assertEqual(stream.headers["Cache-Control"], "no-cache")
        events = list(stream)
        self.assertEqual({e["id"] for e in events}, {stream.headers["X-Request-Id"]})
        self.assertEqual({e["object"] for e in events}, {"chat.completion.chunk"})
        self.assertEqual({e["created"] for e in events}, {events[0]["created"]})
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        deltas = [e["choices"][0]["delta"] for e in events[1:-2]]
        whole = self.node.chat(**how).json()
        self.assertEqual("".join(d["content"] for d in deltas), text_of(whole["choices"][0]))
        last, usage = events[-2:]
        self.assertEqual(last["choices"][0]["delta"], {})
        self.assertEqual(last["choices"][0]["finish_reason"], "length")
        self.assertEqual([e["choices"][0]["finish_reason"] for e in events[:-2]],
                         [None] * (len(events) - 2))
        self.assertEqual([e["usage"] for e in events[:-1]], [None] * (len(events) - 1))
        self.assertEqual(usage["choices"], [])
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            self.assertEqual(usage["usage"][name], whole["usage"][name])

    def test_a_text_comes_without_a_role(self):
        how = {**LETTERS, "max_tokens": 12, "seed": 2}
        events = list(self.node.stream_completion(**how))
        self.assertEqual({e["object"] for e in events}, {"text_completion"})
        self.assertEqual("".join(e["choices"][0]["text"] for e in events),
                         self.node.complete(**how).text)
        self.assertNotIn("usage", events[0])

    def test_choices_come_mixed_and_each_is_whole(self):
        how = {**LETTERS, "max_tokens": 30, "seed": 2, "n": 4}
        texts, reasons = [""] * 4, []
        for event in self.node.stream_chat(**how):
            choice = event["choices"][0]
            texts[choice["index"]] += choice["delta"].get("content", "")
            reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
        self.assertEqual(texts, [text_of(c) for c in self.node.chat(**how).json()["choices"]])
        self.assertEqual(reasons, ["length"] * 4)

    def test_a_request_that_fails_before_it_began_is_no_stream(self):
        for stream in (self.node.stream_chat(model="nope"), self.node.stream_chat(n=0),
                       self.node.stream_chat(max_tokens=CONTEXT)):
            self.assertEqual(stream.headers["Content-Type"], "application/json")
            self.assertIn(stream.status, (400, 404))
            self.assertIn("error", json.loads(stream.response.read()))
            stream.close()

    def test_one_that_fails_later_ends_with_an_error_and_without_done(self):
        node = self.serve(*self.set(kernel_deadline_ms=300))
        stream = node.stream_chat(**LONG)
        events = []
        with self.assertRaisesRegex(AssertionError, r"without \[DONE\]"):
            events.extend(stream)
        self.assertEqual(events[-1]["error"]["code"], "deadline_exceeded")
        node.wait_until_idle()

    def test_a_client_of_http_1_0_reads_to_the_end_of_the_connection(self):
        body = json.dumps({"prompt": "hi", "max_tokens": 3, "stream": True}).encode()
        said = self.node.say(b"POST /v1/completions HTTP/1.0\r\nAuthorization: Bearer " +
                             self.key.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) +
                             body)
        self.assertNotIn(b"chunked", said)
        self.assertTrue(said.endswith(b"\n\ndata: [DONE]\n\n"), said)

    def test_sixteen_at_once_get_what_each_gets_alone(self):
        how = {**LETTERS, "max_tokens": 60}
        alone = [self.node.chat(**how, seed=i).text for i in range(16)]
        together = [""] * 16

        def ask(i):
            together[i] = "".join(e["choices"][0]["delta"].get("content", "")
                                  for e in self.node.stream_chat(**how, seed=i))
        threads = [threading.Thread(target=ask, args=[i], daemon=True) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(TIMEOUT_S)
        self.assertEqual(together, alone)


if __name__ == "__main__":
    script_test.main()
