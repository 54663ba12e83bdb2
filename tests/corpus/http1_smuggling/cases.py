"""cases.py - the tables of this folder for Python: what is sent, what of it is forwarded, how it ends.

Read by l7/http1/oracle_test.py and tests/e2e/http_smuggling_test.py. The format is described in requests.txt.
"""
import pathlib
import re

FOLDER = pathlib.Path(__file__).parent
ESCAPE = re.compile(rb"\\\((\\x..|\\.|.)\*(\d+)\)|\\x(..)|\\(.)", re.S)
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}


class Case:
    def __init__(self, name):
        self.name, self.octets, self.forwarded, self.end = name, b"", [], b""


def unescape(text):
    def one(match):
        if match.group(1):
            return ESCAPE.sub(one, match.group(1)) * int(match.group(2))
        return bytes([int(match.group(3), 16)]) if match.group(3) else PLAIN[match.group(4)]
    return ESCAPE.sub(one, text)


def table(name):
    """Every case of one table."""
    cases = []
    for line in (FOLDER / name).read_bytes().split(b"\n"):
        if line[:1] in (b"#", b""):
            continue
        if line[:1] == b">":
            cases[-1].octets += unescape(line[2:])
        elif line[:1] == b"<":
            cases[-1].forwarded.append(unescape(line[2:]))
        elif line[:1] == b"=":
            cases[-1].end = line[2:]
        else:
            cases.append(Case(line.split()[0].decode()))
    return cases


def meant(message):
    """Method, target, fields, body and trailers, read off our own canonical form without any leniency; ValueError when
    the message is not whole."""
    head, body = message.split(b"\r\n\r\n", 1)
    line, *fields = head.split(b"\r\n")
    method, target, version = line.split(b" ")
    assert version == b"HTTP/1.1", version
    fields = [tuple(field.split(b": ", 1)) for field in fields]
    lengths = [int(value) for name, value in fields if name.lower() == b"content-length"]
    trailers = []
    if any(name.lower() == b"transfer-encoding" for name, _ in fields):
        assert not lengths
        data = b""
        while True:
            size, body = body.split(b"\r\n", 1)
            if int(size, 16) == 0:
                break
            data, body = data + body[:int(size, 16)], body[int(size, 16):]
            if body[:2] != b"\r\n":
                raise ValueError("a chunk is not whole")
            body = body[2:]
        if not body.endswith(b"\r\n"):
            raise ValueError("the trailer section is not whole")
        trailers = [tuple(field.split(b": ", 1)) for field in body[:-2].split(b"\r\n") if field]
        body = data
    elif len(body) != sum(lengths):
        raise ValueError("the body is not whole")
    return method, target, [(name.lower(), value) for name, value in fields], body, trailers
