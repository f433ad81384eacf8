#!/usr/bin/env python3
"""A node's CAF port, as those meet it who keep no rules: a crowd, and frames that mean harm.

Usage: remote_test.py LLMOS MAKE_TINY_MODEL EXAMPLE_MODULE
"""
import pathlib
import random
import re
import resource
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
import script_test  # noqa: E402
import wire  # noqa: E402
from serving import HOST, ServeCase, wait_until  # noqa: E402

MIB = 1 << 20
# More than a test of a crowd needs: its members are not heard from while the others come.
PATIENT = {"remote_silence_ms": 600000, "remote_handshake_ms": 600000}


class RemoteCase(ServeCase):
    def setUp(self):
        super().setUp()
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, most), most))

    def peer(self, node, client="client", tls=True):
        peer = wire.Peer(HOST, node.ports["remote"], self.identity, client, tls)
        self.addCleanup(peer.close)
        return peer

    def still_serves(self, node):
        """Whoever keeps the rules."""
        where = f"{HOST}:{node.ports['remote']}"
        self.assertNotEqual(self.ok("--connect", where, "run", "--raw", "-n", 4, "hi").stdout, b"")
        self.assertEqual(node.chat(max_tokens=2).status, 200)

    def warmed_up(self, node):
        """What later costs are measured against: descriptors and bytes."""
        self.still_serves(node)
        before = node.num_descriptors()
        return before, resident_bytes(node)

    def is_as_before(self, node, before, more_bytes):
        self.still_serves(node)
        wait_until(lambda: node.num_descriptors() <= before[0], "their descriptors are closed")
        self.assertLess(resident_bytes(node) - before[1], more_bytes)


def resident_bytes(node):
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10


class Shell(RemoteCase):
    def test_it_shows_the_metrics_of_its_node(self):
        node = self.serve()
        self.still_serves(node)
        where = f"{HOST}:{node.ports['remote']}"
        shell = self.ok("--connect", where, "shell", stdin=b"/stats\n")
        counted = int(node.metric("llmos_requests_total", model="tiny", outcome="length"))
        self.assertRegex(shell.text,
                         rf'llmos_requests_total{{model="tiny", outcome="length"}} +{counted}\n')
        self.assertIn("llmos_request_seconds", shell.text)


class Crowd(RemoteCase):
    def test_a_thousand_clients_are_each_greeted_and_leave_nothing(self):
        node = self.serve(*self.set(**PATIENT))
        before = self.warmed_up(node)
        crowd = []
        for i in range(1000):
            crowd.append(self.peer(node))
            crowd[-1].greet(i + 1)
        for i, peer in enumerate(crowd):
            self.assertIn(b"client", peer.ask("hello:hello", wire.hello(), i + 1))
        self.assertGreater(node.num_descriptors(), 1000)
        self.still_serves(node)
        for peer in crowd:
            peer.close()
        self.is_as_before(node, before, 128 * MIB)

    def test_one_more_than_may_come_is_turned_away_and_has_a_place_when_one_leaves(self):
        node = self.serve(*self.set(remote_max_connections=2, **PATIENT))
        one, two, three = (self.peer(node) for _ in range(3))
        one.greet(1)
        one.ask("hello:hello", wire.hello(), 1)
        two.greet(2)
        two.ask("hello:hello", wire.hello(), 1)
        three.greet(3)
        three.wait_for_end()
        two.close()

        def has_room():
            peer = self.peer(node)
            peer.greet(4)
            try:
                return peer.ask("hello:hello", wire.hello(), 1)
            except (ConnectionError, OSError):
                return False
        wait_until(has_room, "there is a place")

    def test_one_that_gives_no_sign_of_life_is_let_go(self):
        node = self.serve(*self.set(remote_heartbeat_ms=20, remote_silence_ms=200))
        peer = self.peer(node)
        peer.greet(1)
        peer.wait_for_end()
        self.still_serves(node)

    def test_strangers_do_not_hold_clients_off(self):
        node = self.serve(*self.set(remote_max_connections=2, **PATIENT))
        strangers = [self.peer(node, tls=False) for _ in range(600)]
        self.still_serves(node)
        strangers[0].wait_for_end()  # who came first made room
        self.assertLess(node.num_descriptors(), 600)


class Harm(RemoteCase):
    def frames(self, rng, gate):
        """Frames that are let through, or dropped, and mean nothing good."""
        junk = rng.randbytes(rng.randrange(200))
        ticket = wire.text("t" * rng.randrange(100))
        for kind, values in (
                ("hello:hello", wire.hello()), ("hello:hello", junk),
                ("submit:request", junk), ("ack:ack", ticket + rng.randbytes(8)),
                ("cancel:cancel", ticket), ("cancel:kill", rng.randbytes(8)),
                ("load:model_name", wire.text("../../etc/passwd")),
                ("load:hello", wire.hello()), ("encode:text_of", junk),
                ("decode:tokens_of", wire.text("") + wire.size(2) + rng.randbytes(8)),
                ("stats:query", wire.text("metrics"))):
            yield wire.message(kind, values, rng.randrange(1, 50), gate, rng.randrange(1 << 16))
        yield wire.frame(wire.HEARTBEAT)
        yield wire.message("hello:hello", junk, 1, rng.randrange(1, 1 << 40))

    def broken(self, rng, gate):
        """A good frame with some bytes turned, or no frame at all."""
        bytes_ = bytearray(wire.message("hello:hello", wire.hello(), 1, gate))
        for _ in range(rng.randrange(1, 6)):
            bytes_[rng.randrange(len(bytes_))] ^= rng.randrange(1, 256)
        return rng.choice([bytes(bytes_), rng.randbytes(rng.randrange(32, 300)),
                           wire.frame(rng.randrange(256), b"x" * rng.randrange(100)),
                           struct.pack(">BHBIQQQ", 2, 0, 0, 0xffffffff, 0, 1, gate)])

    def harm(self, node, peer, rng, rounds):
        """How many frames were sent."""
        gate = peer.greet(rng.randrange(1, 1 << 31))
        out = [x for _ in range(rounds) for x in self.frames(rng, gate)]
        rng.shuffle(out)
        out.append(self.broken(rng, gate))
        peer.send(b"".join(out))
        peer.finish()
        return len(out)

    def test_a_hundred_thousand_frames_of_one_with_a_certificate(self):
        node = self.serve()
        before = self.warmed_up(node)
        rng, sent = random.Random(7), 0
        while sent < 100000:
            sent += self.harm(node, self.peer(node), rng, 10)
        self.assertTrue(node.is_alive())
        self.is_as_before(node, before, 32 * MIB)

    def test_a_hundred_thousand_frames_of_those_without_one(self):
        node = self.serve()
        before = self.warmed_up(node)
        rng, sent = random.Random(8), 0
        while sent < 100000:
            with_tls = rng.random() < 0.5
            try:
                peer = self.peer(node, client=None, tls=with_tls)
            except OSError:  # refused while it shook hands
                self.assertTrue(node.is_alive())
                continue
            out = [x for _ in range(10) for x in self.frames(rng, rng.randrange(1, 99))]
            peer.send(wire.frame(wire.CLIENT_HANDSHAKE, wire.node_id(1)) + b"".join(out))
            peer.finish()
            sent += len(out)
        self.assertTrue(node.is_alive())
        self.is_as_before(node, before, 32 * MIB)


if __name__ == "__main__":
    script_test.main()
