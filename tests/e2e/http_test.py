"""http_test.py - listeners of HTTP between real clients (curl, wrk, sockets) and real nginx servers.

Servers   web1 and web2 are clusters of one endpoint each, `both` has both, `dead` has one where nobody listens.
"""
import concurrent.futures
import email.utils
import hashlib
import json
import os
import re
import socket
import time
import unittest

import servers
from lab import CLIENT4, Lab, NODE_SERVERS4, VIP4, VIP6, server4, server6, wait_for

PORT, NOBODY, TOLD, AUTHORIZER = 8080, 8099, 8081, 9191
# Knows one user, and writes down whom it was asked about.
AUTHORIZER_PROGRAM = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path.startswith("/check/members") and self.headers["x-user"] == "alice"
        self.send_response(204 if known else 401)
        self.end_headers()
        print(self.path, self.headers["x-forwarded-for"], self.headers["host"], flush=True)
    def log_message(self, *words):
        pass
http.server.HTTPServer(("{NODE_SERVERS4}", {AUTHORIZER}), Handler).serve_forever()
"""
MIB = 1 << 20


def nginx_config(directory, name, listens, body_folder, master):
    told = listens[0].rsplit(":", 1)[0] + f":{TOLD}"
    lines = "\n    ".join(f"listen {address} backlog=4096;" for address in listens)
    return f"""
user root; daemon off; master_process {"on" if master else "off"}; worker_processes 1;
pid {directory}/nginx.pid; error_log {directory}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_timeout 600; keepalive_requests 100000; sendfile on; tcp_nodelay on;
  client_max_body_size 0; client_body_temp_path {directory}/tmp; proxy_temp_path {directory}/tmp;
  fastcgi_temp_path {directory}/tmp; uwsgi_temp_path {directory}/tmp; scgi_temp_path {directory}/tmp;
  default_type text/plain;
  server {{
    listen {told} proxy_protocol;
    location / {{ return 200 "told $proxy_protocol_addr:$proxy_protocol_port for=$http_x_forwarded_for\n"; }}
  }}
  server {{
    {lines}
    add_header X-Server {name} always;
    location / {{ return 200 "{name} $host $request_uri for=$http_x_forwarded_for gateway=$http_x_gateway id=$http_x_request_id\\n"; }}
    location /trace {{ return 200 "{name} trace=$http_traceparent\n"; }}
    location /body/ {{ alias {body_folder}/; }}
    location /put/ {{ alias {directory}/put/; dav_methods PUT; create_full_put_path on; }}
    location /busy {{ return 503 "busy\\n"; }}
    location /once {{ keepalive_timeout 0; return 200 "once\\n"; }}
  }}
}}
"""


def nginx(lab, name, index, master=False, port=PORT):
    directory = lab.directory / f"nginx-{name}"
    for folder in ("tmp", "put"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    lab.directory.chmod(0o755)
    config = directory / "nginx.conf"
    listens = [f"{server4(index)}:{port}", f"[{server6(index)}]:{port}"]
    config.write_text(nginx_config(directory, name, listens, servers.bodies(lab.directory), master))
    child = lab.popen(lab.servers, "nginx", "-p", directory, "-e", directory / "error.log", "-c", config,
                      log=directory / "out.log")

    def listening():
        with lab.servers.socket() as probe:
            return probe.connect_ex((server4(index), port)) == 0
    wait_for(listening, 5, f"{name} listens")
    return child


def configuration(lab):
    def cluster(name, *endpoints, **more):
        return {"name": name, "endpoints": [{"address": a, "port": p} for a, p in endpoints], **more}
    routes = [
        {"match": {"path_separated_prefix": "/api"}, "cluster": "web2", "prefix_rewrite": "/v1",
         "request_headers": {"set": {"x-gateway": "penstock"}}, "response_headers": {"set": {"x-seen": "yes"}}},
        {"match": {"prefix": "/", "headers": [{"name": "x-pick", "exact": "two"}]}, "cluster": "web2"},
        {"match": {"path": "/old"}, "redirect": {"path": "/new", "code": 308}},
        {"match": {"path": "/fixed"}, "direct_response": {"status": 200, "body": "fixed text"}},
        {"match": {"prefix": "/dead"}, "cluster": "dead"},
        {"match": {"prefix": "/rescued"}, "cluster": "half",
         "retry_policy": {"on": ["connect-failure"], "num_retries": 2}},
        {"match": {"prefix": "/both"}, "cluster": "both",
         "retry_policy": {"on": ["connect-failure", "reset"], "num_retries": 2}},
        {"match": {"prefix": "/told"}, "cluster": "told"},
        {"match": {"prefix": "/guarded"}, "cluster": "web1", "authorization": {
            "rules": [{"action": "allow", "sources": [f"{CLIENT4}/32"], "methods": ["GET"],
                       "headers": [{"name": "x-key", "exact": "open"}]}], "default": "deny"}},
        {"match": {"prefix": "/members"}, "cluster": "web1", "authorization": {
            "rules": [{"action": "ask", "methods": ["DELETE"]}, {"action": "external"}], "default": "deny",
            "ask": {"default": "deny", "deadline": "2s", "rules": [{"action": "allow", "paths": ["/members/mine"]}]},
            "external": {"address": NODE_SERVERS4, "port": AUTHORIZER, "path_prefix": "/check", "headers": ["x-user"],
                         "timeout": "2s", "lifetime": "1m"}}},
        {"match": {"path": "/rare"}, "cluster": "web1", "client_rate_limit": {"requests": 2, "per": "1h"}},
        {"match": {"path": "/broken"}, "cluster": "web1", "fault": {
            "delay": {"fixed": "300ms"}, "abort": {"status": 418}, "headers": [{"name": "x-chaos", "present": True}]}},
        {"match": {"prefix": "/sticky"}, "cluster": "sticky"},
        {"match": {"prefix": "/"}, "cluster": "web1"},
    ]
    hosts = [{"name": "main", "domains": ["main.test"], "routes": routes},
             {"name": "two", "domains": ["two.test", "*.two.test"], "routes": [{"match": {"prefix": "/"}, "cluster": "web2"}]},
             {"name": "mirrored", "domains": ["mirrored.test"],
              "routes": [{"match": {"prefix": "/"}, "cluster": "web1", "mirror": {"cluster": "web2"}}]},
             {"name": "by-address", "domains": [VIP4], "routes": [{"match": {"prefix": "/"}, "cluster": "web1"}]}]
    hosts6 = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "cluster": "web1-v6"}]}]
    clusters = [cluster("web1", (server4(1), PORT)), cluster("web1-v6", (server6(1), PORT)), cluster("web2", (server4(2), PORT)),
                cluster("both", (server4(1), PORT), (server4(2), PORT)),
                cluster("told", (server4(1), TOLD), proxy_protocol="v2"),
                cluster("behind", (server4(1), TOLD), proxy_protocol="v2"),
                cluster("sticky", (server4(1), PORT), (server4(2), PORT), session_affinity={"cookie": "at"}),
                cluster("dead", (server4(1), NOBODY)), cluster("half", (server4(1), NOBODY), (server4(1), PORT))]
    listeners = [{"name": f"http-{address[0]}", "address": address, "port": 80, "protocol": "http", "mode": "proxy",
                  "virtual_hosts": virtual} for address, virtual in ((VIP4, hosts), (VIP6, hosts6))]
    listeners[0]["http"] = {"max_request_body": "512MiB", "connect": {"allow": [f"*.test:{PORT}"], "cluster": "web2"}}
    behind = json.loads(json.dumps(hosts).replace('"cluster": "told"', '"cluster": "behind"'))
    listeners += [{"name": "behind", "address": VIP4, "port": 81, "protocol": "http", "proxy_protocol": "accept", "virtual_hosts": behind},
                  {"name": "through", "address": VIP4, "port": 82, "protocol": "tcp", "mode": "proxy", "cluster": "told"}]
    return lab.config(clusters, listeners)


class Http(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root for network namespaces")
        cls.lab = Lab("http", server_count=2)
        cls.addClassCleanup(cls.end)
        cls.web1, cls.web2 = nginx(cls.lab, "web1", 1), nginx(cls.lab, "web2", 2)
        cls.asked = cls.lab.directory / "authorizer.log"
        cls.lab.popen(cls.lab.node, "python3", "-c", AUTHORIZER_PROGRAM, log=cls.asked)
        cls.lab.start_daemon(configuration(cls.lab))

    @classmethod
    def end(cls):
        if os.environ.get("PENSTOCK_SHOW_LOG"):
            print(cls.lab.log_tail(100))
        cls.lab.close()

    def curl(self, path, *words, host="main.test", vip=VIP4, check=True):
        address = f"[{vip}]" if ":" in vip else vip
        return self.lab.client.run("curl", "-sS", "--max-time", "20", "-H", f"Host: {host}", *words,
                                   f"http://{address}{path}", check=check, timeout=40).stdout

    def status(self, path, *words, **options):
        return self.curl(path, "-o", "/dev/null", "-w", "%{http_code}", *words, **options)

    def raw(self, octets, vip=VIP4, port=80):
        """Everything that comes back until the proxy closes."""
        connection = self.lab.client.socket()
        connection.settimeout(10)
        connection.connect((vip, port))
        connection.sendall(octets)
        got = b""
        while data := connection.recv(65536):
            got += data
        connection.close()
        return got

    def test_a_get_reaches_a_server_which_learns_who_asked(self):
        for vip in (VIP4, VIP6):
            text = self.curl("/hello?x=1", vip=vip)
            self.assertRegex(text, r"^web1 main\.test /hello\?x=1 for=\S+ gateway= id=[0-9a-f]{32}\n$")
        self.assertIn(f"for={CLIENT4} ", self.curl("/hello"))

    def test_routes_by_host_path_and_header(self):
        self.assertEqual(self.curl("/", host="two.test")[:4], "web2")
        self.assertEqual(self.curl("/", host="a.two.test")[:4], "web2")
        self.assertEqual(self.curl("/", "-H", "X-Pick: two")[:4], "web2")
        text = self.curl("/api/items", "-i")
        self.assertIn("web2 main.test /v1/items", text)
        self.assertIn("gateway=penstock", text)
        self.assertRegex(text, r"(?i)x-seen: yes")

    def test_answers_of_its_own(self):
        redirect = self.curl("/old", "-i")
        self.assertIn("308 Permanent Redirect", redirect)
        self.assertRegex(redirect, r"(?i)location: http://main\.test/new")
        fixed = self.curl("/fixed", "-i")
        self.assertTrue(fixed.endswith("\n\nfixed text"))
        date = email.utils.parsedate_to_datetime(re.search(r"\nDate: (.*)", fixed).group(1))
        self.assertLess(abs(date.timestamp() - time.time()), 3)
        self.assertEqual(len(re.findall(r"(?i)\ndate:", self.curl("/hello", "-i"))), 1, "the server's own")
        self.assertEqual(self.status("/", host="nobody.test"), "404")
        self.assertEqual(self.status("/dead"), "503")
        self.assertEqual(self.status("/busy"), "503")

    def test_policies_decide_limit_and_break(self):
        self.assertEqual(self.status("/guarded"), "403")
        self.assertEqual(self.status("/guarded", "-H", "X-Key: open"), "200")
        self.assertEqual(self.status("/guarded", "-H", "X-Key: open", "-X", "DELETE"), "403")
        self.assertEqual([self.status("/rare") for _ in range(3)], ["200", "200", "429"])
        self.assertRegex(self.curl("/rare", "-i"), r"(?i)retry-after: \d+")
        self.assertEqual(self.status("/broken"), "200")
        code, seconds = self.curl("/broken", "-o", "/dev/null", "-H", "X-Chaos: 1", "-w", "%{http_code} %{time_total}").split()
        self.assertEqual(code, "418")
        self.assertGreaterEqual(float(seconds), 0.3)

    def test_daemon_and_authorizer_decide(self):
        for _ in range(3):
            self.assertEqual(self.status("/members/a?b=1", "-H", "X-User: alice"), "200")
        self.assertEqual(self.status("/members/a?b=1", "-H", "X-User: bob"), "401")
        self.assertEqual(self.status("/members/mine", "-X", "DELETE"), "200")
        self.assertEqual(self.status("/members/yours", "-X", "DELETE"), "403")
        line = f"/check/members/a?b=1 {CLIENT4} main.test"
        self.assertEqual(self.asked.read_text().splitlines(), [line, line], "once for each user")

    def test_a_mirror_gets_a_copy(self):
        stored = self.lab.directory / "nginx-web2" / "put" / "copy"
        body = self.lab.directory / "copied"
        body.write_bytes(os.urandom(9000))
        self.assertIn(self.status("/put/copy", "-T", body, host="mirrored.test"), ("201", "204"))
        wait_for(lambda: stored.exists() and stored.read_bytes() == body.read_bytes(), 5, "the copy is there")

    def test_what_is_no_request_is_refused(self):
        for octets, status in ((b"GET / HTTP/1.1\r\n\r\n", b"400"), (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
                               (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
                               (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20000 + b"\r\n\r\n", b"431"),
                               (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", b"505")):
            self.assertEqual(self.raw(octets)[9:12], status, octets[:60])

    def test_downloads_are_what_the_server_has(self):
        large = self.lab.directory / "body" / "100m"
        if not large.exists():
            large.write_bytes(os.urandom(MIB) * 100)
        for size in ("1k", "64k", "1m", "10m", "100m"):
            out = self.lab.directory / "download"
            self.curl(f"/body/{size}", "--fail", "-o", out)
            expected = hashlib.sha256((self.lab.directory / "body" / size).read_bytes()).digest()
            self.assertEqual(hashlib.sha256(out.read_bytes()).digest(), expected, size)

    def test_uploads_arrive_whole(self):
        body = self.lab.directory / "upload"
        for octets in (0, 1, 70_000, 10 * MIB):
            for chunked in (False, True)[:1 + bool(octets)]:  # curl never ends an empty body in chunks
                body.write_bytes(os.urandom(octets))
                words = ["-H", "Transfer-Encoding: chunked"] if chunked else []
                name = f"/put/{octets}-{chunked}"
                self.assertIn(self.status(name, "-T", body, *words), ("201", "204"), name)
                stored = self.lab.directory / "nginx-web1" / name.strip("/")
                self.assertEqual(stored.read_bytes(), body.read_bytes(), name)

    def test_one_connection_carries_many_requests(self):
        text = self.curl("/one", "-w", "%{num_connects}", *[f"http://{VIP4}/{n}" for n in range(20)])
        self.assertEqual(text.count("web1 main.test"), 21)
        self.assertEqual(sum(int(n) for n in re.findall(r"\n(\d)", text)), 1)

    def test_pipelined_requests_are_answered_in_order(self):
        requests = b"".join(b"GET /p%d HTTP/1.1\r\nHost: main.test\r\n%s\r\n" % (n, b"Connection: close\r\n" if n == 99 else b"")
                            for n in range(100))
        got = self.raw(requests).decode()
        self.assertEqual([int(n) for n in re.findall(r"web1 main\.test /p(\d+) ", got)], list(range(100)))

    def test_proxy_headers_go_in_and_out(self):
        through = self.curl(":82/x")
        self.assertRegex(through, rf"^told {CLIENT4}:\d+ for=\n$")
        self.assertRegex(self.curl("/told"), rf"^told {CLIENT4}:\d+ for={CLIENT4}\n$")
        self.assertIn(f"for={CLIENT4} ", self.curl(":81/x", "--haproxy-protocol"))
        self.assertIn("told 198.51.100.7:4711 for=198.51.100.7", self.raw(
            b"PROXY TCP4 198.51.100.7 198.51.100.9 4711 80\r\nGET /told HTTP/1.1\r\nHost: main.test\r\nConnection: close\r\n\r\n",
            port=81).decode())
        with self.assertRaises(ConnectionError):
            self.raw(b"GET / HTTP/1.1\r\nHost: main.test\r\n\r\n", port=81)

    def test_a_removed_listener_ends_its_connections_in_good_order(self):
        request = b"GET /told HTTP/1.1\r\nHost: main.test\r\n\r\n"

        def served(connection, octets):
            connection.sendall(octets)
            got = b""
            while not got.endswith(b"for=\n") and not got.endswith(f"for={CLIENT4}\n".encode()):
                more = connection.recv(65536)
                self.assertTrue(more, "closed before the answer was whole")
                got += more
            return got

        def asked_until_last(connection):  # more often than a draining listener lets connections idle
            for _ in range(200):
                got = served(connection, request)
                if b"\r\nConnection: close\r\n" in got:
                    return got
                time.sleep(0.05)
            return self.fail("the listener never drained")
        idle, busy = self.lab.client.socket(), self.lab.client.socket()
        for connection in (idle, busy):
            connection.settimeout(10)
            connection.connect((VIP4, 81))
            self.assertNotIn(b"Connection: close", served(connection, b"PROXY UNKNOWN\r\n" + request))
        whole = configuration(self.lab)
        # Its cluster goes with it, and answers until it has drained.
        less = {**whole, **{kind: [one for one in whole[kind] if one["name"] != "behind"] for kind in ("listeners", "clusters")}}
        try:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                last = pool.submit(asked_until_last, busy)
                self.lab.apply(less)
                last.result()
            self.assertEqual([connection.recv(1) for connection in (busy, idle)], [b"", b""], "no reset")
        finally:
            self.lab.apply(whole)
            idle.close()
            busy.close()

    def test_connect_reaches_what_is_listed(self):
        through = ["-p", "-x", f"http://{VIP4}:80"]
        run = lambda target: self.lab.client.run("curl", "-sS", "--max-time", "20", *through, target, check=False, timeout=40)
        self.assertIn("web2 web.test /c", run(f"http://web.test:{PORT}/c").stdout)
        self.assertIn("403", run("http://web.test:22/c").stderr)
        self.assertIn(b" 413 ", self.raw(b"POST /put/x HTTP/1.1\r\nHost: main.test\r\nContent-Length: 999999999999\r\n\r\n"))

    def test_sessions_stay_where_they_began(self):
        head = self.curl("/sticky", "-i")
        cookie = re.search(r"(?i)set-cookie: (at=[0-9a-f]{16}); Path=/; HttpOnly", head).group(1)
        servers_ = {self.curl("/sticky", "-H", f"Cookie: {cookie}").split()[0] for _ in range(6)}
        self.assertEqual(len(servers_), 1)
        self.assertIn(servers_.pop(), head)

    def test_endpoints_get_a_trace(self):
        self.assertRegex(self.curl("/trace"), r" trace=00-[0-9a-f]{32}-[0-9a-f]{16}-01\n")

    def test_a_half_dead_cluster_is_rescued_by_retries(self):
        self.assertEqual({self.status("/rescued") for _ in range(10)}, {"200"})

    def test_wrk_runs_without_an_error(self):
        for words in (["/hello"], ["/body/1k"], ["/once"]):
            done = self.lab.client.run("wrk", "-t", "1", "-c", "32", "-d", "2s", "-H", "Host: main.test",
                                       f"http://{VIP4}{words[0]}", timeout=30).stdout
            self.assertNotIn("Socket errors", done, words)
            self.assertNotIn("Non-2xx", done, words)
            print(words[0], re.search(r"Requests/sec:\s+(\S+)", done).group(1), "requests/s")

    def test_z_a_server_that_dies_is_replaced_by_the_other(self):
        self.assertEqual({self.curl("/both")[:4] for _ in range(8)}, {"web1", "web2"})
        self.lab.end(self.web2)
        self.assertEqual({self.status("/both") for _ in range(20)}, {"200"})
        self.assertEqual(self.status("/", host="two.test"), "503")

    def test_zz_nothing_is_held_in_the_end(self):
        def held():
            proxy = self.lab.status()["proxy"]
            return {name: proxy[name] for name in ("half_open", "lent_buffers", "blocks_in_use") if proxy[name]}
        wait_for(lambda: not held(), 10, "nothing is held", 0.2)


if __name__ == "__main__":
    unittest.main()
