"""l4_test.py - TCP and UDP, IPv4 and IPv6, FullNAT and DNAT through real servers, in every worker and queue layout."""
import collections
import contextlib
import hashlib
import pathlib
import socket
import unittest

import case
from case import DNS_DNAT, DNS_FULLNAT, ECHO_DNAT, ECHO_FULLNAT, HTTP_DNAT, HTTP_FULLNAT
from lab import CLIENT4, CLIENT6, NODE_SERVERS4, NODE_SERVERS6, VIP4, VIP6, server4, server6
from traffic import body_digest, dig, echo_bulk, echo_name, family_of, server_name, udp_ask

SERVICES = [(VIP4, HTTP_FULLNAT, NODE_SERVERS4), (VIP6, HTTP_FULLNAT, NODE_SERVERS6),
            (VIP4, HTTP_DNAT, CLIENT4), (VIP6, HTTP_DNAT, CLIENT6)]
OFFLOADS = ("tx", "tso", "gso", "gro")


def echo_line(space, port, address, to_port):
    """(open connection from the client's `port`, name of the echo server that it reached)."""
    connection = space.socket(family_of(address), socket.SOCK_STREAM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.settimeout(5)
    connection.bind(("", port))
    connection.connect((address, to_port))
    return connection, connection.makefile("rb").readline().decode().strip()


def echoes(connection, octets):
    connection.sendall(octets)
    got = b""
    while len(got) < len(octets):
        data = connection.recv(65536)
        if not data:
            break
        got += data
    return got == octets


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

    def test_endpoints_of_dnat_services_are_reached_directly_too(self):
        for address, vip, source, node in ((server4, VIP4, CLIENT4, NODE_SERVERS4),
                                           (server6, VIP6, CLIENT6, NODE_SERVERS6)):
            for index in (1, 2, 3):
                with self.subTest(endpoint=address(index)):
                    for _ in range(5):
                        self.assertEqual(server_name(self.lab.client, address(index), 8080), (f"web{index}", source))
                        self.assertEqual(server_name(self.lab.client, vip, HTTP_DNAT)[1], source)
                        self.assertEqual(server_name(self.lab.node, address(index), 8080), (f"web{index}", node))
                    asked = udp_ask(self.lab.client, address(index), 7000, b"direct", tries=2)
                    self.assertEqual(asked, b"echo%d direct" % index)

    def test_one_client_port_reaches_a_dnat_service_and_its_other_endpoints_at_once(self):
        for family, (address, vip) in enumerate(((server4, VIP4), (server6, VIP6))):
            for port in range(31000 + 10 * family, 31005 + 10 * family):
                with self.subTest(vip=vip, port=port), contextlib.ExitStack() as stack:
                    service, reached = echo_line(self.lab.client, port, vip, ECHO_DNAT)
                    stack.enter_context(service)
                    others = []
                    for index in (1, 2, 3):
                        if reached != f"echo{index}":  # that one would be the same connection to the endpoint
                            connection, name = echo_line(self.lab.client, port, address(index), 7000)
                            others.append(stack.enter_context(connection))
                            self.assertEqual(name, f"echo{index}")
                    for turn in range(20):
                        for connection in (service, *others):
                            self.assertTrue(echoes(connection, b"%05d" % turn * 100))

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
                with self.subTest(offloads=state, address=address, port=port, what="datagrams"):
                    self.assertEqual(udp_ask(self.lab.client, address, port, b"x" * 1400, tries=2)[6:], b"x" * 1400)
        for space in (self.lab.client, self.lab.servers):
            space.run("ethtool", "-K", "eth0", *[word for offload in OFFLOADS for word in (offload, "on")])

    def test_nothing_was_dropped_without_need(self):
        drops = {reason: count for reason, count in self.lab.status()["drops"].items() if count}
        for reason in ("no_listener", "no_flow", "no_endpoint", "bad_checksum", "source_ports_exhausted", "flow_table_full"):
            self.assertNotIn(reason, drops, drops)
        frames = sum(worker["frames_total"] for worker in self.lab.status()["workers"])
        congestion = drops.get("transmit_full", 0) + drops.get("handoff_full", 0)
        self.assertLess(congestion, 0.03 * frames, f"{drops}, {frames} frames")


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
