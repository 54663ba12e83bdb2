"""observability_test.py - what a listener of HTTP leaves behind: counters by route and cluster, an access log, rates."""
import json

import case
import servers
from case import listener
from lab import VIP4, server4, wait_for
from traffic import http_get

PORT = 80
REQUESTS = 20


class Observability(case.LabTest):
    tag = "obs"
    server_count = 2
    node = {}

    @classmethod
    def start_servers(cls):
        for index in (1, 2):
            servers.nginx(cls.lab, f"web{index}", [server4(index)], 8080)

    @classmethod
    def configuration(cls):
        cls.log = cls.lab.directory / "access.json"
        web = {"name": "web", "endpoints": case.endpoints(4, 8080, (1, 1))}
        routes = [{"name": "gone", "match": {"path": "/gone"}, "direct_response": {"status": 410, "body": "gone"}},
                  {"name": "pages", "match": {"prefix": "/"}, "cluster": "web"}]
        shop = listener("shop", VIP4, PORT, "http", "web",
                        virtual_hosts=[{"name": "all", "domains": ["*"], "routes": routes}],
                        http={"access_log_samples": 1000000})
        return cls.lab.config([web], [shop], access_log={"file": str(cls.log), "format": "json"})

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def refused(self, octets):
        with self.lab.client.socket() as connection:
            connection.settimeout(5)
            connection.connect((VIP4, PORT))
            connection.sendall(octets)
            self.assertIn(b" 400 Bad Request\r\n", connection.recv(1000))

    def test_requests_are_counted_by_route_and_logged(self):
        for _ in range(REQUESTS):
            self.assertEqual(http_get(self.lab.client, VIP4, PORT, "/a?b=c")[0], 200)
        self.assertEqual(http_get(self.lab.client, VIP4, PORT, "/gone")[0], 410)
        wait_for(lambda: len(self.lines()) == REQUESTS + 1, 5, "a line per request")
        page, gone = self.lines()[0], self.lines()[-1]
        self.assertEqual((page["listener"], page["method"], page["path"], page["status"], page["route"], page["cluster"]),
                         ("shop", "GET", "/a", 200, "all/pages", "web"))
        self.assertIn(page["endpoint"], [f"{server4(i)}:8080" for i in (1, 2)])
        self.assertGreaterEqual(page["duration_us"], page["upstream_us"])
        self.assertEqual((gone["status"], gone["detail"], gone["route"], gone["endpoint"]),
                         (410, "direct_response", "all/gone", "-"))
        self.refused(b"GET /a b HTTP/1.1\r\n\r\n")
        wait_for(lambda: len(self.lines()) == REQUESTS + 2, 5, "a line for what was refused")
        refused = self.lines()[-1]
        self.assertEqual((refused["status"], refused["detail"], refused["path"], refused["method"]),
                         (400, "bad_request", "GET /a b HTTP/1.1", ""))
        metrics = self.lab.api("GET", "/metrics")[1]
        for line in (f'penstock_http_route_requests_total{{listener="shop",host="all",route="pages"}} {REQUESTS}',
                     'penstock_http_route_responses_total{listener="shop",host="all",route="gone",class="4xx"} 1',
                     f'penstock_http_cluster_latency_seconds_count{{cluster="web"}} {REQUESTS}',
                     f'penstock_http_listener_requests_total{{listener="shop"}} {REQUESTS + 2}',
                     'penstock_http_access_dropped_total 0'):
            self.assertIn(line, metrics)
        rates = json.loads(self.lab.cli("top", "--once", "--json").stdout)
        self.assertEqual({row["kind"] for row in rates["http"]}, {"listener", "route", "cluster", "other"})
        self.assertIn("shop all/pages", self.lab.cli("top", "--once").stdout)
        self.assertIn("http", self.lab.cli("services").stdout)


if __name__ == "__main__":
    case.main()
