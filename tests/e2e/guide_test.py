"""guide_test.py - the examples of docs/guide do what their pages say: each is applied as it stands and asked by curl.

Model     one lab and one penstockd; the servers' namespace has the addresses that the examples name. Every test applies one
          example. Changed in its text are the interfaces, where files lie, and the size of the memory.
Complete  an example that no test applies fails the last test, so a new one in a page needs a run here.
"""
import collections
import json
import pathlib
import re
import sys
import unittest

import case
from lab import CLIENT4, ROOT, wait_for

GUIDE = ROOT / "docs" / "guide"
SERVER = pathlib.Path(__file__).with_name("guide_server.py")
PORTS = "ports:\n  - name: veth-client\n  - name: veth-servers\n"
PUBLIC, INNER = "198.51.100.10", "10.96.0.20"  # services of the pages and of the example files
# Run elsewhere: the demo; loaded by the unit tests only, since it needs eth1 and shows sections, not what they do.
ELSEWHERE = {"example.yaml", "config_example.yaml"}
# For examples that show a cluster alone.
ASKING = f"""listeners:
  - name: any
    address: {PUBLIC}
    port: 80
    protocol: http
    virtual_hosts:
      - {{{{name: all, domains: ["*"], routes: [{{{{match: {{{{prefix: /}}}}, cluster: {{cluster}}}}}}]}}}}
"""

Answer = collections.namedtuple("Answer", "status seconds headers body")


def examples():
    """{(file, number): text} of all that docs/guide shows."""
    found = {(path.name, 0): path.read_text() for path in GUIDE.glob("*.yaml")}
    for page in GUIDE.glob("*.md"):
        for number, match in enumerate(re.finditer(r"^( *)```yaml\n(.*?)^ *```", page.read_text(), re.M | re.S)):
            indent, text = match.groups()
            found[(page.name, number)] = re.sub(f"^{indent}", "", text, flags=re.M)
    return found


def of_one_route(policy):
    """An example that shows a policy alone, in a route's place."""
    indented = "".join(f"            {line}\n" for line in policy.splitlines())
    return f"""apiVersion: penstock/v1
node: {{addresses: [192.0.2.1]}}
clusters:
  - {{name: web, endpoints: [{{address: 192.0.2.11, port: 8080}}]}}
listeners:
  - name: web
    address: {PUBLIC}
    port: 80
    protocol: http
    virtual_hosts:
      - name: all
        domains: ["*"]
        routes:
          - match: {{prefix: /}}
            cluster: web
{indented}"""


class Guide(case.LabTest):
    tag = "gde"
    server_count = 1
    applied = set()

    @classmethod
    def start_servers(cls):
        lab = cls.lab
        lab.node.ip("addr add 192.0.2.1/24 dev veth-servers")
        lab.servers.ip(*[f"addr add 192.0.2.{n}/24 dev eth0" for n in (11, 12, 21, 22, 31, 32, 41, 42)],
                       *[f"addr add 10.10.2.{n}/24 dev eth0" for n in (12, 19, 21, 22, 29, 31, 32, 41)])
        for space, words in ((lab.servers, ["http", lab.directory, "8080", "9000", "5432"]), (lab.servers, ["told", "25"]),
                             (lab.node, ["authorizer", "127.0.0.1", "9191"])):
            lab.popen(space, sys.executable, SERVER, *words, log=lab.directory / "servers.log")
        for space, port in ((lab.servers, 9000), (lab.servers, 25), (lab.node, 9191)):
            wait_for(lambda: space.run("ss", "-Hltn", f"sport = :{port}").stdout.strip(), 10, f"a server at {port}")

    @classmethod
    def configuration(cls):
        return cls.lab.config([], [])

    def show(self, file, word=None):
        """Applies the example of this file that has this word in it."""
        key, text = next((key, text) for key, text in sorted(examples().items()) if key[0] == file and (word or "") in text)
        self.applied.add(key)
        if "apiVersion" not in text:
            text = of_one_route(text)
        if "listeners:" not in text:
            text += ASKING.format(cluster=re.search(r"name: ([\w-]+)", text)[1])
        ours = f"runtime_dir: {self.lab.runtime_dir}"
        limits = "memory_mib: 192", "limits: {flows_per_worker: 65536, buffers_per_worker: 16384}"
        text = re.sub(r"^node: *\{", f"node: {{{', '.join((ours, *limits))}, ", text, flags=re.M)
        text = re.sub(r"^node:\n", "node:\n" + "".join(f"  {line}\n" for line in (ours, *limits)), text, flags=re.M)
        if not re.search("^node:", text, re.M):
            text += f"node: {{{', '.join((ours, *limits))}, addresses: [192.0.2.1]}}\n"
        text = re.sub(r"^ports:\n(?:[ #].*\n)+", "", text, flags=re.M) + PORTS
        text = text.replace("/var/log/penstock", str(self.lab.directory))
        self.lab.apply(text)

    def ask(self, url, *words):
        """All answers of one curl, which takes [1-9] for nine requests; a host before the path goes to the service."""
        form = "\n%{http_code}\t%{time_total}\t%{header_json}\n---\n"
        done = self.lab.client.run("curl", "-sS", "--max-time", "10", "-w", form, *words, f"http://{url}", timeout=30)
        answers = []
        for part in done.stdout.split("\n---\n")[:-1]:
            at = re.search(r"\n\d{3}\t[\d.]+\t\{", part).start()
            status, seconds, headers = part[at + 1:].split("\t", 2)
            answers.append(Answer(int(status), float(seconds), json.loads(headers), part[:at].rstrip("\n")))
        return answers

    def told(self, url, *words):
        """What the server says that it was asked, of one request."""
        answer = self.ask(url, *words)[0]
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.body)

    def servers_of(self, url, *words):
        answers = self.ask(url, *words)
        self.assertEqual({answer.status for answer in answers}, {200})
        return collections.Counter(json.loads(answer.body)["server"] for answer in answers)

    def sick(self, *addresses):
        (self.lab.directory / "sick").write_text(" ".join(addresses))
        self.addCleanup((self.lab.directory / "sick").unlink, missing_ok=True)

    @staticmethod
    def host(name, address=INNER):
        return ["-H", f"Host: {name}"]

    # A test per page

    def test_quickstart(self):
        self.show("quickstart.md")
        servers = {json.loads(self.ask(f"{PUBLIC}/")[0].body)["server"] for _ in range(12)}
        self.assertEqual(servers, {"192.0.2.11:8080", "192.0.2.12:8080"})

    def test_http_routes(self):
        self.show("http.md", "path_separated_prefix: /api")
        shop = self.host("shop.example")
        self.assertEqual(self.told(f"{INNER}/api/x", *shop)["server"], "10.10.2.21:9000")
        self.assertEqual(self.told(f"{INNER}/apis", *shop)["server"], "10.10.2.11:8080")
        self.assertEqual(self.ask(f"{INNER}/", *self.host("other.example"))[0].status, 404)

    def test_http_tells_endpoints_who_asks(self):
        self.show("http.md", "xff_num_trusted_hops")
        seen = self.told(f"{INNER}/", "-H", "X-Forwarded-For: 203.0.113.9")["headers"]
        self.assertEqual(seen["x-forwarded-for"], f"203.0.113.9, {CLIENT4}")
        self.assertEqual(seen["x-forwarded-proto"], "http")
        self.assertIn(f"for={CLIENT4}", seen["forwarded"])
        self.assertEqual(seen["via"], "1.1 edge")
        self.assertRegex(seen["x-request-id"], "^[0-9a-f]{32}$")
        self.assertRegex(seen["traceparent"], "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")
        ours = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        self.assertEqual(self.told(f"{INNER}/", "-H", f"traceparent: {ours}")["headers"]["traceparent"], ours)

    def test_http_example(self):
        self.show("http_example.yaml")
        shop = self.host("www.shop.example")
        canary = self.told(f"{INNER}/api/a", *shop, "-H", "x-canary: 1")
        self.assertEqual((canary["server"], canary["target"]), ("10.10.2.29:9000", "/api/a"))
        api = self.told(f"{INNER}/api/a?b=c", *shop, "-H", "x-debug: 1")
        self.assertEqual(api["target"], "/v1/a?b=c")
        self.assertEqual(api["headers"]["x-gateway"], "penstock")
        self.assertNotIn("x-debug", api["headers"])
        spread = self.servers_of(f"{INNER}/api/[1-200]", *shop)
        self.assertLess(spread["10.10.2.29:9000"], 40, "about 5 of 100")
        self.assertGreater(min(spread["10.10.2.21:9000"], spread["10.10.2.22:9000"]), 50)
        cart = self.servers_of(f"{INNER}/cart/[1-8]", *shop, "-H", "Cookie: session=abc")
        self.assertEqual(len(cart), 1)
        moved = self.ask(f"{INNER}/items/42", *shop)[0]
        self.assertEqual((moved.status, moved.headers["location"]), (308, ["http://www.shop.example/catalog/42"]))
        self.assertEqual(self.ask(f"{INNER}/", *shop)[0].headers["cache-control"], ["no-store"])
        nowhere = self.ask(f"{INNER}/")[0]
        self.assertEqual((nowhere.status, nowhere.body), (404, "unknown host"))
        self.sick("10.10.2.21")  # retried, then left out
        self.assertEqual(set(self.servers_of(f"{INNER}/api/r[1-20]", *shop)) - {"10.10.2.29:9000"}, {"10.10.2.22:9000"})

    def test_load_balancing(self):
        self.show("load_balancing.md", "ring_hash")
        one = self.servers_of(f"{PUBLIC}/[1-10]", "-H", "Cookie: session=s1")
        self.assertEqual(len(one), 1, "a session stays")
        seen = set()
        for number in range(24):
            seen |= set(self.servers_of(f"{PUBLIC}/", "-H", f"Cookie: session=n{number}"))
        self.assertEqual(seen, {"192.0.2.31:9000", "192.0.2.32:9000"}, "many sessions spread")
        self.sick(next(iter(one)).split(":")[0])
        answers = self.ask(f"{PUBLIC}/[1-12]", "-H", "Cookie: session=s1")
        self.assertEqual([answer.status for answer in answers], [503] * 5 + [200] * 7, "five 5xx leave the endpoint out")

    @unittest.skipUnless(any("session_affinity" in text for text in examples().values()), "no such example")
    def test_sessions_by_cookie(self):
        self.show("load_balancing.md", "session_affinity")
        first = self.ask(f"{PUBLIC}/")[0]
        cookie = first.headers["set-cookie"][0].split(";")[0]
        self.assertTrue(cookie.startswith("penstock="), cookie)
        self.assertEqual(set(self.servers_of(f"{PUBLIC}/[1-10]", "-H", f"Cookie: {cookie}")), {json.loads(first.body)["server"]})

    @unittest.skipUnless(any("connect: {" in text for text in examples().values()), "no such example")
    def test_connect(self):
        self.show("http.md", "connect:")
        through = ["-p", "-x", "http://10.96.0.22:3128"]
        done = self.lab.client.run("curl", "-sS", *through, "http://a.db.example:5432/x")
        self.assertEqual(json.loads(done.stdout)["server"], "10.10.2.41:5432")
        refused = self.lab.client.run("curl", "-sS", *through, "http://other.example:5432/x", check=False)
        self.assertIn("403", refused.stderr)
        large = self.lab.directory / "large"
        large.write_bytes(bytes(2 << 20))
        self.assertEqual(self.ask("10.96.0.22:3128/", "--data-binary", f"@{large}", "-H", "Expect:")[0].status, 413)
        self.assertEqual(self.told("10.96.0.22:3128/upload", "--data-binary", f"@{large}")["method"], "POST")

    def test_health(self):
        self.sick("192.0.2.12")
        self.show("health.md")
        rows = lambda: [row for row in self.lab.status()["endpoints"] if row["cluster"] == "web"]  # others drain
        wait_for(lambda: [row["health"] for row in rows()] == ["healthy", "unhealthy"], 10, "one is ill")
        self.assertIn("503", self.lab.cli("services").stdout)
        self.wait_verdict()
        for _ in range(10):
            self.assertEqual(self.told(f"{PUBLIC}/")["server"], "192.0.2.11:8080")

    def test_policies_authorization(self):
        self.show("policies.md", "x-team")
        for path, words, status in (("/internal/x", [], 403), ("/a", [], 403), ("/a", ["-H", "x-team: payments"], 200),
                                    ("/a", ["-H", "x-team: payments", "-X", "POST"], 403)):
            self.assertEqual(self.ask(f"{PUBLIC}{path}", *words)[0].status, status, (path, words))

    def test_policies_example(self):
        self.show("policies_example.yaml")
        shop, post = self.host("shop.example"), ["-X", "POST"]
        self.assertEqual(self.ask(f"{INNER}/metrics", *shop)[0].status, 403)
        self.assertEqual(self.ask(f"{INNER}/reports/1", *shop)[0].status, 403, "only 10.20/16")
        logins = self.ask(f"{INNER}/login?n=[1-7]", *shop, *post)
        self.assertEqual([answer.status for answer in logins], [200] * 5 + [429] * 2)
        self.assertGreater(int(logins[-1].headers["retry-after"][0]), 0)
        self.assertEqual(self.ask(f"{INNER}/accounts/1", *shop)[0].status, 403, "the daemon says no")
        self.assertEqual(self.ask(f"{INNER}/accounts/1", *shop, *post, "-H", "authorization: Bearer good")[0].status, 200)
        self.assertEqual(self.ask(f"{INNER}/accounts/1", *shop, *post, "-H", "authorization: no")[0].status, 401)
        trials = self.ask(f"{INNER}/trial/[1-90]", *shop, "-H", "x-chaos: 1", "-Z", "--parallel-max", "30")
        self.assertEqual({answer.status for answer in trials} - {503}, {200})
        self.assertTrue(0 < sum(answer.seconds >= 0.3 for answer in trials) < 45, "about 9 wait 0.3 s")

    def test_policies_example_mirrors(self):
        self.show("policies_example.yaml")
        for number in range(10):  # the client may ask 100 times a second
            self.servers_of(f"{INNER}/p{number}/[1-20]", *self.host("shop.example"))
            if "10.10.2.19:8080 GET /p" in (self.lab.directory / "seen").read_text():
                return
        wait_for(lambda: "10.10.2.19:8080 GET /p" in (self.lab.directory / "seen").read_text(), 3, "a copy in 200 requests")

    def test_observability(self):
        self.show("observability.md")
        log = self.lab.directory / "access.json"
        done = self.lab.client.run("h2load", "--h1", "-n", "1500", "-c", "8", f"http://{PUBLIC}/logged", timeout=30).stdout
        self.assertIn("1500 2xx", done)
        wait_for(lambda: log.exists() and log.stat().st_size, 5, "a line in the log")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertLess(len(lines), 100, "about 15 of 1500")
        self.assertEqual({(row["path"], row["status"], row["route"], row["client"].rsplit(":", 1)[0]) for row in lines},
                         {("/logged", 200, "all/pages", CLIENT4)})
        self.assertIn("shop all/pages", self.lab.cli("top", "--once").stdout)
        self.assertIn('penstock_http_responses_by_detail_total{detail="via_upstream"}', self.lab.api("GET", "/metrics")[1])

    def test_proxy(self):
        self.show("proxy.md", "connections_per_worker")
        self.told(f"{PUBLIC}/")
        self.assertEqual(self.lab.cli("connections", "--service", "web").returncode, 0)

    def test_proxy_headers(self):
        self.show("proxy.md", "proxy_protocol: accept")
        for header, told in ((b"PROXY TCP4 203.0.113.7 198.51.100.10 4711 25\r\n", b"220 203.0.113.7:4711\r\n"),
                             (b"GET / HTTP/1.1\r\n\r\n", b"")):
            connection = self.lab.client.socket()
            with connection:
                connection.settimeout(5)
                connection.connect((PUBLIC, 25))
                connection.sendall(header)
                try:
                    self.assertEqual(connection.recv(100), told)
                except ConnectionResetError:
                    self.assertEqual(told, b"", "reset")

    def test_migration(self):
        self.show("migration.md")
        shop = self.host("shop.example")
        moved = self.ask(f"{PUBLIC}/old", *shop)[0]
        self.assertEqual((moved.status, moved.headers["location"]), (301, ["http://shop.example/new"]))
        self.assertEqual(self.told(f"{PUBLIC}/api/a/b?c", *shop)["target"], "/v1/a/b?c")
        self.assertEqual(self.ask(f"{PUBLIC}/other", *shop)[0].status, 404)
        self.sick("192.0.2.21")
        self.assertEqual(set(self.servers_of(f"{PUBLIC}/api/[1-10]", *shop)), {"192.0.2.22:9000"}, "tried again elsewhere")

    def test_tiers(self):
        self.show("tiers.md")
        spliced = lambda: self.lab.api_json("GET", "/v1/counters")["workers"][0]["proxy"]["splices_begun_total"]
        before = spliced()
        for port in (80, 90):  # several requests on one connection
            self.assertEqual(set(self.servers_of(f"{PUBLIC}:{port}/[1-10]")), {"192.0.2.11:8080"}, port)
        self.assertGreater(spliced(), before)

    def test_z_every_example_has_been_applied(self):
        self.assertEqual({key for key in examples() if key[0] not in ELSEWHERE} - self.applied, set())


if __name__ == "__main__":
    case.main()
