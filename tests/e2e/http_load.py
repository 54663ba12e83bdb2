"""http_load.py - HTTP clients whose every request is accounted for: many keep-alive connections, one request each at a time.

Model     HttpLoad opens `count` connections and sends one request after the other on each, without end or so many
          rounds. One that breaks is lost with the request that was on it, and is opened anew. Attempts keep when, what
          became of it ("ok", a status, or how the connection ended) and the first word of the body (the server's name).
          After the last round `rounds_done` is set, and connections stay open until `may_close` is, where `keep` is asked for.
Pace      `at_once` bounds the requests under way, so that opening thousands of connections is no flood.
"""
import collections
import errno
import re
import selectors
import socket
import threading
import time

from traffic import Attempt, Generator, family_of

HEAD = re.compile(rb"HTTP/1\.1 (\d{3})[^\r]*\r\n(?:.*?\r\n)?content-length: *(\d+)\r\n.*?\r\n\r\n|HTTP/1\.1 (\d{3}).*?\r\n\r\n",
                  re.S | re.I)

KEEP_SECONDS = 30


class HttpLoad(Generator):
    def __init__(self, space, address, port, path, count, rounds=None, at_once=1 << 30, sources=None, timeout=8.0, keep=False):
        super().__init__()
        self.space, self.place, self.count, self.rounds = space, (address, port), count, rounds
        self.at_once, self.sources, self.timeout = at_once, sources, timeout
        self.request = f"GET {path} HTTP/1.1\r\nHost: main.test\r\n\r\n".encode()
        self.attempts, self.connections = [], []
        self.selector = selectors.EpollSelector()
        self.ready = collections.deque()   # connections (or None: to be opened) that may send
        self.under_way = {}
        self.opened = 0
        self.rounds_done, self.may_close = threading.Event(), threading.Event()
        if not keep:
            self.may_close.set()

    def loop(self):
        with self.space.entered():
            for _ in range(self.rounds or 1):
                self.ready.extend(self.connections or [None] * self.count)
                self._drive(until_quiet=self.rounds is not None)
                self.ready.clear()
        self.rounds_done.set()
        self.may_close.wait(KEEP_SECONDS)
        for connection in self.connections:
            connection.close()

    def _drive(self, until_quiet):
        checked = time.monotonic()
        while self.under_way or (self.ready and not self.stopping.is_set()):
            while self.ready and len(self.under_way) < self.at_once and not self.stopping.is_set():
                self._begin(self.ready.popleft())
            for key, _events in self.selector.select(0.02):
                done = self._advance(key.fileobj)
                if done is not None and not until_quiet:
                    self.ready.append(done if done.fileno() >= 0 else None)
            now = time.monotonic()
            if now - checked > 0.2:
                checked = now
                for late in [c for c, state in self.under_way.items() if now - state[0] > self.timeout]:
                    self._lose(late, "timeout")
                    if not until_quiet:
                        self.ready.append(None)

    def _begin(self, connection):
        now = time.monotonic()
        if connection is not None:
            self.under_way[connection] = [now, b""]
            return self._send(connection)
        connection = socket.socket(family_of(self.place[0]), socket.SOCK_STREAM)
        connection.setblocking(False)
        if self.sources:
            connection.bind((self.sources[self.opened % len(self.sources)], 0))
        self.opened += 1
        connection.connect_ex(self.place)
        self.connections.append(connection)
        self.selector.register(connection, selectors.EVENT_WRITE)
        self.under_way[connection] = [now, b""]
        return None

    def _send(self, connection):
        try:
            connection.send(self.request)
        except OSError as error:
            self._lose(connection, errno.errorcode.get(error.errno, str(error)))
            self.ready.append(None)

    def _advance(self, connection):
        """The connection when its request is over, one way or the other."""
        state = self.under_way.get(connection)
        try:
            if self.selector.get_key(connection).events == selectors.EVENT_WRITE:
                if code := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(code, "connect")
                self.selector.modify(connection, selectors.EVENT_READ)
                connection.send(self.request)
                return None
            data = connection.recv(65536)
            if state is None:  # between two requests: closed or reset, nothing is lost
                self._drop(connection)
                return connection if self.rounds is None else None
            if not data:
                return self._lose(connection, "closed")
        except OSError as error:
            if state is None:
                self._drop(connection)
                return None
            return self._lose(connection, errno.errorcode.get(error.errno, str(error)))
        state[1] += data
        head = HEAD.match(state[1])
        if head is None or len(state[1]) < head.end() + int(head.group(2) or 0):
            return None
        status, body = int(head.group(1) or head.group(3)), state[1][head.end():]
        self._note(connection, "ok" if status == 200 else str(status), body.split(b" ")[0].decode())
        if b"connection: close" in head.group(0).lower():
            self._drop(connection)
        return connection

    def _note(self, connection, outcome, server=""):
        start, _data = self.under_way.pop(connection)
        self.attempts.append(Attempt(start, time.monotonic(), outcome, server))

    def _drop(self, connection):
        self.selector.unregister(connection)
        self.connections.remove(connection)
        connection.close()

    def _lose(self, connection, outcome):
        self._note(connection, outcome)
        self._drop(connection)
        return connection

    # What became of it

    def lost(self):
        return [attempt for attempt in self.attempts if attempt.outcome != "ok"]

    def outcomes(self):
        return dict(collections.Counter(attempt.outcome for attempt in self.attempts))

    def spread(self, since=0.0):
        return collections.Counter(a.server for a in self.attempts if a.outcome == "ok" and a.start >= since)

    def first_success_after(self, moment):
        ends = [a.end for a in self.attempts if a.outcome == "ok" and a.start >= moment]
        return min(ends) - moment if ends else float("inf")
