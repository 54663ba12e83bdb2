"""traffic.py - load and what became of it: single requests, a stream of new connections, long-lived connections.

Sockets are created inside a namespace and used from threads of this process, one thread per generator.
"""
import collections
import contextlib
import errno
import hashlib
import http.client
import re
import selectors
import socket
import threading
import time

from lab import run


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connect(space, address, port, timeout=5):
    connection = space.socket(family_of(address), socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect((address, port))
    except BaseException:
        connection.close()
        raise
    return connection


def http_get(space, address, port, path="/", timeout=10):
    """(status, headers, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    connection.sock = connect(space, address, port, timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def server_name(space, address, port, timeout=10):
    """(server, client address that it saw): what our nginx answers to GET /."""
    status, _headers, body = http_get(space, address, port, "/", timeout)
    if status != 200:
        raise RuntimeError(f"status {status}")
    name, seen = body.decode().split()
    return name, seen


def body_digest(space, address, port, name, timeout=20):
    status, _headers, body = http_get(space, address, port, f"/body/{name}", timeout)
    if status != 200:
        raise RuntimeError(f"status {status}")
    return len(body), hashlib.sha256(body).hexdigest()


def udp_ask(space, address, port, payload, timeout=2, tries=1):
    """The answer to one datagram on a socket of its own."""
    with contextlib.closing(space.socket(family_of(address), socket.SOCK_DGRAM)) as client:
        client.settimeout(timeout)
        client.connect((address, port))
        for attempt in range(tries):
            client.send(payload)
            try:
                return client.recv(65536)
            except TimeoutError:
                if attempt + 1 == tries:
                    raise
    return None


def echo_name(space, address, port, timeout=5):
    """Name of the echo server that a new connection reached."""
    with contextlib.closing(connect(space, address, port, timeout)) as connection:
        return connection.makefile("rb").readline().decode().strip()


def echo_bulk(space, address, port, octets, timeout=15):
    """Sends `octets` through a TCP echo server and compares what comes back; Gbit/s one way."""
    block = bytes(range(256)) * 256
    connection = connect(space, address, port, timeout)
    with contextlib.closing(connection):
        reader = connection.makefile("rb")
        reader.readline()
        digest_out, digest_in = hashlib.sha256(), hashlib.sha256()
        start = time.monotonic()

        def send():
            left = octets
            while left:
                part = block[:min(left, len(block))]
                connection.sendall(part)
                digest_out.update(part)
                left -= len(part)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        received = 0
        while received < octets:
            part = reader.read(min(65536, octets - received))
            if not part:
                raise RuntimeError(f"connection closed after {received} of {octets} octets")
            digest_in.update(part)
            received += len(part)
        sender.join(timeout)
        if digest_in.digest() != digest_out.digest():
            raise RuntimeError("octets came back changed")
        return octets * 8 / (time.monotonic() - start) / 1e9


Attempt = collections.namedtuple("Attempt", "start end outcome server")


class Generator:
    """A thread with a selector and a clean end."""

    def __init__(self):
        self.stopping = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._main, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def _main(self):
        try:
            self.loop()
        except Exception as error:  # reported by stop(), in the caller's thread
            self.error = error

    def stop(self):
        self.stopping.set()
        self.thread.join(30)
        if self.error is not None:
            raise self.error
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(30)


class Prober(Generator):
    """A new connection with one HTTP request every `interval`, whatever became of the ones before."""

    def __init__(self, space, address, port, interval=0.01, timeout=3.0):
        super().__init__()
        self.space, self.address, self.port = space, address, port
        self.interval, self.timeout = interval, timeout
        self.attempts = []
        self.selector = selectors.DefaultSelector()
        self.open = {}
        self.request = f"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode()

    def loop(self):
        with self.space.entered():
            due = time.monotonic()
            while not self.stopping.is_set() or self.open:
                now = time.monotonic()
                if now >= due and not self.stopping.is_set():
                    self._begin(now)
                    due = max(due + self.interval, now - 0.05)
                for key, _events in self.selector.select(max(0.0005, min(due - now, 0.02))):
                    self._advance(key.fileobj)
                self._expire(time.monotonic())

    def _begin(self, now):
        connection = socket.socket(family_of(self.address), socket.SOCK_STREAM)
        connection.setblocking(False)
        code = connection.connect_ex((self.address, self.port))
        if code not in (0, errno.EINPROGRESS):
            connection.close()
            self.attempts.append(Attempt(now, now, errno.errorcode.get(code, str(code)), ""))
            return
        self.open[connection] = [now, b""]
        self.selector.register(connection, selectors.EVENT_WRITE)

    def _advance(self, connection):
        state = self.open[connection]
        try:
            if self.selector.get_key(connection).events == selectors.EVENT_WRITE:
                code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, "connect")
                connection.send(self.request)
                self.selector.modify(connection, selectors.EVENT_READ)
                return
            data = connection.recv(65536)
            state[1] += data
            if not data:
                head, _, body = state[1].partition(b"\r\n\r\n")
                good = head.startswith(b"HTTP/1.1 200") and body
                self._finish(connection, "ok" if good else "cut short", body.decode().split()[0] if good else "")
        except OSError as error:
            self._finish(connection, errno.errorcode.get(error.errno, str(error)), "")

    def _expire(self, now):
        for connection in [c for c, state in self.open.items() if now - state[0] > self.timeout]:
            self._finish(connection, "timeout", "")

    def _finish(self, connection, outcome, server):
        start, _data = self.open.pop(connection)
        self.selector.unregister(connection)
        connection.close()
        self.attempts.append(Attempt(start, time.monotonic(), outcome, server))

    # What became of it

    def failed(self):
        return [attempt for attempt in self.attempts if attempt.outcome != "ok"]

    def slow(self, seconds):
        return [a for a in self.attempts if a.outcome == "ok" and a.end - a.start > seconds]

    def first_success_after(self, moment):
        """Seconds from `moment` to the end of the first success that was begun after it."""
        ends = [a.end for a in self.attempts if a.outcome == "ok" and a.start >= moment]
        return min(ends) - moment if ends else float("inf")

    def gap_around(self, moment, window=3.0):
        """Longest time without a finished success in the window that begins at `moment`."""
        ends = sorted(a.end for a in self.attempts if a.outcome == "ok" and moment - 1 <= a.end <= moment + window)
        ends = [e for e in ends if e < moment][-1:] + [e for e in ends if e >= moment]
        return max((b - a for a, b in zip(ends, ends[1:])), default=float("inf"))

    def spread(self):
        return collections.Counter(a.server for a in self.attempts if a.outcome == "ok")


class EchoStreams(Generator):
    """Long-lived connections to an echo server; every message carries a sequence number that must come back."""

    def __init__(self, space, address, port, count, interval=0.05):
        super().__init__()
        self.interval = interval
        self.selector = selectors.DefaultSelector()
        self.streams = []
        for index in range(count):
            connection = connect(space, address, port)
            name = b""
            while not name.endswith(b"\n"):
                name += connection.recv(1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            stream = {"socket": connection, "server": name.decode().strip(), "sent": 0, "got": 0, "rest": b"",
                      "due": time.monotonic() + interval * index / count, "asked": 0.0, "worst": 0.0, "error": None}
            self.streams.append(stream)
            self.selector.register(connection, selectors.EVENT_READ, stream)

    def loop(self):
        try:
            while not self.stopping.is_set():
                now = time.monotonic()
                for stream in self.streams:
                    if stream["error"] is None and stream["sent"] == stream["got"] and now >= stream["due"]:
                        self._send(stream, now)
                for key, _events in self.selector.select(0.005):
                    self._receive(key.data)
        finally:
            for stream in self.streams:
                stream["socket"].close()

    def _send(self, stream, now):
        stream["asked"], stream["due"] = now, now + self.interval
        stream["sent"] += 1
        try:
            stream["socket"].send(b"%016d\n" % stream["sent"])
        except OSError as error:
            self._fail(stream, error)

    def _receive(self, stream):
        try:
            data = stream["socket"].recv(65536)
            if not data:
                raise ConnectionError("closed by the peer")
        except OSError as error:
            self._fail(stream, error)
            return
        stream["rest"] += data
        while len(stream["rest"]) >= 17:
            message, stream["rest"] = stream["rest"][:17], stream["rest"][17:]
            stream["got"] += 1
            stream["worst"] = max(stream["worst"], time.monotonic() - stream["asked"])
            if message != b"%016d\n" % stream["got"]:
                self._fail(stream, RuntimeError(f"expected {stream['got']}, got {message!r}"))

    def _fail(self, stream, error):
        if stream["error"] is None:
            stream["error"] = f"{type(error).__name__}: {error}"
            with contextlib.suppress(KeyError):
                self.selector.unregister(stream["socket"])

    def broken(self):
        return [(s["server"], s["sent"], s["error"]) for s in self.streams if s["error"]]

    def messages(self):
        return sum(stream["got"] for stream in self.streams)

    def worst(self):
        """Longest wait for one message, seconds; an open question counts too."""
        now = time.monotonic()
        return max(max(s["worst"], now - s["asked"] if s["sent"] > s["got"] else 0) for s in self.streams)


def wrk(space, url, seconds, connections=32, threads=1, close=False):
    """Requests per second, errors and latencies of one wrk run."""
    command = ["wrk", "-d", f"{seconds}s", "-c", str(connections), "-t", str(threads), "--latency"]
    if close:
        command += ["-H", "Connection: close"]
    text = space.run(*command, url, timeout=seconds + 30).stdout
    rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
    total = re.search(r"(\d+) requests in", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    p50, p99 = (re.search(rf"\s{p}%\s+([\d.]+\w+)", text) for p in (50, 99))
    return {"rate": float(rate.group(1)), "requests": int(total.group(1)),
            "errors": (sum(map(int, errors.groups())) if errors else 0) + (int(bad.group(1)) if bad else 0),
            "p50": p50.group(1), "p99": p99.group(1)}


def dig(space, address, port, name="whoami.test", kind="TXT"):
    done = run(*space.command("dig", f"@{address}", "-p", str(port), "+short", "+tries=1", "+time=2", name, kind),
               check=False, timeout=10)
    return done.stdout.strip().strip('"')
