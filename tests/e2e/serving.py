"""A node that serves, as a test meets it: its process, what it says, and HTTP to it."""
import http.client
import json
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time

from cli_test import TIMEOUT_S, Case

HOST = "127.0.0.1"
SAYS = {"remote": r"^services connect at \S+:(\d+)$", "http": r"^https?://\S+:(\d+)/v1$"}
CONTEXT = 4096  # of the tiny model
# As many tokens as an answer of the tiny model can have, sixteen times: seconds of work.
LONG = {"max_tokens": 4000, "n": 16, "ignore_eos": True}
# For /v1/completions, 128 times: what others meet while it runs is not a matter of luck.
VERY_LONG = {**LONG, "prompt": ["hi"] * 8}


def token(letter):
    """Its id in the tiny model, which has one for each byte."""
    return ord(letter) + 3


def only(letters):
    """A bias that leaves the model nothing but these, so that its texts can be read."""
    return {str(token(x)): 100 for x in letters}


LETTERS = {"logit_bias": only("abcdefgh"), "temperature": 2, "top_k": 0, "top_p": 1, "min_p": 0}


def wait_until(holds, what):
    """Asks until it holds. The question goes to the node and back, which sets the pace."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {TIMEOUT_S} s: {what}")


class Lines:
    """What a process writes to a pipe, read as it comes, so that it never has to wait."""

    def __init__(self, pipe):
        self.lines, self.has_ended = [], False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, args=[pipe], daemon=True)
        self.thread.start()

    def _read(self, pipe):
        with pipe:
            for line in pipe:
                with self.changed:
                    self.lines.append(line.decode(errors="replace").rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.has_ended = True
            self.changed.notify_all()

    def find(self, pattern):
        """Waits for a line with the pattern; None when the end comes first."""
        def found():
            return next(filter(None, (re.search(pattern, x) for x in self.lines)), None)
        with self.changed:
            self.changed.wait_for(lambda: self.has_ended or found(), TIMEOUT_S)
            return found()

    def whole(self):
        self.thread.join(TIMEOUT_S)
        return "\n".join(self.lines)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]

    @property
    def text(self):
        if self.status != 200:
            raise AssertionError(f"{self.status}: {self.body}")
        return text_of(self.json()["choices"][0])


def text_of(choice):
    return choice["message"]["content"] if "message" in choice else choice["text"]


class Stream:
    """An answer that comes in events, each one line of data and an empty one."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.status, self.headers = response.status, response.headers

    def __iter__(self):
        try:
            yield from self._events()
        except Exception:
            self.close()
            raise

    def _events(self):
        """As JSON. A stream ends with [DONE] and nothing behind it."""
        while line := self.response.readline():
            if not line.startswith(b"data: ") or self.response.readline() != b"\n":
                raise AssertionError(f"no event: {line!r}")
            if line == b"data: [DONE]\n":
                if rest := self.response.read():
                    raise AssertionError(f"behind the end: {rest!r}")
                return self.close()
            yield json.loads(line[6:])
        raise AssertionError("the stream ends without [DONE]")

    def close(self):
        """As a client that has gone away."""
        self.response.close()
        self.connection.close()


class Node:
    """`llmos serve`. `key` goes with each request that does not bring another one."""

    def __init__(self, process, key, ports):
        self.process, self.key, self.tls = process, key, None
        self.out, self.errors = Lines(process.stdout), Lines(process.stderr)
        self.ports = {}
        for port in ports:
            said = self.out.find(SAYS[port])
            if said is None:
                raise AssertionError(f"it does not say where it listens: {self.errors.whole()}")
            self.ports[port] = int(said[1])

    def connect(self):
        if self.tls is not None:
            return http.client.HTTPSConnection(HOST, self.ports["http"], timeout=TIMEOUT_S,
                                               context=self.tls)
        return http.client.HTTPConnection(HOST, self.ports["http"], timeout=TIMEOUT_S)

    def _send(self, connection, method, path, body, key, headers):
        sent = dict(headers or {})
        if key := self.key if key is None else key:
            sent["Authorization"] = f"Bearer {key}"
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body, sent)
        return connection.getresponse()

    def ask(self, method, path, body=None, key=None, headers=None, on=None):
        """One request and its answer, on a connection of its own or on the given one. An empty
        key is none."""
        connection = on or self.connect()
        try:
            got = self._send(connection, method, path, body, key, headers)
            return Answer(got.status, got.headers, got.read())
        finally:
            if on is None:
                connection.close()

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, body, **options):
        return self.ask("POST", path, body, **options)

    def chat(self, prompt="hi", **fields):
        return self.post("/v1/chat/completions", chat_body(prompt, fields))

    def complete(self, prompt="hi", **fields):
        return self.post("/v1/completions", {"prompt": prompt, **fields})

    def stream(self, path, body, key=None):
        connection = self.connect()
        return Stream(connection, self._send(connection, "POST", path, {**body, "stream": True},
                                             key, None))

    def stream_chat(self, prompt="hi", **fields):
        return self.stream("/v1/chat/completions", chat_body(prompt, fields))

    def stream_completion(self, prompt="hi", **fields):
        return self.stream("/v1/completions", {"prompt": prompt, **fields})

    def open(self):
        return socket.create_connection((HOST, self.ports["http"]), timeout=TIMEOUT_S)

    def say(self, *parts):
        """Bytes as they are, each part once the one before is out, and all that comes back until
        the node closes."""
        with self.open() as s:
            try:
                for part in parts:
                    s.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has heard enough; what it said can still be read
            return read_all(s)

    def metrics(self, key=None):
        """{'name{label="value"}': value}"""
        answer = self.get("/metrics", key=key)
        if answer.status != 200:
            raise AssertionError(answer.body)
        lines = answer.body.decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def metric(self, name, **labels):
        """The sum over all series with these labels."""
        wanted = [f'{k}="{v}"' for k, v in labels.items()]
        return sum(value for series, value in self.metrics().items()
                   if series.split("{")[0] == name and all(x in series for x in wanted))

    def wait_for_metric(self, value, name, **labels):
        wait_until(lambda: self.metric(name, **labels) == value, f"{name} {labels} = {value}")

    def wait_until_idle(self):
        """No sequence holds a block or waits for some."""
        wait_until(lambda: self.metric("llmos_requests_running") == 0 and
                   self.metric("llmos_requests_waiting") == 0 and
                   self.metric("llmos_kv_blocks", state="used") == 0, "nothing runs")

    def num_descriptors(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def is_alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        status = self.process.wait(TIMEOUT_S)
        self.errors.whole()
        return status

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()


def chat_body(prompt, fields):
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    return {"messages": messages, **fields}


def reset_when_closed(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_all(s):
    out = b""
    try:
        while got := s.recv(65536):
            out += got
    except ConnectionResetError:
        pass
    return out


def statuses_of(said):
    """Of the answers in what a node said. No body here contains the word."""
    return [int(x) for x in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


class ServeCase(Case):
    """A folder with an identity and a key in it, and nodes that end with the test."""

    def setUp(self):
        super().setUp()
        made = self.ok("init").text.splitlines()
        self.key = made[-1]
        self.identity = pathlib.Path(made[0]).parent

    def serve(self, *arguments, ports=("remote", "http")):
        """A node that listens on any ports that are free."""
        process = self.start("--set", "http.port=0", "--set", "remote.port=0", "serve", *arguments,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end, process)
        return Node(process, self.key, ports)

    def set(self, **values):
        """--set for each: http_tls=True is http.tls=true."""
        out = []
        for name, value in values.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            out += ["--set", f"{name.replace('_', '.', 1)}={text}"]
        return out

    @staticmethod
    def end(process):
        process.kill()
        process.wait(TIMEOUT_S)
