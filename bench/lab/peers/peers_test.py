"""peers_test.py - our small proxies carry what they are given: every octet both ways, closes in order, many at once.

Usage   peers_test.py BUILD-FOLDER     as root (sockmap loads a BPF program); everything on loopback in a namespace psk-peers-<pid>
"""
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "e2e"))
from lab import Namespace, wait_for  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop()) if len(sys.argv) > 1 and os.path.isdir(sys.argv[-1]) else pathlib.Path("build/release/bench/lab/peers")
PROXY, SERVER, ECHO = 7100, 7200, 7201
OCTETS = 3 << 20


class Server(threading.Thread):
    """Reads until the end, then answers with the digest and as many octets of its own, and closes."""

    def __init__(self, space):
        super().__init__(daemon=True)
        self.listener = space.socket()
        self.listener.bind(("127.0.0.1", SERVER))
        self.listener.listen(128)
        self.answer = os.urandom(OCTETS)

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            digest = hashlib.sha256()
            while data := connection.recv(1 << 16):
                digest.update(data)
            connection.sendall(digest.digest() + self.answer)


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root")
        cls.space = Namespace(f"psk-peers-{os.getpid()}")
        cls.addClassCleanup(cls.space.delete)
        cls.server = Server(cls.space)
        cls.server.start()

    @contextlib.contextmanager
    def proxy(self, *words, to=SERVER):
        program = BUILD / words[0]
        # A ring lets go of its sockets a little after its process ended.
        wait_for(lambda: not self.space.run("ss", "-Hltn", f"sport = :{PROXY}").stdout, 5, "the port is free")
        child = subprocess.Popen(self.space.command(program, *words[1:], f"{PROXY}=127.0.0.1:{to}"))
        try:
            wait_for(lambda: child.poll() is None and self.space.run("ss", "-Hltn", f"sport = :{PROXY}").stdout, 5, "it listens")
            yield child
            self.assertIsNone(child.poll())
        finally:
            child.terminate()
            self.assertEqual(child.wait(5), 0)

    def exchange(self, octets):
        sent = os.urandom(octets)
        connection = self.space.socket()
        connection.settimeout(20)
        connection.connect(("127.0.0.1", PROXY))
        with connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            got = bytearray()
            while data := connection.recv(1 << 16):
                got += data
        self.assertEqual(bytes(got[:32]), hashlib.sha256(sent).digest())
        self.assertEqual(bytes(got[32:]), self.server.answer)

    def carries(self, *words):
        with self.proxy(*words):
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                for done in [pool.submit(self.exchange, octets) for octets in (1, 1000, 100000, OCTETS) * 4]:
                    done.result()

    def test_epoll_proxy_carries(self):
        self.carries("epoll_proxy")

    def test_uring_proxy_carries(self):
        self.carries("uring_proxy")

    def test_uring_proxy_with_a_polling_kernel_thread_carries(self):
        self.carries("uring_proxy", "--sqpoll")

    def test_sockmap_proxy_carries_over_kept_connections(self):
        echo = subprocess.Popen(self.space.command(BUILD / "conns", "serve", ECHO))
        try:
            wait_for(lambda: self.space.run("ss", "-Hltn", f"sport = :{ECHO}").stdout, 5, "the echo server listens")
            with self.proxy("sockmap_proxy", to=ECHO), concurrent.futures.ThreadPoolExecutor(8) as pool:
                for done in [pool.submit(self.converse, octets) for octets in (1, 100, 4000) * 8]:
                    done.result()
            held = self.space.run(BUILD / "conns", "hold", "127.0.0.1", ECHO, 20, "--interval", 20, check=False, timeout=15)
            self.assertEqual(held.returncode, 1)  # an echo is no answer to a heartbeat
            self.assertNotIn("open", held.stdout)
        finally:
            echo.terminate()
            self.assertEqual(echo.wait(5), 0)

    def test_bolt_calls_and_heartbeats_are_answered_through_proxies(self):
        server = subprocess.Popen(self.space.command(BUILD / "conns", "serve", ECHO, "--bolt"))
        try:
            wait_for(lambda: self.space.run("ss", "-Hltn", f"sport = :{ECHO}").stdout, 5, "the Bolt server listens")
            for program in ("epoll_proxy", "sockmap_proxy"):
                with self.subTest(program=program), self.proxy(program, to=ECHO):
                    self.answered("call", "127.0.0.1", PROXY, 20, 0.3, "--octets", 3000)
                    self.answered("hold", "127.0.0.1", PROXY, 20, "--interval", 20)
        finally:
            server.terminate()
            self.assertEqual(server.wait(5), 0)

    def answered(self, *words):
        child = subprocess.Popen(self.space.command(BUILD / "conns", *words), stdout=subprocess.PIPE, text=True)
        if words[0] == "hold":
            time.sleep(0.3)
            child.terminate()
        done = json.loads(child.communicate(timeout=10)[0].splitlines()[-1])
        self.assertEqual((done["alive"], done["wrong"]), (20, 0))
        self.assertGreater(done["answered"], 100)
        self.assertLessEqual(done["sent"] - done["answered"], 20)

    def converse(self, octets):
        connection = self.space.socket()
        connection.settimeout(10)
        connection.connect(("127.0.0.1", PROXY))
        with connection:
            for _turn in range(20):
                sent = os.urandom(octets)
                connection.sendall(sent)
                got = bytearray()
                while len(got) < octets:
                    data = connection.recv(octets)
                    self.assertTrue(data)
                    got += data
                self.assertEqual(bytes(got), sent)

    def test_a_refused_server_ends_the_client(self):
        for program in ("epoll_proxy", "uring_proxy", "sockmap_proxy"):
            with self.subTest(program=program), self.proxy(program, to=1):
                connection = self.space.socket()
                connection.settimeout(5)
                connection.connect(("127.0.0.1", PROXY))
                with connection:
                    try:
                        self.assertEqual(connection.recv(1), b"")
                    except ConnectionResetError:
                        pass  # also an end; a time-out is not



class HttpEnds(unittest.TestCase):
    """The XDP ends speak HTTP over TCP as kernels and servers do."""

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root")
        cls.near, cls.far = (Namespace(f"psk-ends{n}-{os.getpid()}") for n in (1, 2))
        cls.addClassCleanup(cls.near.delete)
        cls.addClassCleanup(cls.far.delete)
        cls.near.ip(f"link add eth0 type veth peer name eth0 netns {cls.far.name}", "addr add 10.77.0.1/24 dev eth0", "link set eth0 up")
        cls.far.ip("addr add 10.77.0.2/24 dev eth0", "link set eth0 up")
        cls.near.run("ethtool", "-K", "eth0", "gro", "on")  # it takes what an XDP program sends

    @contextlib.contextmanager
    def end_of(self, space, *words):
        child = subprocess.Popen(space.command(BUILD / "http_ends", *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        try:
            yield child
        finally:
            child.terminate()
            child.communicate(timeout=5)

    def test_a_client_of_the_kernel_gets_answers(self):
        with self.end_of(self.far, "serve", "eth0", 8000, "--body", 100) as child:
            self.assertEqual(child.stdout.readline(), "ready\n")
            done = self.near.run("curl", "-sS", "--max-time", 5, "-D", "-", "http://10.77.0.2:8000/", "http://10.77.0.2:8000/again").stdout
        self.assertEqual(done.count("HTTP/1.1 200 OK"), 2)
        self.assertEqual(done.count("x" * 100), 2)

    def serve(self, status):
        """A server of the kernel that answers every request so."""
        code = (f"import http.server as h\nclass H(h.BaseHTTPRequestHandler):\n protocol_version = 'HTTP/1.1'; wbufsize = -1\n"
                f" def do_GET(self):\n  self.send_response({status}); self.send_header('Content-Length', '3'); self.end_headers(); self.wfile.write(b'yes')\n"
                f" def log_message(self, *_): pass\nh.ThreadingHTTPServer(('10.77.0.1', 8001), H).serve_forever()")
        child = subprocess.Popen(self.near.command(sys.executable, "-c", code), stderr=subprocess.DEVNULL)
        wait_for(lambda: self.near.run("ss", "-Hltn", "sport = :8001").stdout, 5, "the server listens")
        return child

    def ask(self):
        mac = json.loads(self.near.run("ip", "-j", "link", "show", "dev", "eth0").stdout)[0]["address"]
        return self.end_of(self.far, "ask", "eth0", mac, "10.77.0.2", "10.77.0.1", 8001, "--connections", 4)

    def test_a_server_of_the_kernel_is_asked_again_and_again(self):
        server = self.serve(200)
        try:
            with self.ask() as child:
                self.assertEqual(child.stdout.readline(), "ready\n")
                time.sleep(0.3)
                child.stdin.write("?")
                child.stdin.flush()
                seen = json.loads(child.stdout.readline())
            self.assertGreater(seen["slowest"], 5)
            self.assertEqual((seen["odd"], seen["resets"]), (0, 0))
        finally:
            server.terminate()
            server.wait(5)

    def test_other_answers_than_200_are_none(self):
        server = self.serve(500)
        try:
            with self.ask() as child:
                self.assertEqual(child.wait(10), 1)
                self.assertIn("4 of 4 connections have no answer", child.stderr.read())
        finally:
            server.terminate()
            server.wait(5)


class Pace(unittest.TestCase):
    def test_every_core_named_is_timed_again_and_again(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "pace")
            child = subprocess.Popen([BUILD / "pace", file, "0"], stdout=subprocess.PIPE)
            try:
                self.assertEqual(child.stdout.readline(), b"ready\n")
                wait_for(lambda: struct.unpack("=QQ", file.read_bytes())[0] >= 20, 10, "20 pieces of work")
                pieces, nanoseconds = struct.unpack("=QQ", file.read_bytes())
            finally:
                child.terminate()
                child.communicate()
        self.assertTrue(1_000 < nanoseconds / pieces < 1_000_000, f"{nanoseconds / pieces} ns each")

    def test_words_that_are_no_cores_are_refused(self):
        for words in ((), ("file",), ("file", "one"), ("file", "0", "1x")):
            self.assertEqual(subprocess.run([BUILD / "pace", *words], stderr=subprocess.DEVNULL, check=False).returncode, 2)


if __name__ == "__main__":
    unittest.main()
