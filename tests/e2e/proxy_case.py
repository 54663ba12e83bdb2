"""proxy_case.py - the base of the tests of proxied TCP: a lab with an impairment stage, a device under test, servers.

Device    PENSTOCK_DUT: proxy (default), l4 or haproxy (duts.py).
Flat      what connections held must be given back: every test ends with assert_nothing_is_held().
"""
import contextlib
import os
import unittest

import case
import duts
import servers
from impair import ImpairedLab
from lab import VIP4, VIP6, server4, server6, wait_for
from transfer import MIB, TransferServer, transfer

TRANSFER, GREETING, NOBODY, LATE, WEB, IPERF = 7100, 7101, 7102, 7103, 8080, 5201
SERVICES = [("transfer", TRANSFER, TRANSFER), ("greeting", GREETING, GREETING), ("nobody", NOBODY, NOBODY),
            ("late", LATE, LATE), ("web", 80, WEB), ("iperf", IPERF, IPERF)]
# What memory may grow by over a class's tests: allocator and page tables; buffers are preallocated.
RSS_GROWTH_KIB = 8 * 1024


class ProxyCase(unittest.TestCase):
    """One lab for the class."""

    tag = "prx"
    stages = ("client",)
    queues = 1
    node = {}
    verify_checksums = True  # behind the stage checksums are whole, and corruption must be seen

    @classmethod
    def setUpClass(cls):
        if os.getuid() != 0:
            raise unittest.SkipTest("needs root for network namespaces")
        cls.lab = ImpairedLab(cls.tag, stages=cls.stages, queues=cls.queues, server_count=1)
        cls.addClassCleanup(cls.end)
        cls.transfer_server = TransferServer(cls.lab, TRANSFER)
        cls.greeting_server = TransferServer(cls.lab, GREETING, greets=True)
        servers.nginx(cls.lab, "web1", [server4(1), server6(1)], WEB)
        cls.start_servers()
        cls.dut = duts.make(cls.lab, cls.services(), node=cls.node, ports=cls.port_list())
        cls.dut.start()
        transfer(cls.lab.client, VIP4, TRANSFER, connections=50, up=MIB, down=MIB)  # tables and pages exist from here on
        cls.memory_before = cls.dut.memory_kib()

    @classmethod
    def start_servers(cls):
        """More servers of a class's own."""

    @classmethod
    def services(cls):
        return SERVICES

    @classmethod
    def port_list(cls):
        return [{"name": f"veth-{role}", **({"verify_checksums": True} if role in cls.stages and cls.verify_checksums else {})}
                for role in ("client", "servers")]

    @classmethod
    def end(cls):
        if os.environ.get("PENSTOCK_SHOW_LOG"):
            print(cls.lab.log_tail(200))
        cls.lab.close()

    def run(self, result=None):
        failures = len(result.failures) + len(result.errors) if result else 0
        done = super().run(result)
        if result and len(result.failures) + len(result.errors) > failures:
            self.explain()
        return done

    def explain(self):
        print(f"--- {self.id()} with {self.dut.name}")
        for role, stage in self.lab.stages.items():
            print(f"stage {role}: {stage.counters()}")
        print(f"server: {self.transfer_server.totals()}")
        with contextlib.suppress(OSError):  # the daemon may be away
            print(f"held: {self.dut.held()}")
        print(f"end of the daemon's log:\n{self.lab.log_tail(20)}")

    def setUp(self):
        for stage in self.lab.stages.values():
            stage.set()
        self.before = self.transfer_server.totals()

    # What is expected

    def assert_all_arrived(self, report, connections=1):
        """Every connection ended in order, every octet was right at both ends."""
        self.assertEqual((report["ok"], report["misreported"]), (connections, 0), report)

    def assert_server_saw(self, timeout=5, **counts):
        """Exactly these outcomes at the server since the test began, in the end."""
        ignored = ("accepted", "octets_sent", "octets_received")

        def seen():
            return {name: n for name, n in self.transfer_server.since(self.before).items() if name not in ignored}
        try:
            wait_for(lambda: seen() == counts, timeout, "the server saw it", 0.1)
        except TimeoutError:
            self.assertEqual(seen(), counts)

    def assert_nothing_is_held(self, timeout=10):
        """Connections are over and gave back what they held."""
        try:
            wait_for(lambda: not any(self.dut.held().values()), timeout, "nothing is held", 0.2)
        except TimeoutError:
            self.fail(f"still held: {self.dut.held()}")

    def assert_memory_is_flat(self):
        grown = self.dut.memory_kib() - self.memory_before
        self.assertLess(grown, RSS_GROWTH_KIB, f"resident memory grew by {grown} KiB")

    def both(self, plan, seed=1):
        """The same impairment in both directions on every stage."""
        for stage in self.lab.stages.values():
            stage.set(plan, plan, seed)
