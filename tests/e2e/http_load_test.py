"""http_load_test.py - HTTP under load: ten thousand connections at once, and a daemon that is killed.

Losses    every request of every client is counted (http_load.py).
"""
import os
import resource
import signal
import time
import unittest

import case
from http_load import HttpLoad
from http_test import PORT, nginx
from lab import Lab, VIP4, server4

MANY, AT_ONCE = 10_000, 256
CLIENTS = 24              # connections of one load
CONNECTION_KIB_MAX = 16   # of the dataplane's memory, per client connection


def resident_kib(pid):
    return case.rss_and_fds(pid)[0]


def configuration(lab):
    both = [{"address": server4(index), "port": PORT} for index in (1, 2)]
    clusters = [{"name": "both", "endpoints": both}]
    routes = [{"match": {"prefix": "/"}, "cluster": "both"}]
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
        cls.web1, cls.web2 = (nginx(cls.lab, f"web{index}", index) for index in (1, 2))
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
        load = HttpLoad(self.lab.client, VIP4, 80, "/", MANY, rounds=2, at_once=AT_ONCE, timeout=20)
        start, peak = time.monotonic(), 0
        load.start()
        while load.thread.is_alive():
            peak = max(peak, self.lab.api_json("GET", "/v1/http")["totals"]["downstream_active"])
            load.thread.join(0.25)
        load.stop()
        seconds = time.monotonic() - start
        memory, daemon = resident_kib(pid), resident_kib(self.lab.daemon.pid)
        print(f"{MANY} connections, {len(load.attempts)} requests in {seconds:.1f} s: {load.outcomes()}, {peak} open at once, "
              f"dataplane {memory / 1024:.0f} MiB ({before / 1024:.0f} before), daemon {daemon / 1024:.0f} MiB")
        print(self.http()["totals"])
        self.assertEqual(load.outcomes(), {"ok": 2 * MANY})
        self.assertEqual(load.opened, MANY, "a connection was not kept")
        self.assertEqual(peak, MANY)
        self.assertLess((memory - before) / MANY, CONNECTION_KIB_MAX)

    def test_b_a_killed_daemon_costs_nothing(self):
        load, pid = self.load("/"), self.lab.dataplane_pid()
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


if __name__ == "__main__":
    case.main()
