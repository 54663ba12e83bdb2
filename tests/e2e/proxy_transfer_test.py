"""proxy_transfer_test.py - every octet arrives, both ways, over a lossy, reordering wire; by checked transfers and real programs.

The sizes here fit an ordinary test run; proxy_long.py moves 1 GiB per cell of the same matrix.
"""
import concurrent.futures
import contextlib
import hashlib
import json
import pathlib
import socket
import threading

import case
import duts
from http_bodies import Bodies
from lab import VIP4, VIP6, server4, server6, wait_for
from proxy_case import IPERF, TRANSFER, ProxyCase
from traffic import connect, family_of
from transfer import MIB, transfer

LOSSES = (0, 0.1, 1, 5)  # percent of frames, each way


def wire(loss):
    """Loss and reordering of one direction."""
    return f"loss={loss},reorder={2 if loss else 0},reorder-delay=400us" if loss else "reorder=1,reorder-delay=200us"


class OverALossyWire(ProxyCase):
    """The client's path is impaired."""

    tag = "prxt"

    def matrix(self, address, connections, octets):
        for loss in LOSSES:
            for direction in ("up", "down"):
                with self.subTest(loss=loss, direction=direction, connections=connections):
                    self.both(wire(loss), seed=7)
                    report = transfer(self.lab.client, address, TRANSFER, connections=connections,
                                      timeout=90, **{direction: octets(loss)})
                    print(f"{self.dut.name}: loss {loss} %, {direction}, {connections} connections: "
                          f"{report['goodput_mbit']:.0f} Mbit/s, longest quiet {report['longest_quiet_ms']} ms")
                    self.assert_all_arrived(report, connections)
        self.assert_nothing_is_held()
        self.assert_memory_is_flat()

    def test_one_connection(self):
        self.matrix(VIP4, 1, lambda loss: (48 if loss < 1 else 8 if loss < 5 else 4) * MIB)

    def test_a_thousand_connections(self):
        self.matrix(VIP4, 1000, lambda loss: 20_000 if loss < 5 else 8_000)

    def test_ipv6(self):
        self.both(wire(1))
        report = transfer(self.lab.client, VIP6, TRANSFER, connections=20, up=300_000, down=300_000)
        self.assert_all_arrived(report, 20)

    def test_both_directions_at_once(self):
        self.both(wire(1))
        self.assert_all_arrived(transfer(self.lab.client, VIP4, TRANSFER, connections=4, up=2 * MIB, down=2 * MIB), 4)

    def test_bursts_duplicates_and_jitter(self):
        self.both("burst=0.2x10,duplicate=2,delay=2ms,jitter=1ms,reorder=3,reorder-frames=4,reorder-delay=3ms")
        self.assert_all_arrived(transfer(self.lab.client, VIP4, TRANSFER, connections=8, up=MIB, down=MIB), 8)

    def test_flipped_bits_never_reach_an_end(self):
        self.both("corrupt=1")
        report = transfer(self.lab.client, VIP4, TRANSFER, connections=8, up=MIB, down=MIB)
        self.assert_all_arrived(report, 8)
        self.assertGreater(self.lab.stages["client"].counters()["inbound"]["corrupted"], 20)

    def test_a_narrow_wire_with_a_short_queue(self):
        self.both("rate=40m,delay=5ms,queue=20ms")
        report = transfer(self.lab.client, VIP4, TRANSFER, up=6 * MIB, down=6 * MIB, timeout=60)
        self.assert_all_arrived(report)
        self.assertGreater(report["goodput_mbit"], 20)  # of 80 in both directions together

    def test_curl_downloads_are_what_the_server_has(self):
        self.both(wire(1))
        for address in (VIP4, f"[{VIP6}]"):
            for size in ("64k", "10m"):
                file = pathlib.Path(self.lab.directory, "body", size)
                out = self.lab.directory / "download"
                self.lab.client.run("curl", "-sS", "--fail", "-o", out, f"http://{address}/body/{size}", timeout=90)
                self.assertEqual(hashlib.sha256(out.read_bytes()).digest(), hashlib.sha256(file.read_bytes()).digest())

    def test_iperf3_runs_all_its_ways(self):
        server = self.lab.popen(self.lab.servers, "iperf3", "-s", "-p", IPERF)
        try:
            for words in ([], ["-R"], ["--bidir"], ["-P", "8"], ["-P", "8", "-R"]):
                with self.subTest(words=words):
                    self.both(wire(0.1))
                    done = self.lab.client.run("iperf3", "-c", VIP4, "-p", IPERF, "-t", "2", "-J", *words, timeout=30)
                    total = json.loads(done.stdout)["end"]["sum_received"]
                    print(f"{self.dut.name}: iperf3 {' '.join(words)}: {total['bits_per_second'] / 1e6:.0f} Mbit/s")
                    self.assertGreater(total["bytes"], MIB)
        finally:
            self.lab.end(server)


class OverALossyWireToTheServer(ProxyCase):
    """The server's path is impaired: our active opens and our other leg."""

    tag = "prxs"
    stages = ("servers",)

    def test_connections_open_and_carry(self):
        for loss, direction, octets in ((1, "up", 2 * MIB), (1, "down", 2 * MIB), (5, "up", MIB), (5, "down", MIB)):
            with self.subTest(loss=loss, direction=direction):
                self.both(wire(loss), seed=3)
                report = transfer(self.lab.client, VIP4, TRANSFER, connections=4, timeout=90, **{direction: octets})
                self.assert_all_arrived(report, 4)
        self.assert_nothing_is_held()

    def test_a_thousand_connections(self):
        self.both(wire(1))
        report = transfer(self.lab.client, VIP4, TRANSFER, connections=1000, up=8000, down=8000, timeout=90)
        self.assert_all_arrived(report, 1000)
        self.assert_nothing_is_held()


class WithoutAStage(ProxyCase):
    """Plain veth: whatever offloads the ends have."""

    tag = "prxo"
    stages = ()
    offloads = ("tx", "tso", "gso", "gro")

    def test_offloads_on_and_off(self):
        for state in ("on", "off"):
            for space in (self.lab.client, self.lab.servers):
                space.run("ethtool", "-K", "eth0", *[word for name in self.offloads for word in (name, state)])
            for address in (VIP4, VIP6):
                with self.subTest(offloads=state, address=address):
                    report = transfer(self.lab.client, address, TRANSFER, connections=4, up=16 * MIB, down=16 * MIB)
                    self.assert_all_arrived(report, 4)
        for space in (self.lab.client, self.lab.servers):
            space.run("ethtool", "-K", "eth0", *[word for name in self.offloads for word in (name, "on")])
        self.assert_nothing_is_held()
        self.assert_memory_is_flat()

    def test_a_thousand_connections_that_begin_at_once_all_get_through(self):
        """Each side's answers and octets meet in one receive ring; nobody may lose the connection for that."""
        def arrived():
            ports = self.lab.status()["ports"]
            return {name: sum(port[name] for port in ports) for name in ("steered_frames", "received_frames_total")}
        for options in ({"down": 100_000}, {"up": 100_000}):
            with self.subTest(**options):
                before = arrived() if duts.chosen() == "proxy" else {}
                report = transfer(self.lab.client, VIP4, TRANSFER, connections=1000, timeout=60, **options)
                print(f"{self.dut.name}: 1000 at once, {options}: {report['goodput_mbit']:.0f} Mbit/s, "
                      f"longest quiet {report['longest_quiet_ms']} ms")
                self.assert_all_arrived(report, 1000)
                if not before:
                    continue
                steered, received = [arrived()[name] - n for name, n in before.items()]
                self.assertLess(steered - received, steered / 50, "frames that the rings did not take")
        self.assert_nothing_is_held()

    def test_the_proxy_is_what_carries(self):
        if duts.chosen() != "proxy":
            self.skipTest("of the proxy's counters")

        def counted():
            rows = [worker["proxy"] for worker in self.lab.api_json("GET", "/v1/counters")["workers"]]
            return {name[:-6]: sum(row[name] for row in rows) for name in rows[0] if name.endswith("_total")}
        before = counted()
        self.assert_all_arrived(transfer(self.lab.client, VIP4, TRANSFER, connections=30, up=50_000, down=70_000), 30)
        # What is held is told now and then, counters at once: the last connections may still be closing.
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: counted()["closed"] - before["closed"] >= 30, 5, "all are closed")
        self.assert_nothing_is_held()
        change = {name: n - before[name] for name, n in counted().items() if n != before[name]}
        self.assertEqual((change.get("opened"), change.get("closed")), (30, 30), change)
        for name, octets in (("octets_up", 30 * 50_000), ("octets_down", 30 * 70_000)):  # and requests and reports
            self.assertTrue(octets < change[name] < octets + 30 * 200, change)

    def test_endpoints_are_reached_directly_too(self):
        self.assert_all_arrived(transfer(self.lab.client, server4(1), TRANSFER, up=MIB, down=MIB))


class Spliced(ProxyCase):
    """Two kernels' TCPs talk in turns until their connection is spliced; then both send in bulk, and close."""

    tag = "prxp"
    stages = ()
    port = 7200

    def counted(self, name):
        return sum(worker["proxy"][name] for worker in self.lab.api_json("GET", "/v1/counters")["workers"])

    def talk(self, client, server):
        """Requests and responses in turn, as long as it takes to come to rest."""
        for n in range(50):
            for one, other, words in ((client, server, b"request %d" % n), (server, client, b"response %d" % n)):
                one.sendall(words)
                self.assertEqual(other.recv(100), words)
            if self.counted("splices_active") == 1:
                return
        self.fail(self.lab.api_json("GET", "/v1/counters")["workers"][0]["proxy"])

    @staticmethod
    def pour(end, octets):
        """Sends while it receives; the digests of both streams."""
        sent, received = hashlib.sha256(), hashlib.sha256()

        def write():
            block = hashlib.shake_128(b"%d" % octets).digest(MIB)
            for _ in range(octets // MIB):
                sent.update(block)
                end.sendall(block)
            end.shutdown(socket.SHUT_WR)
        writer = threading.Thread(target=write)
        writer.start()
        while piece := end.recv(1 << 18):
            received.update(piece)
        writer.join()
        return sent.hexdigest(), received.hexdigest()

    def carry(self, address, endpoint):
        with self.lab.servers.socket(family_of(address)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((endpoint, self.port))
            listener.listen()
            listener.settimeout(10)
            with connect(self.lab.client, address, self.port, timeout=20) as client:
                server, _ = listener.accept()
                with server, concurrent.futures.ThreadPoolExecutor(2) as pool:
                    server.settimeout(20)
                    self.talk(client, server)
                    self.assertIn("splice", [flow["tier"] for flow in self.lab.api_json("GET", "/v1/flows")["flows"]])
                    at_client, at_server = [work.result() for work in [
                        pool.submit(self.pour, client, 64 * MIB), pool.submit(self.pour, server, 65 * MIB)]]
        self.assertEqual(at_client, tuple(reversed(at_server)))
        wait_for(lambda: self.counted("splices_ended_total") == self.counted("splices_begun_total"), 20, "it ends")

    def test_bulk_after_a_dialogue_arrives_both_ways(self):
        if duts.chosen() != "proxy":
            self.skipTest("of the proxy's splices")
        self.dut.node["proxy"] = {"time_wait": "1s"}
        clusters = [{"name": f"spliced{v}", "endpoints": [{"address": to, "port": self.port}]}
                    for v, to in ((4, server4(1)), (6, server6(1)))]
        listeners = [{"name": f"spliced{v}", "address": vip, "port": self.port, "protocol": "tcp", "cluster": f"spliced{v}",
                      "mode": "proxy", "splice": True} for v, vip in ((4, VIP4), (6, VIP6))]
        self.lab.apply(self.dut.configuration(clusters, listeners))
        for address, endpoint in ((VIP4, server4(1)), (VIP6, server6(1))):
            with self.subTest(address=address):
                self.carry(address, endpoint)
        self.assertEqual(self.counted("splices_begun_total"), 2)
        self.assert_nothing_is_held()


class LargeFrames(WithoutAStage):
    """Large segments arrive whole, in generic mode; the ends keep their segmentation offload."""

    tag = "prxl"

    @classmethod
    def port_list(cls):
        return [{**port, "large_frames": True} for port in super().port_list()]

    def test_ends_keep_segmentation_offload(self):
        self.assertEqual({port["mode"] for port in self.lab.status()["ports"]}, {"generic"})
        for space in (self.lab.client, self.lab.servers):
            self.assertIn("tcp-segmentation-offload: on", space.run("ethtool", "-k", "eth0").stdout)
        self.assert_all_arrived(transfer(self.lab.client, VIP4, TRANSFER, connections=8, up=8 * MIB, down=8 * MIB), 8)
        ports = self.lab.status()["ports"]
        frames, octets = (sum(port[name] for port in ports) for name in ("steered_frames", "received_octets_total"))
        self.assertGreater(octets / frames, 1600, ports)  # longer than the MTU

    def test_bodies_of_http_arrive_whole_both_ways(self):
        if duts.chosen() != "proxy":
            self.skipTest("of listeners of HTTP")
        bodies = Bodies(self.lab)
        self.lab.apply(self.dut.configuration(bodies.clusters, bodies.listeners))
        for octets in (0, 1, 1449, 70_000, 4_000_001, 256 * MIB):
            bodies.fill(octets)
            for way in bodies.ways():
                server, client, _way, framing = way
                # Chunks cost python's server and client their time: once is enough.
                if client == "curl" and (server == "nginx" or (octets == 4_000_001 and server == "python")):
                    with self.subTest(octets=octets, way=way):
                        self.assertEqual(bodies.move(*way)[0], "")
        self.lab.apply(self.dut.configuration())


class TwoWorkers(WithoutAStage):
    tag = "prx2"
    queues = 2
    node = {"workers": 2, "cpus": [0, 1]}

    def test_both_workers_carry_connections(self):
        report = transfer(self.lab.client, VIP4, TRANSFER, connections=200, up=50_000, down=50_000)
        self.assert_all_arrived(report, 200)
        if duts.chosen() == "haproxy":
            return
        carried = [worker["frames_total"] for worker in self.lab.status()["workers"]]
        self.assertTrue(min(carried) > 1000, carried)


if __name__ == "__main__":
    case.main()
