"""case.py - the base of the end-to-end tests: a lab per class, the usual servers and services, reading of counters."""
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import lab as lab_module  # noqa: E402
import servers  # noqa: E402
from lab import VIP4, VIP6, Lab, server4, server6, wait_for  # noqa: E402

WEIGHTS = (10, 20, 30)
HTTP_FULLNAT, HTTP_DNAT, ECHO_FULLNAT, ECHO_DNAT = 80, 81, 7000, 7001
DNS_FULLNAT, DNS_DNAT = 53, 54


def endpoints(family, port, weights=WEIGHTS):
    address = server4 if family == 4 else server6
    return [{"address": address(i), "port": port, "weight": weight} for i, weight in enumerate(weights, 1)]


def listener(name, address, port, protocol, cluster, forwarding="fullnat", **more):
    return {"name": name, "address": address, "port": port, "protocol": protocol, "cluster": cluster,
            "forwarding": forwarding, **more}


def usual_clusters():
    return [{"name": f"{kind}{family}", "endpoints": endpoints(family, port)}
            for kind, port in (("web", 8080), ("echo", 7000), ("dns", 53)) for family in (4, 6)]


def usual_listeners():
    rows = []
    for family, vip in ((4, VIP4), (6, VIP6)):
        for forwarding, http, echo, dns in (("fullnat", HTTP_FULLNAT, ECHO_FULLNAT, DNS_FULLNAT),
                                            ("dnat", HTTP_DNAT, ECHO_DNAT, DNS_DNAT)):
            tag = f"{family}-{forwarding}"
            rows.append(listener(f"web{tag}", vip, http, "tcp", f"web{family}", forwarding))
            rows.append(listener(f"echo{tag}", vip, echo, "tcp", f"echo{family}", forwarding))
            rows.append(listener(f"echo-udp{tag}", vip, echo, "udp", f"echo{family}", forwarding))
            rows.append(listener(f"dns{tag}", vip, dns, "udp", f"dns{family}", forwarding))
    return rows


class LabTest(unittest.TestCase):
    """One lab for the class; `node` and `queues` may be overridden."""

    tag = "e2e"
    queues = 1
    server_count = 3
    node = {}
    start = True

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root for network namespaces")
        cls.lab = Lab(cls.tag, queues=cls.queues, server_count=cls.server_count)
        cls.addClassCleanup(cls.end)
        cls.start_servers()
        if cls.start:
            cls.lab.start_daemon(cls.configuration())

    @classmethod
    def end(cls):
        if cls.lab.daemon_log.exists() and os.environ.get("PENSTOCK_SHOW_LOG"):
            print(cls.lab.log_tail(200), file=sys.stderr)
        cls.lab.close()

    @classmethod
    def start_servers(cls):
        for index in range(1, cls.server_count + 1):
            addresses = [server4(index), server6(index)]
            servers.nginx(cls.lab, f"web{index}", addresses, 8080)
            servers.dns(cls.lab, f"dns{index}", addresses, 53)
        servers.echo(cls.lab, {f"echo{i}": [(server4(i), 7000), (server6(i), 7000)]
                               for i in range(1, cls.server_count + 1)})

    @classmethod
    def configuration(cls):
        return cls.lab.config(usual_clusters(), usual_listeners(), **cls.node)

    def run(self, result=None):
        failures = len(result.failures) + len(result.errors) if result else 0
        done = super().run(result)
        if result and len(result.failures) + len(result.errors) > failures:
            print(f"--- {self.id()}: end of the daemon's log\n{self.lab.log_tail(30)}", file=sys.stderr)
        return done

    # Counters

    def listener_state(self, name, status=None):
        return next(row for row in (status or self.lab.status())["listeners"] if row["name"] == name)

    def port_state(self, name, status=None):
        return next(row for row in (status or self.lab.status())["ports"] if row["name"] == name)

    def drops(self, reason):
        return self.lab.status()["drops"][reason]

    def steer_count(self, port, reason):
        return self.port_state(port)["reasons"][reason]

    def wait_verdict(self, verdict="ok", timeout=10):
        def reached():
            status = self.lab.status()
            return status if status["verdict"] == verdict else None
        try:
            return wait_for(reached, timeout, f"verdict {verdict}")
        except TimeoutError as error:
            self.fail(f"{error}; reasons: {self.lab.status()['reasons']}")

    def assert_spread(self, counts, weights, names, tolerance=5.0):
        """Counts follow the weights within `tolerance` standard deviations of a fair draw."""
        total, weight_sum = sum(counts.values()), sum(weights)
        for name, weight in zip(names, weights):
            share = weight / weight_sum
            deviation = (total * share * (1 - share)) ** 0.5
            self.assertLessEqual(abs(counts[name] - total * share), tolerance * deviation,
                                 f"{name}: {counts[name]} of {total}, expected about {total * share:.0f}: {dict(counts)}")


def rss_and_fds(pid):
    """(resident KiB, open descriptors) of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]), len(os.listdir(f"/proc/{pid}/fd"))
    return 0, 0


def main():
    lab_module.end_on_signals()
    start = time.monotonic()
    program = unittest.main(verbosity=2, exit=False)
    print(f"{program.result.testsRun} tests in {time.monotonic() - start:.0f} s", file=sys.stderr)
    sys.exit(0 if program.result.wasSuccessful() else 1)
