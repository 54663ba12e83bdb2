"""http_load_test.py - HTTP under load: ten thousand connections, and what an endpoint's removal and kill -9 of an endpoint, the dataplane, the daemon cost.

Losses    every request of every client is counted (http_load.py). The bounds below are those of docs/guide/http.md.
"""
import os
import resource
import signal
import time
import unittest

import case
from http_load import HttpLoad
from http_test import PORT, nginx
from lab import Lab, VIP4, server4, wait_for

MANY, AT_ONCE = 10_000, 256
CLIENTS = 24          # connections of one load
EJECT_AFTER = 5       # errors in a row
RECOVER_MAX = 3.0     # seconds until requests are answered again, dataplane killed
CONNECTION_KIB_MAX = 16   # of the dataplane's memory, per client connection


def resident_kib(pid):
    return case.rss_and_fds(pid)[0]


def configuration(lab):
    both = [{"address": server4(index), "port": PORT} for index in (1, 2)]
    outlier = {"consecutive_5xx": EJECT_AFTER, "consecutive_gateway_failure": EJECT_AFTER, "base_ejection_time": "60s",
               "max_ejection_percent": 50}
    clusters = [{"name": "both", "endpoints": both, "outlier_detection": outlier, "circuit_breakers": {"max_retries": CLIENTS}},
                {"name": "plain", "endpoints": both, "outlier_detection": outlier},
                {"name": "second", "endpoints": both[::-1]}, {"name": "first", "endpoints": both[:1]}]
    routes = [{"match": {"prefix": "/retried"}, "cluster": "both",
               "retry_policy": {"on": ["connect-failure", "reset"], "num_retries": 2}},
              {"match": {"prefix": "/plain"}, "cluster": "plain"},
              {"match": {"prefix": "/second/"}, "cluster": "second", "prefix_rewrite": "/"},
              {"match": {"prefix": "/"}, "cluster": "first"}]
    listeners = [{"name": "http", "address": VIP4, "port": 80, "protocol": "http", "mode": "proxy",
                  "virtual_hosts": [{"name": "main", "domains": ["main.test"], "routes": routes}]}]
    return lab.config(clusters, listeners)


class Load(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root for network namespaces")
        cls.lab = Lab("htload", server_count=2)
        cls.addClassCleanup(cls.end)
        cls.web1, cls.web2 = (nginx(cls.lab, f"web{index}", index, master=True) for index in (1, 2))
        cls.lab.start_daemon(configuration(cls.lab))

    @classmethod
    def end(cls):
        if os.environ.get("PENSTOCK_SHOW_LOG"):
            print(cls.lab.log_tail(100))
        cls.lab.close()

    def load(self, path, **options):
        generator = HttpLoad(self.lab.client, VIP4, 80, path, CLIENTS, **options)
        self.addCleanup(generator.stopping.set)
        return generator.start()

    def http(self):
        """Sums of the workers' HTTP counters."""
        return self.lab.api_json("GET", "/v1/http")

    def test_a_ten_thousand_connections_at_once(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (MANY + 1000, max(hard, MANY + 1000)))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        pid, before = self.lab.dataplane_pid(), resident_kib(self.lab.dataplane_pid())
        load = HttpLoad(self.lab.client, VIP4, 80, "/", MANY, rounds=2, at_once=AT_ONCE, timeout=20, keep=True)
        start = time.monotonic()
        load.start()
        self.addCleanup(load.may_close.set)
        self.assertTrue(load.rounds_done.wait(60), "two requests on each connection within a minute")
        seconds = time.monotonic() - start
        try:
            wait_for(lambda: self.http()["totals"]["downstream_active"] == MANY, 5, "all are open", 0.1)
        except TimeoutError:
            pass  # the assertion below says how many
        open_at_once = self.http()["totals"]["downstream_active"]
        load.may_close.set()
        load.stop()
        memory, daemon = resident_kib(pid), resident_kib(self.lab.daemon.pid)
        print(f"{MANY} connections, {len(load.attempts)} requests in {seconds:.1f} s: {load.outcomes()}, {open_at_once} open at once, "
              f"dataplane {memory / 1024:.0f} MiB ({before / 1024:.0f} before), daemon {daemon / 1024:.0f} MiB")
        print(self.http()["totals"])
        self.assertEqual(load.outcomes(), {"ok": 2 * MANY})
        self.assertEqual(load.opened, MANY, "a connection was not kept")
        self.assertEqual(open_at_once, MANY)
        self.assertLess((memory - before) / MANY, CONNECTION_KIB_MAX)

    def test_b_a_killed_daemon_costs_nothing(self):
        load, pid = self.load("/retried"), self.lab.dataplane_pid()
        time.sleep(0.7)
        self.lab.stop_daemon(signal.SIGKILL)
        time.sleep(0.7)
        self.lab.start_daemon()
        time.sleep(0.7)
        load.stop()
        print(f"daemon killed: {len(load.attempts)} requests, {load.outcomes()}")
        self.assertEqual(load.lost(), [])
        self.assertEqual(load.opened, CLIENTS, "a connection was lost")
        self.assertEqual(self.lab.dataplane_pid(), pid)

    def test_bb_a_removed_endpoint_drains(self):
        whole, less = configuration(self.lab), configuration(self.lab)
        for cluster in less["clusters"]:
            cluster["endpoints"] = [e for e in cluster["endpoints"] if e["address"] != server4(2)]
        head, body = self.lab.directory / "slow-head", self.lab.directory / "slow-body"
        load = self.load("/plain")  # nothing is tried again
        slow = self.lab.popen(self.lab.client, "curl", "-sS", "--fail", "--limit-rate", "4M", "-H", "Host: main.test",
                              "-D", head, "-o", body, f"http://{VIP4}/second/body/10m")
        wait_for(lambda: head.exists() and b"\r\n\r\n" in head.read_bytes(), 5, "the slow response begins", 0.02)
        self.assertIn("x-server: web2", head.read_text().lower())
        for _ in range(4):
            moment = time.monotonic()
            wait_for(lambda since=moment: load.spread(since).get("web2"), 5, "the endpoint is used", 0.05)
            self.lab.apply(less)
            moment = time.monotonic() + 0.2  # what was under way has come
            time.sleep(0.5)
            self.assertEqual(set(load.spread(moment)), {"web1"})
            self.lab.apply(whole)
        load.stop()
        self.assertEqual(slow.wait(20), 0, "a response under way was cut off")
        self.assertEqual(body.read_bytes(), (self.lab.directory / "body" / "10m").read_bytes())
        print(f"endpoint removed four times: {len(load.attempts)} requests, {load.outcomes()}")
        self.assertEqual(load.lost(), [])
        self.assertEqual(load.opened, CLIENTS, "a connection was lost")

    def test_c_a_killed_dataplane_costs_what_was_under_way(self):
        load = self.load("/retried")
        time.sleep(0.7)
        pid = self.lab.dataplane_pid()
        os.kill(pid, signal.SIGKILL)
        moment = time.monotonic() + 0.05  # what was under way has come
        wait_for(lambda: load.first_success_after(moment) < 60, 15, "requests are answered again", 0.05)
        recovered = load.first_success_after(moment)
        wait_for(lambda: len([a for a in load.attempts if a.start > moment and a.outcome == "ok"]) > 20 * CLIENTS, 15,
                 "all of them", 0.1)
        load.stop()
        print(f"dataplane killed: {len(load.attempts)} requests, {load.outcomes()}, answered again after {recovered:.2f} s")
        self.assertLessEqual(len(load.lost()), CLIENTS, "a request beside those under way was lost")
        self.assertLess(recovered, RECOVER_MAX)
        self.assertNotEqual(self.lab.dataplane_pid(), pid)

    def test_d_a_killed_endpoint_is_replaced(self):
        retried, plain = self.load("/retried"), self.load("/plain")
        time.sleep(0.7)
        self.assertEqual(set(retried.spread()), {"web1", "web2"})
        moment = time.monotonic()
        os.killpg(self.web2.pid, signal.SIGKILL)  # the master and its workers
        time.sleep(1.5)
        for load in (retried, plain):
            load.stop()
        print(f"endpoint killed: with retries {retried.outcomes()}, without {plain.outcomes()}, "
              f"afterwards {dict(plain.spread(moment + 0.5))}")
        self.assertEqual(retried.lost(), [])
        self.assertLessEqual(len(plain.lost()), CLIENTS + EJECT_AFTER)
        self.assertEqual([a for a in plain.lost() if a.start > moment + 0.5], [], "not left out after half a second")
        self.assertEqual(set(plain.spread(moment + 0.5)), {"web1"})


if __name__ == "__main__":
    case.main()
