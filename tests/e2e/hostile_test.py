#!/usr/bin/env python3
"""A real node before clients that are wrong, slow, greedy or gone, while a neighbour is answered.

Usage: hostile_test.py LLMOS MAKE_TINY_MODEL EXAMPLE_MODULE
"""
import json
import pathlib
import select
import socket
import ssl
import sys
import threading
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
from cli_test import TIMEOUT_S  # noqa: E402
from serving import (CONTEXT, HOST, LETTERS, LONG, VERY_LONG, ServeCase, chat_body,  # noqa: E402
                     read_all, reset_when_closed, statuses_of, wait_until)

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
WORD = 2**31 - 1
DEEP = 10_000


class Neighbour(threading.Thread):
    """Asks the same again and again, as somebody whom the others are no business of."""
    ASKED = {**LETTERS, "max_tokens": 1000, "ignore_eos": True, "seed": 7}

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.texts, self.failure, self.has_enough = node, [], None, False
        self.alone = node.chat("neighbour", **self.ASKED).text

    def run(self):
        try:
            while not self.has_enough or not self.texts:
                stream = self.node.stream_chat("neighbour", **self.ASKED)
                self.texts.append("".join(e["choices"][0]["delta"].get("content", "")
                                          for e in stream))
        except Exception as e:  # noqa: BLE001
            self.failure = e


class HostileCase(ServeCase):
    """A node with a neighbour. Afterwards it is well, holds nothing, and has logged nothing."""
    NODE = {}

    def setUp(self):
        super().setUp()
        self.node = self.serve(*self.set(**self.NODE))
        self.neighbour = Neighbour(self.node)
        self.neighbour.start()

    def tearDown(self):
        self.neighbour.has_enough = True
        self.neighbour.join(TIMEOUT_S)
        self.assertIsNone(self.neighbour.failure)
        self.assertEqual(set(self.neighbour.texts), {self.neighbour.alone})
        self.node.wait_until_idle()
        self.assertEqual(self.node.stop(), 0)
        self.assertEqual(self.node.errors.whole(), "llmos: draining")

    def head(self, start=f"POST {TEXT} HTTP/1.1", *headers, host=f"Host: {HOST}"):
        lines = [start, host, f"Authorization: Bearer {self.key}", *headers]
        return "\r\n".join(filter(None, lines)).encode() + b"\r\n\r\n"

    def request(self, body=b'{"prompt": "hi", "max_tokens": 1}', *headers):
        return self.head(f"POST {TEXT} HTTP/1.1", f"Content-Length: {len(body)}", *headers) + body

    def last(self, *parts):
        """What it answers last on a connection that it closes then."""
        statuses = statuses_of(self.node.say(*parts))
        return statuses[-1] if statuses else None

    def refuses(self, body, path=TEXT, code="invalid_json", status=400):
        answer = self.node.post(path, body)
        self.assertEqual((answer.status, answer.error["code"]), (status, code), answer.body)
        return answer.error


TINY = 1e-30
# What each number of a request may be: the least, the most, and whether it is a whole number.
BOTH = {"temperature": (0, 100, False), "top_k": (0, WORD, True), "top_p": (TINY, 1, False),
        "min_p": (0, 1, False), "typical_p": (TINY, 1, False),
        "repetition_penalty": (TINY, 10, False), "frequency_penalty": (-2, 2, False),
        "presence_penalty": (-2, 2, False), "penalty_window": (-1, WORD, True),
        "seed": (0, 2**64 - 1, True), "min_tokens": (0, 2, True), "n": (1, 16, True),
        "priority": (-2**31, WORD, True)}
OF_CHAT = {**BOTH, "top_logprobs": (0, 20, True), "max_tokens": (0, CONTEXT - 21, True),
           "max_completion_tokens": (0, CONTEXT - 21, True)}  # 21 of the prompt
OF_TEXT = {**BOTH, "logprobs": (0, 5, True), "best_of": (1, 1, True),
           "max_tokens": (0, CONTEXT - 2, True)}
# Where the context or another field is what limits: beyond that, and what the type has.
BEYOND = {"max_tokens": [CONTEXT, WORD], "max_completion_tokens": [CONTEXT, WORD],
          "min_tokens": [3, WORD], "best_of": [2, 16, 17]}
NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "nan", "1e400", "-1e400", "0x1", "+1", "01", ".5"]
OTHER_TYPES = ['"1"', '"NaN"', "true", "[]", "[1]", "{}", '{"a": 1}']


def values_for(low, high, name=""):
    around = [-2**63 - 1, -2**63, -2, -1, 0, 1, 2, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64,
              0.5, -0.5, 1e-320, -1e-320, 1e308, -1e308]
    return list(dict.fromkeys([*around, low, high, high + 1, *BEYOND.get(name, [])]))


class Matrix(HostileCase):
    """Every number of a request times every value: it is taken, or refused by its name."""

    def setUp(self):
        super().setUp()
        self.connection = self.node.connect()  # which nothing here may close
        self.addCleanup(self.connection.close)

    def ask(self, path, name, value):
        """The value as JSON."""
        body = {"max_tokens": "2", "ignore_eos": "true"}
        if name in ("max_tokens", "max_completion_tokens"):
            del body["max_tokens"]
        if name == "top_logprobs":
            body["logprobs"] = "true"
        body |= {"messages": '[{"role": "user", "content": "hi"}]'} if path == CHAT else {
            "prompt": '"hi"'}
        text = ", ".join(f'"{k}": {v}' for k, v in {**body, name: value}.items())
        return self.node.post(path, "{" + text + "}", on=self.connection)

    def check_refused(self, path, name, value):
        answer = self.ask(path, name, value)
        self.assertEqual(answer.status, 400, answer.body)
        error = answer.error
        if error["code"] != "context_length_exceeded":
            self.assertIn(error["param"], (name, name.replace("_completion", "")))
        self.assertIn(name.replace("_completion", ""), error["message"])

    def check_number(self, path, name, value, allowed, form="%s"):
        """Out of range is one as well that only becomes so as a float."""
        low, high, is_whole = allowed
        with self.subTest(path, name=name, value=value, form=form):
            if 0 < abs(value) < TINY:
                self.assertIn(self.ask(path, name, form % value).status, (200, 400))
            elif low <= value <= high and not (is_whole and value % 1):
                answer = self.ask(path, name, form % value)
                self.assertEqual(answer.status, 200, answer.body)
            else:
                self.check_refused(path, name, form % value)

    def check_no_number(self, path, name, value):
        with self.subTest(path, name=name, value=value):
            self.check_refused(path, name, value)

    def check_no_json(self, path, name, value):
        with self.subTest(path, name=name, value=value):
            answer = self.ask(path, name, value)
            self.assertEqual((answer.status, answer.error["code"]), (400, "invalid_json"))

    def check_all(self, path, fields):
        for name, allowed in fields.items():
            for value in values_for(*allowed[:2], name):
                self.check_number(path, name, value, allowed)
            for value in OTHER_TYPES:
                self.check_no_number(path, name, value)
            for value in NO_NUMBERS:
                self.check_no_json(path, name, value)

    def test_of_a_chat(self):
        self.check_all(CHAT, OF_CHAT)

    def test_of_a_text(self):
        self.check_all(TEXT, OF_TEXT)

    def test_in_lists_and_maps(self):
        ids, biases = (0, 258, True), (-100, 100, False)
        for path in (CHAT, TEXT):
            for value in values_for(*biases[:2]):
                self.check_number(path, "logit_bias", value, biases, '{"65": %s}')
            for value in values_for(*ids[:2]):
                self.check_number(path, "stop_token_ids", value, ids, "[%s]")
                self.check_number(path, "logit_bias", value, ids, '{"%s": 1}')
            for value in NO_NUMBERS:
                self.check_no_json(path, "logit_bias", '{"65": %s}' % value)
                self.check_no_json(path, "stop_token_ids", f"[1, {value}]")
            for value in OTHER_TYPES:
                self.check_no_number(path, "logit_bias", '{"65": %s}' % value)
                self.check_no_number(path, "stop_token_ids", f"[1, {value}]")

    def test_of_tokens_to_be_read_back(self):
        for value in values_for(0, 258):
            with self.subTest(value=value):
                answer = self.node.post("/detokenize", {"tokens": [value]}, on=self.connection)
                is_one = 0 <= value <= 258 and value == int(value)
                self.assertEqual(answer.status, 200 if is_one else 400, answer.body)


class Json(HostileCase):
    def test_what_is_none(self):
        for body in (b"", b"{", b"}", b"[", b"nul", b'{"prompt": "hi"', b'{"prompt": "hi"}}',
                     b'{"prompt": "hi",}', b"{'prompt': 'hi'}", b'{"prompt": "\x01"}',
                     b'{"prompt": "\\ud800"}', b'{"prompt": "\\x41"}', b'{"prompt" "hi"}',
                     b'{"prompt": "hi", "prompt": "hi"}', b"\0" * 100, b'{"prompt": "hi"}\0'):
            for path in (CHAT, TEXT, "/tokenize", "/detokenize"):
                with self.subTest(path, body=body):
                    self.refuses(body, path)
        for body in (b"[]", b"1", b'"x"', b"null", b"[[]]"):
            self.refuses(body, code="invalid_value")

    def test_ten_thousand_levels(self):
        """Anywhere in a body, closed again or not."""
        for begin, end in (("[", "]"), ('{"a":', "}")):
            for deep in (begin * DEEP + "1" + end * DEEP, begin * DEEP):
                for form in ("%s", '{"messages": %s}', '{"messages": [%s]}', '{"tools": %s}',
                             '{"messages": [{"role": "user", "content": %s}]}',
                             '{"tools": [{"type": "function", "function": {"parameters": %s}}]}',
                             '{"logit_bias": %s}', '{"stop": %s}', '{"prompt": %s}',
                             '{"tool_choice": %s}', '{"metadata": %s}', '{"nobody_knows": %s}'):
                    for path in (CHAT, TEXT):
                        with self.subTest(path, form=form, deep=deep[:5]):
                            self.refuses(form % deep, path)

    def test_ten_thousand_levels_within_a_text(self):
        call = {"id": "1", "type": "function",
                "function": {"name": "f", "arguments": '{"a":' * DEEP + "1" + "}" * DEEP}}
        messages = [{"role": "assistant", "content": "", "tool_calls": [call]}]
        error = self.refuses({"messages": messages}, CHAT, code="invalid_value")
        self.assertEqual(error["param"], "messages[0].tool_calls[0].function.arguments")
        self.assertEqual(self.node.chat("[" * DEEP, max_tokens=1).status, 400)  # of its length

    def test_a_schema_as_deep_as_bodies_may_be(self):
        for depth, status in ((50, 200), (64, 400)):
            schema = {}
            for _ in range(depth):
                schema = {"a": schema}
            tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
            self.assertEqual(self.node.chat(tools=[tool], max_tokens=1).status, status)

    def test_very_many_values(self):
        many = "0," * 2**18 + "0"
        for form in ('{"stop": [%s]}', '{"prompt": [%s]}', '{"messages": [%s]}', "[%s]"):
            self.refuses(form % many)
        names = ",".join(f'"{i}": 1' for i in range(2000))
        self.refuses('{"prompt": "hi", "logit_bias": {%s}}' % names, code="invalid_value")
        self.refuses({"prompt": ["x"] * 1000}, code="invalid_value")
        self.refuses({"prompt": "x", "stop": ["x"] * 1000}, code="invalid_value")

    def test_text_that_is_not_utf_8(self):
        for wrong in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
            for body in (b'{"prompt": "%s"}', b'{"%s": 1}', b'{"model": "%s", "prompt": "hi"}'):
                with self.subTest(body % wrong):
                    self.refuses(body % wrong)
        shown = self.node.post(TEXT, b'{"prompt": "hi", "\\u0000\\ud83d\\ude00\\n": 1}')
        self.assertEqual((shown.status, shown.error["code"]), (400, "unknown_field"))
        self.assertEqual(shown.error["param"], "\0\U0001f600\n")


class Http(HostileCase):
    NODE = {"http_max_body_bytes": 65536}

    def test_a_body_that_is_too_large(self):
        fits = json.dumps({"prompt": "hi", "max_tokens": 1, "user": ""})
        fits = fits[:-2] + "x" * (65536 - len(fits)) + fits[-2:]
        self.assertEqual(self.node.post(TEXT, fits).status, 200)
        self.assertEqual(self.node.post(TEXT, fits + " ").status, 413)
        for length in (65537, 2**31, 2**63 - 1):
            self.assertEqual(self.last(self.head(f"POST {TEXT} HTTP/1.1",
                                                 f"Content-Length: {length}")), 413)
        chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        self.assertEqual(self.last(self.head(f"POST {TEXT} HTTP/1.1",
                                             "Transfer-Encoding: chunked"), *[chunk] * 100), 413)

    def test_headers_that_are_too_large(self):
        start = f"POST {TEXT} HTTP/1.1"
        for headers in (["X: " + "x" * 20000], ["X" * 20000 + ": x"], ["X: x"] * 5000,
                        ["X: " + "x" * 10_000_000]):
            self.assertEqual(self.last(self.head(start, *headers)), 431)
        for path, status in (("x" * 8000, 404), ("x" * 9000, 414), ("x" * 100_000, 414)):
            self.assertEqual(self.last(self.head(f"GET /{path} HTTP/1.1", "Connection: close")),
                             status)

    def test_heads_that_are_none(self):
        for wrong, status in ((b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400),
                              (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), (b"hello\r\n\r\n", 400),
                              (b"GET / HTTP/9.9\r\n\r\n", 505), (b"\0" * 100, 400),
                              (b"GET  / HTTP/1.1\r\n\r\n", 400), (b"\xff\xfe\r\n\r\n", 400)):
            with self.subTest(wrong):
                self.assertEqual(self.last(wrong), status)
        for header in ("no colon", ": no name", "X\0: x", "X: \0", "X : x", "X: a\rb",
                       "Content-Length: -1", "Content-Length: x", "Content-Length: 99999999999999"
                       "99999999", "Content-Length: 1\r\nContent-Length: 2", f"Host: {HOST}",
                       "Content-Length: 5\r\nTransfer-Encoding: chunked"):
            with self.subTest(header):
                self.assertEqual(self.last(self.head(f"GET {TEXT} HTTP/1.1", header)), 400)
        self.assertEqual(self.last(self.head("GET /livez HTTP/1.1", host=None)), 400)

    def test_methods_and_routes(self):
        for start, status in (("OPTIONS /v1/models", 405), ("OPTIONS *", 404),
                              ("HEAD /v1/models", 405), ("BREW /v1/models", 405),
                              ("get /v1/models", 405), ("TRACE /", 404), ("CONNECT a:1", 404),
                              ("DELETE /v1/models/tiny", 404), ("GET /v1/chat/completions", 405),
                              ("GET /v1/../metrics", 404), ("GET //v1/models", 404),
                              ("GET /v1/models/..%2f..%2fetc%2fpasswd", 404),
                              ("GET /v1/models/%00", 404), ("GET /v1/models/%ff", 404),
                              ("GET /v1/models/", 404), ("DELETE /v1/requests/x", 404),
                              (f"POST {TEXT}", 411), ("GET http://else/v1/models?x=y", 200)):
            with self.subTest(start):
                said = self.node.say(self.head(f"{start} HTTP/1.1", "Connection: close"))
                self.assertEqual(statuses_of(said), [status])
                self.assertEqual(b"\r\nallow: " in said, status == 405)
        self.assertEqual(self.node.get(CHAT).headers["Allow"], "POST")

    def test_lengths_that_are_wrong(self):
        body = b'{"prompt": "hi", "max_tokens": 1}'
        start = f"POST {TEXT} HTTP/1.1"
        short = self.node.say(self.head(start, f"Content-Length: {len(body) - 1}") + body)
        self.assertEqual(statuses_of(short), [400, 400])
        with self.node.open() as s:
            s.sendall(self.head(start, f"Content-Length: {len(body) + 1}") + body)
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(s), b"")

    def test_chunks(self):
        start = self.head(f"POST {TEXT} HTTP/1.1", "Transfer-Encoding: chunked",
                          "Connection: close")
        fine = b'1c;x=y\r\n{"prompt": "hi", "max_tokens\r\n5\r\n": 1}\r\n0\r\nX: y\r\n\r\n'
        self.assertEqual(self.last(start + fine), 200)
        self.assertEqual(self.last(*(bytes([x]) for x in start + fine)), 200)
        for wrong, status in ((b"x\r\n", 400), (b"-1\r\n", 400), (b"\r\n", 400),
                              (b"ffffffffffffffff\r\n", 413), (b"1" * 100 + b"\r\n", 400),
                              (b"2\r\n{}xyz\r\n", 400), (b"0\r\nno colon\r\n\r\n", 400),
                              (b"1;" + b"x" * 100_000 + b"\r\n", 400),
                              (b"1\r\n{\r\n" * 70_000, 413)):
            with self.subTest(wrong[:20]):
                self.assertEqual(self.last(start + wrong), status)
        gzip = self.head(f"POST {TEXT} HTTP/1.1", "Transfer-Encoding: gzip, chunked")
        self.assertEqual(self.last(gzip + fine), 501)

    def test_requests_before_the_answers(self):
        whole, bad = self.request(), self.request(b"{}")
        last = self.head("GET /livez HTTP/1.1", "Connection: close")
        said = self.node.say(whole + bad + whole + last + whole)
        self.assertEqual(statuses_of(said), [200, 400, 200, 200])
        said = self.node.say(self.head("GET /livez HTTP/1.1") * 1000 + last)
        self.assertEqual(statuses_of(said), [200] * 1001)
        said = self.node.say(whole + b"nonsense\r\n\r\n" + whole)
        self.assertEqual(statuses_of(said), [200, 400])

    def test_keys(self):
        wrong = ["", "Bearer", "Bearer ", f"Basic {self.key}", self.key, f"Bearer {self.key}x",
                 f"Bearer {self.key[:-1]}", f"Bearer {self.key} x", "Bearer " + "x" * 10_000,
                 f"Bearer {self.key.upper()}", "Bearer \xff\xfe"]
        for path in ("/v1/models", "/metrics", "/nowhere", "/v1/requests/x"):
            for key in wrong:
                with self.subTest(path, key=key):
                    got = self.node.get(path, key="", headers={"Authorization": key})
                    self.assertEqual((got.status, got.error["code"]), (401, "invalid_api_key"))
                    self.assertEqual(got.headers["WWW-Authenticate"], "Bearer")
                    self.assertNotIn(self.key.encode(), got.body)

    def test_no_page_of_elsewhere_may_read_an_answer(self):
        asks = [("OPTIONS", TEXT, None), ("OPTIONS", "/v1/models", None), ("GET", "/livez", None),
                ("GET", "/v1/models", None), ("POST", TEXT, {"prompt": "hi", "max_tokens": 1}),
                ("POST", TEXT, {"prompt": "hi", "max_tokens": 1, "stream": True}),
                ("POST", TEXT, {})]
        sent = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization"}
        for key in (None, ""):
            for method, path, body in asks:
                got = self.node.ask(method, path, body, key=key, headers=sent)
                self.assertEqual([h for h in got.headers if h.lower().startswith("access-c")], [])
                self.assertNotIn(200, [got.status] if method == "OPTIONS" else [])


class Slow(HostileCase):
    NODE = {"http_read_timeout_ms": 300, "http_write_timeout_ms": 300}

    def drip(self, start):
        """One byte after the other until the node has something to say."""
        with self.node.open() as s:
            s.sendall(start)
            for _ in range(TIMEOUT_S * 50):
                if select.select([s], [], [], 0.02)[0]:
                    return statuses_of(read_all(s))
                s.sendall(b"x")
        raise AssertionError("it waits for ever")

    def test_senders_are_told(self):
        head = self.head(f"POST {TEXT} HTTP/1.1", "Content-Length: 60000")
        for start in (head, head[:-2] + b"X: ", b"PO"):
            with self.subTest(start[:20]):
                self.assertEqual(self.drip(start), [408])
                self.assertEqual(self.last(start), 408)

    def test_connections_that_say_nothing_are_closed_and_hold_nobody_up(self):
        silent = [self.node.open() for _ in range(200)]
        self.assertEqual(self.node.get("/readyz").status, 200)
        self.assertEqual({read_all(s) for s in silent}, {b""})
        for s in silent:
            s.close()

    def test_readers_that_take_nothing_are_cut_off(self):
        body = json.dumps(chat_body("hi", {**LONG, "stream": True, "logprobs": True,
                                           "top_logprobs": 20})).encode()
        with self.node.open() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(self.head(f"POST {CHAT} HTTP/1.1", f"Content-Length: {len(body)}") + body)
            wait_until(lambda: self.node.metric("llmos_requests_total", outcome="cancelled") > 0,
                       "it is cut off")


class Gone(HostileCase):
    """Clients that leave half of everything open."""

    def stream(self):
        body = json.dumps({**VERY_LONG, "stream": True}).encode()
        s = self.node.open()
        self.addCleanup(s.close)
        s.sendall(self.head(f"POST {TEXT} HTTP/1.1", f"Content-Length: {len(body)}") + body)
        return s

    def cancelled(self):
        return self.node.metric("llmos_requests_total", outcome="cancelled")

    def test_half_a_request_and_nothing_more(self):
        whole = self.request()
        for n in range(0, len(whole), 7):
            with self.node.open() as s:
                s.sendall(whole[:n])
                s.shutdown(socket.SHUT_WR)
                self.assertEqual(read_all(s), b"")
        with self.node.open() as s:
            s.sendall(whole[:-1])
            reset_when_closed(s)
        with self.node.open() as s:
            s.sendall(whole)
            reset_when_closed(s)

    def test_in_the_middle_of_an_answer(self):
        ways = {"close": lambda s: s.close(), "half": lambda s: s.shutdown(socket.SHUT_WR),
                "reset": lambda s: (reset_when_closed(s), s.close())}
        for name, leave in ways.items():
            with self.subTest(name):
                before, s = self.cancelled(), self.stream()
                self.assertTrue(s.recv(4096))
                leave(s)
                wait_until(lambda x=before: self.cancelled() > x, "it is cancelled")

    def test_behind_more_than_is_read_before_the_answer(self):
        body = json.dumps(chat_body("hi", LONG)).encode()
        before = self.cancelled()
        with self.node.open() as s:
            s.sendall(self.head(f"POST {CHAT} HTTP/1.1", f"Content-Length: {len(body)}") + body +
                      b"x" * 100_000)
        wait_until(lambda: self.cancelled() > before, "it is cancelled")

    def test_before_the_first_word_of_one(self):
        body = json.dumps(chat_body("hi", LONG)).encode()
        for _ in range(20):
            with self.node.open() as s:
                s.sendall(self.head(f"POST {CHAT} HTTP/1.1", f"Content-Length: {len(body)}") +
                          body)
        self.node.wait_for_metric(0, "llmos_requests_waiting")

    def test_behind_an_answer_that_is_whole(self):
        with self.node.open() as s:
            s.sendall(self.request(b'{"prompt": "hi", "max_tokens": 1}', "Connection: close"))
            self.assertEqual(statuses_of(read_all(s)), [200])
            s.sendall(b"x" * 1000)


class Full(ServeCase):
    """What the configuration has no room for is refused, until there is some again."""

    def refused(self, node, body):
        answer = node.post(CHAT, chat_body("hi", body))
        self.assertEqual((answer.status, answer.error["code"]), (429, "overloaded"))
        self.assertEqual(answer.error["type"], "rate_limit_error")
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)

    def check_full(self, limits, running, asked):
        """A stream for which there is room, one too many beside it, and room again."""
        node = self.serve(*self.set(**limits))
        stream = node.stream(TEXT, running)
        next(iter(stream))
        for is_streamed in (True, False):
            self.refused(node, {**asked, "stream": is_streamed})
        stream.close()
        node.wait_until_idle()
        wait_until(lambda: node.chat(max_tokens=1).status == 200, "there is room again")
        self.assertEqual(node.stop(), 0)

    def test_the_nodes_processes(self):
        self.check_full({"kernel_max_processes": 128}, VERY_LONG, {"max_tokens": 1})

    def test_several_answers_of_one_request_count_each(self):
        self.check_full({"kernel_max_processes": 130}, VERY_LONG, {"max_tokens": 1, "n": 4})

    def test_an_engines_queue(self):
        self.check_full({"engine_max_running": 1, "engine_max_waiting": 1},
                        {**VERY_LONG, "prompt": "hi", "n": 1}, {"max_tokens": 1, "n": 16})

    def test_connections(self):
        node = self.serve(*self.set(http_max_connections=2))
        one, other = node.connect(), node.connect()
        for connection in (one, other):
            self.assertEqual(node.get("/livez", on=connection).status, 200)
        said = node.say(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(statuses_of(said), [503])
        self.assertIn(b"\r\nretry-after: 1\r\n", said)
        self.assertIn(b'"type":"server_error"', said)
        one.close()
        wait_until(lambda: node.get("/livez").status == 200, "there is room again")
        other.close()


class Https(HostileCase):
    NODE = {"http_tls": True, "http_read_timeout_ms": 1000}

    def serve(self, *arguments, **options):
        node = super().serve(*arguments, **options)
        node.tls = ssl.create_default_context(cafile=self.identity / "ca.crt")
        return node

    def test_the_certificate_is_of_the_ca_that_init_made(self):
        self.assertEqual(self.node.get("/livez").body, b"ok\n")
        with self.assertRaises(ssl.SSLCertVerificationError):
            with socket.create_connection((HOST, self.node.ports["http"])) as s:
                ssl.create_default_context().wrap_socket(s, server_hostname=HOST)
        with self.assertRaises(ssl.SSLCertVerificationError):
            with socket.create_connection((HOST, self.node.ports["http"])) as s:
                self.node.tls.wrap_socket(s, server_hostname="elsewhere.example")

    def test_old_versions_are_refused(self):
        old = ssl.create_default_context(cafile=self.identity / "ca.crt")
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):  # Python finds them old as well
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            with socket.create_connection((HOST, self.node.ports["http"])) as s:
                old.wrap_socket(s, server_hostname=HOST)

    def test_plain_words_and_half_handshakes_are_closed(self):
        hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"
        for wrong in (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", hello, b"", b"\0" * 1000):
            with self.subTest(wrong[:10]):
                self.assertNotIn(b"ok\n", self.node.say(wrong))

    def test_clients_that_leave_without_a_word(self):
        for _ in range(20):
            stream = self.node.stream_chat(**LONG)
            next(iter(stream))
            stream.close()
        self.node.wait_for_metric(0, "llmos_requests_waiting")


if __name__ == "__main__":
    script_test.main()
