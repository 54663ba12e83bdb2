"""l4_test.py - TCP and UDP, IPv4 and IPv6, FullNAT and DNAT through real servers, in every worker and queue layout."""
import collections
import hashlib
import pathlib
import unittest

import case
from case import DNS_DNAT, DNS_FULLNAT, ECHO_DNAT, ECHO_FULLNAT, HTTP_DNAT, HTTP_FULLNAT
from lab import CLIENT4, CLIENT6, NODE_SERVERS4, NODE_SERVERS6, VIP4, VIP6
from traffic import body_digest, dig, echo_bulk, echo_name, server_name, udp_ask

SERVICES = [(VIP4, HTTP_FULLNAT, NODE_SERVERS4), (VIP6, HTTP_FULLNAT, NODE_SERVERS6),
            (VIP4, HTTP_DNAT, CLIENT4), (VIP6, HTTP_DNAT, CLIENT6)]
OFFLOADS = ("tx", "tso", "gso", "gro")


class EveryLayout:
    """Tests that run in each layout below."""

    def test_http_reaches_a_server_and_the_server_sees_the_right_source(self):
        for address, port, source in SERVICES:
            with self.subTest(address=address, port=port):
                for _ in range(20):
                    name, seen = server_name(self.lab.client, address, port)
                    self.assertIn(name, ("web1", "web2", "web3"))
                    self.assertEqual(seen, source)

    def test_udp_reaches_a_server(self):
        for address in (VIP4, VIP6):
            for port in (ECHO_FULLNAT, ECHO_DNAT):
                with self.subTest(address=address, port=port):
                    for size in (0, 1, 500, 1400):
                        payload = bytes(i % 251 for i in range(size))
                        answer = udp_ask(self.lab.client, address, port, payload, tries=2)
                        self.assertRegex(answer[:6], rb"echo[123] ")
                        self.assertEqual(answer[6:], payload)
            for port in (DNS_FULLNAT, DNS_DNAT):
                with self.subTest(address=address, port=port, what="dns"):
                    self.assertIn(dig(self.lab.client, address, port), ("dns1", "dns2", "dns3"))

    def test_the_fast_path_carries_it_and_counts_it(self):
        before = self.lab.status()
        for _ in range(50):
            server_name(self.lab.client, VIP4, HTTP_FULLNAT)
        after = self.lab.status()
        flows = [self.listener_state("web4-fullnat", status)["flows_total"] for status in (before, after)]
        self.assertEqual(flows[1] - flows[0], 50)
        steered = [self.port_state("veth-client", status)["reasons"]["redirected_service"] for status in (before, after)]
        self.assertGreaterEqual(steered[1] - steered[0], 50 * 4)  # SYN, request, ACK of the answer, FIN at least

    def test_bodies_up_to_10_mb_arrive_unchanged_with_and_without_offloads(self):
        for state in ("on", "off"):
            for space in (self.lab.client, self.lab.servers):
                space.run("ethtool", "-K", "eth0", *[word for offload in OFFLOADS for word in (offload, state)])
            for address, port, _source in SERVICES:
                for size in ("1k", "64k", "1m", "10m"):
                    with self.subTest(offloads=state, address=address, port=port, size=size):
                        file = pathlib.Path(self.lab.directory, "body", size).read_bytes()
                        self.assertEqual(body_digest(self.lab.client, address, port, size),
                                         (len(file), hashlib.sha256(file).hexdigest()))
            for address, port in ((VIP4, ECHO_FULLNAT), (VIP6, ECHO_DNAT)):
                with self.subTest(offloads=state, address=address, port=port, what="both directions"):
                    echo_bulk(self.lab.client, address, port, 10 << 20)
        for space in (self.lab.client, self.lab.servers):
            space.run("ethtool", "-K", "eth0", *[word for offload in OFFLOADS for word in (offload, "on")])

    def test_nothing_was_dropped_without_need(self):
        drops = {reason: count for reason, count in self.lab.status()["drops"].items() if count}
        for reason in ("no_listener", "no_flow", "no_endpoint", "bad_checksum", "transmit_full", "handoff_full",
                       "source_ports_exhausted", "flow_table_full"):
            self.assertNotIn(reason, drops, drops)


class OneWorker(EveryLayout, case.LabTest):
    tag = "l4a"

    def test_tcp_connections_spread_by_weight(self):
        for address, port in ((VIP4, ECHO_FULLNAT), (VIP6, ECHO_DNAT)):
            with self.subTest(address=address, port=port):
                counts = collections.Counter(echo_name(self.lab.client, address, port) for _ in range(600))
                self.assert_spread(counts, case.WEIGHTS, ("echo1", "echo2", "echo3"))

    def test_udp_flows_spread_by_weight(self):
        counts = collections.Counter(udp_ask(self.lab.client, VIP4, ECHO_DNAT, b"x", tries=2)[:5].decode()
                                     for _ in range(600))
        self.assert_spread(counts, case.WEIGHTS, ("echo1", "echo2", "echo3"))


class TwoWorkersTwoQueues(EveryLayout, case.LabTest):
    tag = "l4b"
    queues = 2
    node = {"workers": 2, "cpus": [0, 1]}


class TwoWorkersOneQueue(EveryLayout, case.LabTest):
    """Worker 1 owns no queue: everything of its flows goes over the hand-off rings."""

    tag = "l4c"
    node = {"workers": 2, "cpus": [0, 1]}

    def test_both_workers_have_flows(self):
        for _ in range(40):
            server_name(self.lab.client, VIP4, HTTP_DNAT)
        created = [worker["flows_created_total"] for worker in self.lab.status()["workers"]]
        self.assertTrue(all(created), created)


class Hugepages(EveryLayout, case.LabTest):
    tag = "l4h"
    node = {"hugepages": "required"}
    pages = pathlib.Path("/proc/sys/vm/nr_hugepages")

    @classmethod
    def setUpClass(cls):
        free = int(next(line.split()[1] for line in pathlib.Path("/proc/meminfo").read_text().splitlines()
                        if line.startswith("MemAvailable")))
        if free < 2 << 20:
            raise unittest.SkipTest("less than 2 GiB of memory are free")
        before = int(cls.pages.read_text())
        cls.addClassCleanup(lambda: cls.pages.write_text(str(before)))
        cls.pages.write_text(str(before + 160))
        if int(cls.pages.read_text()) < before + 160:
            raise unittest.SkipTest("the kernel found no 160 huge pages")
        super().setUpClass()

    def test_the_dataplane_runs_on_hugepages(self):
        self.assertTrue(self.lab.status()["dataplane"]["hugepages"])


if __name__ == "__main__":
    case.main()
