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
import subprocess
import sys
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


if __name__ == "__main__":
    unittest.main()
