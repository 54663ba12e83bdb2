"""guide_server.py - what stands behind the examples of docs/guide: servers that tell what they were asked.

Usage     guide_server.py http FOLDER PORT...   a JSON object per request: server, method, target, headers; `sick` in FOLDER
                                                lists addresses that answer 503, `seen` gets "SERVER METHOD TARGET" lines
          guide_server.py told PORT             reads a PROXY header of version 2, answers whom it names
          guide_server.py authorizer ADDRESS PORT   204 for `authorization: Bearer good`, else 401
"""
import http.server
import json
import pathlib
import socket
import struct
import sys
import threading


class Teller(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    folder = None

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        address, port = self.connection.getsockname()
        sick = self.folder / "sick"
        status = 503 if sick.exists() and address in sick.read_text().split() else 200
        with open(self.folder / "seen", "a") as seen:
            seen.write(f"{address}:{port} {self.command} {self.path}\n")
        self.tell(status, {"server": f"{address}:{port}", "method": self.command, "target": self.path,
                           "headers": {name.lower(): value for name, value in self.headers.items()}})

    def tell(self, status, said):
        body = json.dumps(said).encode() + b"\n"
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *words):
        pass


class Authorizer(Teller):
    def answer(self):
        self.tell(200 if self.headers.get("authorization") == "Bearer good" else 401, {})

    do_GET = do_POST = do_DELETE = answer


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


def told(port):
    listener = socket.create_server(("", port))
    while True:
        connection, _peer = listener.accept()
        with connection:
            head = connection.recv(16, socket.MSG_WAITALL)
            rest = connection.recv(struct.unpack("!H", head[14:16])[0], socket.MSG_WAITALL)
            source, source_port = socket.inet_ntoa(rest[:4]), struct.unpack("!H", rest[8:10])[0]
            connection.sendall(f"220 {source}:{source_port}\r\n".encode())


def main(kind, *words):
    if kind == "told":
        return told(int(words[0]))
    if kind == "authorizer":
        return Server((words[0], int(words[1])), Authorizer).serve_forever()
    Teller.folder = pathlib.Path(words[0])
    for port in words[1:]:
        threading.Thread(target=Server(("", int(port)), Teller).serve_forever).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
