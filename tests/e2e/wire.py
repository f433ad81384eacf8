"""A client of a node's CAF port without any rules: the bytes of CAF's wire protocol over TLS, put
together by hand."""
import os
import socket
import ssl
import struct

from cli_test import TIMEOUT_S

SERVER_HANDSHAKE, CLIENT_HANDSHAKE, DIRECT_MESSAGE, HEARTBEAT = 0, 1, 2, 6
NORMAL, RESPONSE = 0x1000000000000000, 0x8000000000000000
SELECTS = 2
HEADER = struct.Struct(">BHBIQQQ")  # operation, padding, flags, payload bytes, data, from, to
NODE_BYTES = 8 + 4 + 20


def atom(name):
    """As CAF 0.17 writes a name of ten characters at most: six bits for each."""
    table = " 0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    out = 0xF
    for c in name:
        out = out << 6 | table.index(c)
    return struct.pack(">Q", out)


def size(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def text(x):
    return size(len(x)) + x.encode()


def frame(operation, payload=b"", flags=0, data=0, source=0, to=0):
    return HEADER.pack(operation, 0, flags, len(payload), data, source, to) + payload


def message(kind, values, source, to, number=0):
    """`kind`: the atom and the wire type, "hello:hello"; `number`: of a question."""
    name, _, wire_type = kind.partition(":")
    types = "@<>+@atom+llmos::wire::" + wire_type
    return frame(DIRECT_MESSAGE, b"\0\0\0" + text(types) + atom(name) + values, data=NORMAL | number,
                 source=source, to=to)


def node_id(number):
    return atom("default") + struct.pack(">I", number) + b"\x5a" * 20


class Peer:
    """One connection. Without files it shows no certificate; without TLS it speaks none."""

    def __init__(self, host, port, identity=None, client=None, tls=True):
        self.received = b""
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        if not tls:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if client is not None:
            context.load_cert_chain(os.path.join(identity, f"client-{client}.crt"),
                                    os.path.join(identity, f"client-{client}.key"))
        self.socket = context.wrap_socket(self.socket)

    def send(self, data):
        """False when the other side has ended the connection."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def close(self):
        self.socket.close()

    def _take(self, n):
        while len(self.received) < n:
            got = self.socket.recv(65536)
            if not got:
                raise ConnectionError("the node ended the connection")
            self.received += got
        out, self.received = self.received[:n], self.received[n:]
        return out

    def frame(self):
        """The next one that is no heartbeat: its header's fields and its payload."""
        while True:
            fields = HEADER.unpack(self._take(HEADER.size))
            payload = self._take(fields[3])
            if fields[0] != HEARTBEAT:
                return fields, payload

    def greet(self, number):
        """As CAF's client does; the gate's actor id, which the node's handshake tells."""
        fields, payload = self.frame()
        assert fields[0] == SERVER_HANDSHAKE, fields
        self.node = payload[:NODE_BYTES]
        rest = payload[NODE_BYTES:]
        count, rest = rest[0], rest[1:]
        for _ in range(count):  # names of applications, all short
            rest = rest[1 + rest[0]:]
        self.gate, = struct.unpack(">Q", rest[:8])
        mine = node_id(number)
        self.send(frame(CLIENT_HANDSHAKE, mine) + frame(CLIENT_HANDSHAKE, mine, flags=SELECTS))
        return self.gate

    def ask(self, kind, values, number):
        """One question and the payload of its answer. Everything else that comes is passed over."""
        if not self.send(message(kind, values, 9, self.gate, number)):
            raise ConnectionError("the node ended the connection")
        while True:
            fields, payload = self.frame()
            if fields[0] == DIRECT_MESSAGE and fields[4] & RESPONSE and fields[4] & 0xffff == number:
                return payload

    def wait_for_end(self):
        """Until the node ends it."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            raise
        except OSError:
            pass  # a reset is an end

    def finish(self):
        """Says that no more comes, and waits until the node has taken all and ended it."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # it has ended already
        self.wait_for_end()
        self.close()


def hello():
    return struct.pack(">HH", 1, 0) + text("a test") + size(0)
