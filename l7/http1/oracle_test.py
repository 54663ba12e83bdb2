"""oracle_test.py - an independent parser (h11) understands what we forward as exactly the request that we meant.

Usage   oracle_test.py RELAY CORPUS      RELAY is http1_relay_pipe, CORPUS the folder of the smuggling tables
Model   every request that was forwarded goes to h11 alone: it must be one request, with nothing left over, whose method,
        target, fields, body and trailers are those that stand in the octets. Inputs: every "< " line of the tables,
        and requests made of pieces and mutated tables by seed, sent through RELAY.
"""
import random
import struct
import subprocess
import sys
import unittest

import h11

RELAY = sys.argv[1]
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[2])

from cases import meant, table  # noqa: E402


def understood(message):
    """The same, as h11 sees it; raises when it is not exactly one request."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(message)
    request, body, trailers = None, b"", None
    while trailers is None:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            assert request is None, "two requests"
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            trailers = [(bytes(name), bytes(value)) for name, value in event.headers]
        else:
            raise AssertionError(f"{event} instead of a whole request")
    assert connection.trailing_data[0] == b"", "octets are left over"
    fields = [(bytes(name), bytes(value)) for name, value in request.headers]
    return bytes(request.method), bytes(request.target), fields, body, trailers


def lower(trailers):
    return [(name.lower(), value) for name, value in trailers]


class Relay:
    def __init__(self):
        self.process = subprocess.Popen([RELAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, octets):
        self.process.stdin.write(struct.pack("<I", len(octets)) + octets)
        self.process.stdin.flush()
        messages = [self.process.stdout.read(self.number()) for _ in range(self.number())]
        return messages, self.number() == 1

    def number(self):
        return struct.unpack("<I", self.process.stdout.read(4))[0]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


NAMES = [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-A", b"TE", b"Expect", b"Upgrade",
         b"Trailer", b"Cookie", b"content-length", b"TRANSFER-ENCODING", b"Content_Length", b"X-A ", b"Keep-Alive"]
VALUES = [b"a", b"3", b"0", b"chunked", b"close", b"keep-alive", b"x-a", b"trailers", b"100-continue", b"websocket", b"",
          b" 3", b"3 ", b"+3", b"3,3", b"chunked, chunked", b"a:80", b"\xe9", b"a\tb", b"identity", b"\x0bchunked"]
SOUND = [(b"X-A", b"v"), (b"Cookie", b"a=1; b"), (b"TE", b"trailers"), (b"Connection", b"te"), (b"X-B", b"\xe9 \t x"),
         (b"Trailer", b"X"), (b"Connection", b"close, x-a"), (b"Keep-Alive", b"5"), (b"Accept", b"*/*"), (b"X-Empty", b"")]
FRAMED = [(b"", b"")] * 3 + [(b"Content-Length: 3\r\n", b"abc"), (b"content-length:0\r\n", b""),
          (b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"), (b"Expect: 100-continue\r\nContent-Length: 1\r\n", b"x"),
          (b"Transfer-encoding: Chunked\r\n", b"1;e=f\r\na\r\n0\r\nX-T: u\r\nCookie: c\r\n\r\n")]
TARGETS = [b"/"] * 9 + [b"*", b"http://a/", b"/a%2e", b"/a?b#c", b"a:80", b"//", b"/%41", b"/a[]"]
BODIES = [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"3;a=b\r\nabc\r\n0\r\n\r\n"]


def composed(random_):
    """A request out of pieces; about one piece in thirty is wild."""
    def wild():
        return random_.randrange(30) == 0
    def end():
        return random_.choice([b"\n", b"\r", b"\r\n "]) if wild() else b"\r\n"
    out = random_.choice([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT"]) + b" " + random_.choice(TARGETS)
    out += random_.choice([b" HTTP/1.1"] * 9 + [b" HTTP/1.0"]) + end() + b"Host: a" + end()
    for _ in range(random_.randrange(5)):
        name, value = random_.choice(SOUND)
        colon = random_.choice([b": ", b":", b":\t "])
        out += (random_.choice(NAMES) + b": " if wild() else name + colon)
        out += (random_.choice(VALUES) if wild() else value) + end()
    field, body = random_.choice(FRAMED)
    return out + field + b"\r\n" + (random_.choice(BODIES) if wild() else body)


def mutated(random_, octets):
    octets = bytearray(octets)
    for _ in range(random_.randrange(1, 4)):
        at = random_.randrange(len(octets) + 1)
        kind = random_.randrange(4)
        if kind == 0:
            octets[at:at] = random_.choice([b" ", b"\r", b"\n", b"\r\n", b"\t", b"0", b":", b",", b"\x00", b"\x80"])
        elif kind == 1:
            del octets[at:at + 1]
        elif kind == 2 and at < len(octets):
            octets[at] = random_.randrange(256)
        else:
            octets[at:at] = octets[at:at + random_.randrange(40)]
    return bytes(octets)


class OracleTest(unittest.TestCase):
    def check(self, message):
        method, target, fields, body, trailers = meant(message)
        seen = understood(message)
        self.assertEqual((*seen[:4], lower(seen[4])), (method, target, fields, body, lower(trailers)), message)

    def test_what_the_table_forwards_is_one_request_to_h11(self):
        checked = 0
        for case in table("requests.txt"):
            for message in case.forwarded if case.end == b"end" else case.forwarded[:-1]:
                with self.subTest(message=message[:200]):
                    self.check(message)
                checked += 1
        self.assertGreater(checked, 40)

    def test_what_random_requests_become_is_one_request_to_h11(self):
        relay = Relay()
        self.addCleanup(relay.close)
        cases = [case.octets for case in table("requests.txt") if len(case.octets) < 3000
                 for _ in range(5 if case.end == b"end" else 1)]
        forwarded = refused = 0
        for seed in range(20000):
            random_ = random.Random(seed)
            octets = composed(random_) if seed % 2 else mutated(random_, random_.choice(cases))
            messages, well = relay(octets)
            forwarded, refused = forwarded + len(messages), refused + (not well)
            for message in messages:
                try:
                    self.check(message)
                except Exception as error:
                    self.fail(f"seed {seed}: {octets} became {message}: {error}")
        print(f"{forwarded} requests forwarded, {refused} inputs refused or incomplete")
        self.assertGreater(forwarded, 2000)
        self.assertGreater(refused, 2000)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
