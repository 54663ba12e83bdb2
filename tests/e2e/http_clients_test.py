"""http_clients_test.py - real clients against real servers through Penstock: each of five clients asks each of three servers.

Clients   curl, wrk, h2load (--h1), ab (HTTP/1.0, kept and not), python's http.client.
Servers   nginx, HAProxy (answers by itself), python's http.server (HTTP/1.1, a thread per connection).
Bodies    0 and 4,000,001 octets both ways, counted and in chunks (http_bodies.py; up to 1 GiB: proxy_long.py --parts http).
Holds     every request is answered 200 with the server's own body; no client sees an error.
"""
import http.client
import os
import re
import subprocess
import sys
import unittest

import case
import servers
from http_bodies import Bodies
from lab import Lab, VIP4, server4

PORTS = {"nginx": 8081, "haproxy": 8082, "python": 8083}
BODY = {name: f"this is {name}\n" for name in PORTS}
REQUESTS, AT_ONCE = 200, 8

NGINX_TEXT = """
user root; daemon off; master_process off; worker_processes 1;
pid {d}/nginx.pid; error_log {d}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; default_type text/plain;
  client_body_temp_path {d}/tmp; proxy_temp_path {d}/tmp; fastcgi_temp_path {d}/tmp; uwsgi_temp_path {d}/tmp;
  scgi_temp_path {d}/tmp;
  server {{ listen {address}:{port} backlog=1024; location / {{ return 200 "this is nginx\\n"; }} }}
}}
"""
HAPROXY_TEXT = """
defaults
  mode http
  timeout client 60s
  timeout http-keep-alive 60s
frontend f
  bind {address}:{port}
  http-request return status 200 content-type text/plain string "this is haproxy\\n"
"""
PYTHON_TEXT = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "15")
        self.end_headers()
        self.wfile.write(b"this is python\\n")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def log_message(self, *words):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root for network namespaces")
        lab = cls.lab = Lab("htcli", server_count=1)
        cls.addClassCleanup(cls.end)
        (lab.directory / "nginx" / "tmp").mkdir(parents=True)
        commands = {"nginx": ["nginx", "-e", lab.directory / "nginx" / "error.log", "-c"], "haproxy": ["haproxy", "-db", "-f"],
                    "python": [sys.executable]}
        for (name, port), text in zip(PORTS.items(), (NGINX_TEXT, HAPROXY_TEXT, PYTHON_TEXT)):
            file, log = lab.directory / f"{name}.conf", lab.directory / f"{name}.log"
            file.write_text(text if name == "python" else text.format(d=lab.directory / "nginx", address=server4(1), port=port))
            more = [server4(1), port] if name == "python" else []
            servers.wait_listening(lab, lab.popen(lab.servers, *commands[name], file, *more, log=log), port, "-Hltn", log)
        clusters = [{"name": name, "endpoints": [{"address": server4(1), "port": port}]} for name, port in PORTS.items()]
        routes = [{"match": {"path_separated_prefix": f"/{name}"}, "cluster": name} for name in PORTS]
        listeners = [{"name": "http", "address": VIP4, "port": 80, "protocol": "http", "mode": "proxy",
                      "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}]
        cls.bodies = Bodies(lab)
        lab.start_daemon(lab.config(clusters + cls.bodies.clusters, listeners + cls.bodies.listeners))

    @classmethod
    def end(cls):
        if os.environ.get("PENSTOCK_SHOW_LOG"):
            print(cls.lab.log_tail(100))
        cls.lab.close()

    def each(self, *command, timeout=30):
        """(server, what the client printed) for every server; the last word of the command is the server's URL."""
        for name in PORTS:
            with self.subTest(server=name):
                done = subprocess.run(self.lab.client.command(*command, f"http://{VIP4}/{name}"), text=True, timeout=timeout,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.assertEqual(done.returncode, 0, done.stdout)
                yield name, done.stdout

    def test_curl(self):
        for version in ("--http1.0", "--http1.1"):
            for name, text in self.each("curl", "-sS", version):
                self.assertEqual(text, BODY[name])
        for name, text in self.each("curl", "-sS", "-d", "some=form"):
            self.assertEqual(text, BODY[name])

    def test_wrk(self):
        for _name, text in self.each("wrk", "-t", "1", "-c", AT_ONCE, "-d", "1s"):
            self.assertNotIn("Socket errors", text)
            self.assertNotIn("Non-2xx", text)
            self.assertGreater(int(re.search(r"(\d+) requests in", text).group(1)), 50)

    def test_h2load_with_http1(self):
        for name, text in self.each("h2load", "--h1", "-n", REQUESTS, "-c", AT_ONCE, "-m", "1"):
            self.assertIn(f"requests: {REQUESTS} total, {REQUESTS} started, {REQUESTS} done, {REQUESTS} succeeded, 0 failed, 0 errored", text)
            self.assertIn(f"status codes: {REQUESTS} 2xx", text)
            self.assertIn(f"({REQUESTS * len(BODY[name])}) data", text)

    def test_ab(self):
        for kept in ([], ["-k"]):
            for name, text in self.each("ab", "-q", "-n", REQUESTS, "-c", AT_ONCE, *kept):
                self.assertRegex(text, rf"Complete requests: +{REQUESTS}\n")
                self.assertRegex(text, r"Failed requests: +0\n")
                self.assertNotIn("Non-2xx", text)
                self.assertRegex(text, rf"HTML transferred: +{REQUESTS * len(BODY[name])} bytes")
                if kept:
                    self.assertRegex(text, rf"Keep-Alive requests: +{REQUESTS}\n")

    def test_python_http_client(self):
        for name in PORTS:
            connection = http.client.HTTPConnection(VIP4, 80, timeout=10)
            connection.sock = self.lab.client.socket()
            connection.sock.settimeout(10)
            connection.sock.connect((VIP4, 80))
            for _ in range(50):
                connection.request("GET", f"/{name}")
                response = connection.getresponse()
                self.assertEqual((response.status, response.read().decode()), (200, BODY[name]))
            connection.close()

    def test_bodies_arrive_whole_by_each_framing_and_both_ways(self):
        moved = 0
        for octets in (0, 4_000_001):
            self.bodies.fill(octets)
            for way in self.bodies.ways():
                if way[1] == "python" and way[3] == "counted":
                    continue  # the long form has it; curl is quicker
                with self.subTest(octets=octets, way=way):
                    self.assertEqual(self.bodies.move(*way)[0], "")
                moved += 1
        self.assertEqual(moved, 13 + 16)


if __name__ == "__main__":
    case.main()
