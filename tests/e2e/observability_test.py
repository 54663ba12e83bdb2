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

    def endpoints_have_histograms(self, metrics):
        name = "penstock_endpoint_http_latency_seconds"
        for index in (1, 2):
            labels = f'cluster="web",endpoint="{server4(index)}:8080"'
            # Endpoints take turns.
            self.assertIn(f"{name}_count{{{labels}}} {REQUESTS // 2}\n", metrics)
            self.assertIn(f'penstock_endpoint_http_responses_total{{{labels},class="2xx"}} {REQUESTS // 2}\n', metrics)
            for bound, least in (("0.524287", REQUESTS // 2 - 1), ("+Inf", REQUESTS // 2)):
                line = f'{name}_bucket{{{labels},le="{bound}"}} '
                self.assertIn(line, metrics)
                self.assertGreaterEqual(int(metrics.split(line)[1].split("\n")[0]), least)

    def test_what_is_sent_is_counted(self):
        def counted():
            status = self.lab.api_json("GET", "/v1/status")
            return [status["listeners"][0]] + status["endpoints"]

        before = counted()
        for _ in range(REQUESTS):
            self.assertEqual(http_get(self.lab.client, VIP4, PORT, "/a")[0], 200)

        def grown():
            return [{key: after[key] - then[key] for key in after if key.endswith(("packets_total", "octets_total"))}
                    for after, then in zip(counted(), before)]

        # A handshake, a request and its response, an end: at least three packets each way on each connection.
        wait_for(lambda: grown()[0]["sent_packets_total"] >= 3 * REQUESTS, 5, "packets to clients")
        listener_rows, *endpoint_rows = grown()
        self.assertGreaterEqual(listener_rows["received_packets_total"], 3 * REQUESTS)
        self.assertGreater(listener_rows["sent_octets_total"], listener_rows["received_octets_total"])
        for row in endpoint_rows:
            self.assertGreaterEqual(row["received_packets_total"], REQUESTS // 2, "requests to the endpoint")
            self.assertGreaterEqual(row["sent_packets_total"], REQUESTS // 2, "its responses")
        self.assertEqual(self.lab.cli("top", "--once").stdout.count("P99"), 2, "of routes, and of endpoints")

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
        self.endpoints_have_histograms(metrics)
        rates = json.loads(self.lab.cli("top", "--once", "--json").stdout)
        self.assertEqual({row["kind"] for row in rates["http"]}, {"listener", "route", "cluster", "other"})
        self.assertIn("shop all/pages", self.lab.cli("top", "--once").stdout)
        self.assertIn("http", self.lab.cli("services").stdout)


if __name__ == "__main__":
    case.main()
