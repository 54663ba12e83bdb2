"""http_bodies.py - bodies of any length through listeners of HTTP, both ways, compared by SHA-256 at both ends.

Servers   nginx (serves a file, stores what is put), python's http.server (sends the file counted or in chunks, answers
          what it received) and HAProxy in front of that python server.
Clients   curl, and python's http.client.
Ways      down and up, each with content-length and in chunks. nginx alone sends files counted only; curl ends no
          empty body in chunks.
Holds     every request succeeds, what arrived has the digest of what was sent, and the framing is the one that was meant.
Programs  `http_bodies.py serve ADDRESS PORT FILE`, `http_bodies.py get|put URL FILE counted|chunked`, started by Bodies.
"""
import hashlib
import http.client
import http.server
import itertools
import os
import pathlib
import sys
import time
import urllib.parse

if __name__ != "__main__":
    import servers
    from lab import VIP4, server4

PORT, NGINX, HAPROXY, PYTHON = 8000, 8185, 8186, 8187
SERVERS, CLIENTS = ("nginx", "haproxy", "python"), ("curl", "python")
PIECE = 1 << 18
NGINX_TEXT = """
user root; daemon off; master_process off; worker_processes 1;
pid {d}/nginx.pid; error_log {d}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; client_max_body_size 0; default_type application/octet-stream;
  client_body_temp_path {d}/tmp; proxy_temp_path {d}/tmp; fastcgi_temp_path {d}/tmp; uwsgi_temp_path {d}/tmp;
  scgi_temp_path {d}/tmp;
  server {{
    listen {address}:{port};
    location /nginx/get/ {{ alias {d}/../; }}
    location /nginx/put/ {{ alias {d}/put/; dav_methods PUT; create_full_put_path on; }}
  }}
}}
"""
HAPROXY_TEXT = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind {address}:{port}
  default_backend b
backend b
  server s {address}:{behind}
"""


def pieces(file):
    with open(file, "rb") as data:
        while piece := data.read(PIECE):
            yield piece


def digest_of(file):
    digest = hashlib.sha256()
    for piece in pieces(file):
        digest.update(piece)
    return digest.hexdigest()


def write_random(file, octets):
    """Fills a file; the digest of what is in it."""
    digest = hashlib.sha256()
    with open(file, "wb") as out:
        for at in range(0, octets, PIECE):
            piece = os.urandom(min(PIECE, octets - at))
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


class Bodies:
    """Servers, a listener at VIP4:PORT with a route to each, and what clients move through it."""

    def __init__(self, lab):
        self.lab, address = lab, server4(1)
        self.directory = lab.directory / "bodies"
        nginx = self.directory / "nginx"
        for folder in ("tmp", "put"):
            (nginx / folder).mkdir(parents=True)
        for folder in (lab.directory, self.directory, nginx):
            folder.chmod(0o755)
        self.file, self.got, self.stored = self.directory / "file", self.directory / "got", nginx / "put" / "file"
        self.digest = write_random(self.file, 0)
        places = {"nginx": NGINX, "haproxy": HAPROXY, "python": PYTHON}
        texts = {"nginx": NGINX_TEXT.format(d=nginx, address=address, port=NGINX),
                 "haproxy": HAPROXY_TEXT.format(address=address, port=HAPROXY, behind=PYTHON)}
        commands = {"nginx": ["nginx", "-e", nginx / "error.log", "-c", self.directory / "nginx.conf"],
                    "haproxy": ["haproxy", "-db", "-f", self.directory / "haproxy.conf"],
                    "python": [sys.executable, __file__, "serve", address, PYTHON, self.file]}
        for name, port in places.items():
            if name in texts:
                (self.directory / f"{name}.conf").write_text(texts[name])
            log = self.directory / f"{name}.log"
            servers.wait_listening(lab, lab.popen(lab.servers, *commands[name], log=log), port, "-Hltn", log)
        self.clusters = [{"name": f"bodies-{name}", "endpoints": [{"address": address, "port": port}]}
                         for name, port in places.items()]
        # No route timeout: a large answer takes longer.
        routes = [{"match": {"path_separated_prefix": f"/{name}"}, "cluster": f"bodies-{name}", "timeout": "0s"}
                  for name in places]
        self.listeners = [{"name": "bodies", "address": VIP4, "port": PORT, "protocol": "http", "mode": "proxy",
                           "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}]

    def fill(self, octets):
        """What is moved from here on."""
        self.digest = write_random(self.file, octets)

    def ways(self):
        """(server, client, way, framing): all that exist for the present length."""
        for server, client, way, framing in itertools.product(SERVERS, CLIENTS, ("down", "up"), ("counted", "chunked")):
            impossible = framing == "chunked" and ((server, way) == ("nginx", "down") or
                                                   (client == "curl" and way == "up" and self.file.stat().st_size == 0))
            if not impossible:
                yield server, client, way, framing

    def move(self, server, client, way, framing, timeout=60):
        """One body; "" or what was wrong with it, and the seconds it took."""
        url = f"http://{VIP4}:{PORT}/{server}/" + ("put/file" if way == "up" else "get/file") + f"?{framing}"
        self.stored.unlink(missing_ok=True)
        self.got.write_bytes(b"")
        start = time.monotonic()
        done = self.lab.client.run(*self.command(client, way, framing, url), check=False, timeout=timeout)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            return f"exit {done.returncode}: {done.stderr.strip()}", seconds
        if way == "up" and server != "nginx":
            received, wanted = done.stdout.strip(), f"{self.file.stat().st_size} {self.digest} {framing}"
        else:
            if way == "down" and client == "python" and done.stdout.strip() != framing:
                return f"came {done.stdout.strip()}", seconds
            received, wanted = digest_of(self.stored if way == "up" else self.got), self.digest
        return "" if received == wanted else f"received {received} instead of {wanted}", seconds

    def command(self, client, way, framing, url):
        if client == "python":
            what = ["put", url, self.file] if way == "up" else ["get", url, self.got]
            return [sys.executable, __file__, *what, framing]
        chunked = ["-H", "Transfer-Encoding: chunked"] if framing == "chunked" else []
        return ["curl", "-sS", "--fail", *(["-T", self.file, *chunked] if way == "up" else ["-o", self.got]), url]


class Handler(http.server.BaseHTTPRequestHandler):
    """/...?chunked sends in chunks; what is put is answered by its length, digest and framing."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        file = pathlib.Path(sys.argv[4])
        chunked = self.path.endswith("?chunked")
        self.send_response(200)
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(file.stat().st_size))))
        self.end_headers()
        for piece in pieces(file):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def do_PUT(self):
        digest, octets, length = hashlib.sha256(), 0, self.headers["Content-Length"]
        for piece in self.chunks() if length is None else self.exactly(int(length)):
            digest.update(piece)
            octets += len(piece)
        answer = f"{octets} {digest.hexdigest()} {'chunked' if length is None else 'counted'}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def exactly(self, octets):
        while octets:
            piece = self.rfile.read(min(octets, PIECE))
            if not piece:
                raise ConnectionError("the body ends early")
            octets -= len(piece)
            yield piece

    def chunks(self):
        while octets := int(self.rfile.readline(), 16):
            yield from self.exactly(octets)
            self.rfile.readline()
        while self.rfile.readline() != b"\r\n":
            pass

    def log_message(self, *words):
        pass


def move_by_http_client(way, url, file, framing):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60, blocksize=PIECE)
    target = f"{parts.path}?{parts.query}"
    if way == "get":
        connection.request("GET", target)
        response = connection.getresponse()
        with open(file, "wb") as out:
            while piece := response.read(PIECE):
                out.write(piece)
        print("chunked" if response.getheader("Transfer-Encoding") == "chunked" else "counted")
    else:
        chunked = framing == "chunked"
        fields = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(pathlib.Path(file).stat().st_size)}
        with open(file, "rb") as data:
            connection.request("PUT", target, data, fields, encode_chunked=chunked)
        response = connection.getresponse()
        print(response.read().decode())
    return 0 if response.status in (200, 201, 204) else f"status {response.status}"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        http.server.ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Handler).serve_forever()
    sys.exit(move_by_http_client(*sys.argv[1:]))
