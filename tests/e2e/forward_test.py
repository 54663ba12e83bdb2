"""forward_test.py - tier X: hot flows are forwarded by the XDP program, whatever becomes of the dataplane, the daemon, and what let them sink."""
import contextlib
import ctypes
import os
import random
import selectors
import signal
import socket
import time

import case
import xdp_swap
from case import ECHO_DNAT, ECHO_FULLNAT
from lab import CLIENT4, CLIENT6, VIP4, VIP6, wait_for
from traffic import Generator, family_of

GAP_MAX = 0.5         # seconds without progress: the scheduler's part, and far below an outage that is noticed
LIFT_GAP_MAX = 1.5    # where frames are lost before the daemon hears of it: one retransmission, perhaps two
SINK_SECONDS = 4      # a fold period and a half, with room
OUTAGE_SECONDS = 1.2
MAP_GET_NEXT_KEY, KEY_OCTETS = 4, 40
PATTERN = random.Random(7).randbytes(65521)
BLOCK, WINDOW = 16384, 65536


def content(offset, octets):
    """What stands at a place of every stream; no two blocks near each other are alike."""
    start = offset % len(PATTERN)
    return (PATTERN * 2)[start:start + octets]


class Transfer(Generator):
    """One connection that sends without end, in small blocks, and checks what comes back; stop() closes it in order."""

    def __init__(self, space, address, port, from_port=0):
        super().__init__()
        self.address, self.sent, self.got, self.stamps = address, 0, 0, []
        connection = self.connection = space.socket(family_of(address), socket.SOCK_STREAM)
        connection.settimeout(5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.bind(("", from_port))
        connection.connect((address, port))
        self.port = connection.getsockname()[1]
        name = b""
        while not name.endswith(b"\n"):
            name += connection.recv(1)
        self.server = name.decode().strip()
        connection.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(connection, selectors.EVENT_READ)

    def loop(self):
        with contextlib.closing(self.connection):
            due = time.monotonic()
            while not self.stopping.is_set():
                now = time.monotonic()
                if now >= due and self.sent - self.got < WINDOW:
                    due = now + 0.002
                    with contextlib.suppress(BlockingIOError):
                        self.sent += self.connection.send(content(self.sent, min(BLOCK, WINDOW - (self.sent - self.got))))
                if self.selector.select(0.002):
                    self._receive()
            self.connection.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + 10
            while self._receive(end=True):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no end after {self.got} of {self.sent} octets")
                self.selector.select(0.1)
            if self.got != self.sent:
                raise RuntimeError(f"{self.got} of {self.sent} octets came back")

    def _receive(self, end=False):
        """False at the end of the stream."""
        try:
            data = self.connection.recv(BLOCK)
        except BlockingIOError:
            return True
        if not data:
            if not end:
                raise ConnectionError("closed by the peer")
            return False
        if data != content(self.got, len(data)):
            raise RuntimeError(f"octets at {self.got} came back changed")
        self.got += len(data)
        self.stamps.append(time.monotonic())
        return True

    def reset(self):
        """Ends it by a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.stopping.set()
        self.thread.join(10)

    def worst(self, since, until=None):
        """Longest time without progress between two moments, seconds."""
        until = until or time.monotonic()
        inside = [stamp for stamp in self.stamps if since <= stamp <= until]
        edges = [since, *inside, until]
        return max(b - a for a, b in zip(edges, edges[1:]))


class Forwarding(case.LabTest):
    tag = "fwd"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gro(True)

    @classmethod
    def gro(cls, on, spaces=None):
        for space in spaces or (cls.lab.client, cls.lab.servers):
            space.run("ethtool", "-K", "eth0", "gro", "on" if on else "off")

    def setUp(self):
        self.transfers = []
        self.left = self.entries()  # of connections that ended unseen, while the dataplane was stopped: until they are idle
        wait_for(self.all_targets, 5, "every port is a redirect target")

    def tearDown(self):
        for transfer in self.transfers:
            transfer.stopping.set()

    def all_targets(self):
        return all(port["redirect_target"] for port in self.lab.status()["ports"])

    def begin(self, address=VIP4, port=ECHO_FULLNAT, **more):
        transfer = Transfer(self.lab.client, address, port, **more).start()
        self.transfers.append(transfer)
        return transfer

    def tier_of(self, address, port, kind="tcp"):
        """l4 or xdp; None when there is no such flow. The address is the service's, the port the client's."""
        client = f"[{CLIENT6}]" if ":" in address else CLIENT4
        rows = self.lab.api_json("GET", f"/v1/flows?client={client.strip('[]')}&limit=1000")["flows"]
        return next((row["tier"] for row in rows if row["client"] == f"{client}:{port}" and row["protocol"] == kind), None)

    def tier(self, transfer):
        return self.tier_of(transfer.address, transfer.port)

    def wait_tier(self, transfer, tier="xdp"):
        def reached():
            if transfer.error:
                raise transfer.error
            return self.tier(transfer) == tier
        wait_for(reached, SINK_SECONDS, f"tier {tier} of {transfer.address} port {transfer.port}", 0.05)

    def sunk(self, *where, **more):
        transfer = self.begin(*where, **more)
        self.wait_tier(transfer)
        return transfer

    def forwarded(self, status=None):
        return [port["reasons"]["forwarded"] for port in (status or self.lab.status())["ports"]]

    def frames(self, status=None):
        return sum(worker["frames_total"] for worker in (status or self.lab.status())["workers"])

    def entries(self):
        """How many steer_forwards has."""
        path = ctypes.create_string_buffer(str(self.lab.runtime_dir / "bpf/v1/steer_forwards").encode())
        map_fd = xdp_swap.bpf(xdp_swap.OBJ_GET, ("Q", xdp_swap.address(path)))
        key, following, count = None, ctypes.create_string_buffer(KEY_OCTETS), 0
        try:
            while True:
                xdp_swap.bpf(MAP_GET_NEXT_KEY, ("I", map_fd), ("I", 0), ("Q", xdp_swap.address(key) if key else 0),
                             ("Q", xdp_swap.address(following)))
                key, count = ctypes.create_string_buffer(following.raw, KEY_OCTETS), count + 1
        except FileNotFoundError:  # behind the last
            return count
        finally:
            os.close(map_fd)

    def assert_forwarded(self, transfer, seconds=0.5):
        """From now on the program alone carries it, both ways."""
        before = self.lab.status()
        moved = transfer.got
        time.sleep(seconds)
        after = self.lab.status()
        grown = [b - a for a, b in zip(self.forwarded(before), self.forwarded(after))]
        worker = self.frames(after) - self.frames(before)
        self.assertGreater(transfer.got - moved, 10 * BLOCK)
        self.assertGreater(min(grown), 50, grown)
        self.assertLess(worker, 0.1 * sum(grown), f"{worker} frames reached the worker, {grown} were forwarded")

    def finish(self, *transfers):
        """Closed in order, whole, and nothing is left in the maps."""
        for transfer in transfers or self.transfers:
            transfer.stop()
        if not transfers:
            wait_for(lambda: self.entries() <= self.left, 5, "no entry is left")
            workers = self.lab.status()["workers"]
            self.assertLessEqual(2 * sum(worker["forwards_active"] for worker in workers), self.left)

    def test_hot_connections_are_forwarded_whole_and_counted(self):
        before = {row["name"]: row for row in self.lab.status()["listeners"]}
        for address in (VIP4, VIP6):
            for port in (ECHO_FULLNAT, ECHO_DNAT):
                self.begin(address, port)
        for transfer in self.transfers:
            self.wait_tier(transfer)
        self.assert_forwarded(self.transfers[0])
        self.assertIn(self.entries() - 2 * len(self.transfers), range(self.left + 1))
        wait_for(lambda: all(transfer.got > 4 << 20 for transfer in self.transfers), 10, "4 MiB each")
        self.finish()
        after = {row["name"]: row for row in self.lab.status()["listeners"]}
        names = [f"echo{family}-{forwarding}" for family in (4, 6) for forwarding in ("fullnat", "dnat")]
        for name, transfer in zip(names, self.transfers):
            for way in ("received_octets_total", "sent_octets_total"):
                self.assertGreaterEqual(after[name][way] - before[name][way], transfer.got, (name, way))

    def test_datagrams_are_forwarded_too(self):
        for address in (VIP4, VIP6):
            for port in (ECHO_FULLNAT, ECHO_DNAT):
                with self.subTest(address=address, port=port), self.lab.client.socket(family_of(address), socket.SOCK_DGRAM) as client:
                    client.settimeout(2)
                    client.connect((address, port))
                    here = client.getsockname()[1]
                    deadline, count = time.monotonic() + SINK_SECONDS, 0
                    while self.tier_of(address, here, "udp") != "xdp":
                        self.assertLess(time.monotonic(), deadline, "the flow does not sink")
                        for _ in range(20):
                            count += 1
                            payload = b"%06d" % count + content(count, count % 1400)
                            client.send(payload)
                            self.assertEqual(client.recv(2048)[6:], payload)
                    before = self.forwarded()
                    for size in (0, 1, 2, 777, 1400) * 4:
                        client.send(content(size, size))
                        self.assertEqual(client.recv(2048)[6:], content(size, size))
                    self.assertGreaterEqual(min(b - a for a, b in zip(before, self.forwarded())), 20)

    def test_without_a_dataplane_connections_go_on_and_end(self):
        goes_on, ends = self.sunk(), self.sunk(VIP6, ECHO_DNAT)
        old = self.lab.dataplane_pid()
        self.lab.daemon.send_signal(signal.SIGSTOP)  # nobody starts another one yet
        try:
            moment = time.monotonic()
            os.kill(old, signal.SIGKILL)
            time.sleep(OUTAGE_SECONDS / 2)
            ends.stop()
            self.assertLess(ends.worst(moment, ends.stamps[-1]), GAP_MAX)
            time.sleep(OUTAGE_SECONDS / 2)
            outage = goes_on.worst(moment)
            self.assertIsNone(self.lab.dataplane_pid())
        finally:
            self.lab.daemon.send_signal(signal.SIGCONT)
        self.wait_verdict()
        self.wait_tier(goes_on)
        print(f"killed: {outage * 1e3:.0f} ms without progress in {OUTAGE_SECONDS} s without a dataplane, "
              f"{goes_on.worst(moment) * 1e3:.0f} ms until it is forwarded by order of the next one")
        self.assertLess(outage, GAP_MAX)
        self.assertLess(goes_on.worst(moment), LIFT_GAP_MAX)
        self.assertNotEqual(self.lab.dataplane_pid(), old)
        self.assertGreaterEqual(sum(worker["flows_restored_total"] for worker in self.lab.status()["workers"]), 1)
        self.assert_forwarded(goes_on)
        self.finish()

    def test_a_stopped_dataplane_is_not_noticed(self):
        goes_on, ends = self.sunk(VIP6, ECHO_FULLNAT), self.sunk(VIP4, ECHO_DNAT)
        pid, moment = self.lab.dataplane_pid(), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(OUTAGE_SECONDS / 2)
            ends.stop()
            time.sleep(OUTAGE_SECONDS / 2)
        finally:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        self.assertLess(ends.worst(moment, ends.stamps[-1]), GAP_MAX)
        self.assertLess(goes_on.worst(moment), GAP_MAX)
        self.wait_tier(goes_on)
        self.wait_verdict()
        self.left += 2  # nobody saw the end of the other one
        self.finish()

    def test_without_gro_at_the_pod_the_worker_forwards(self):
        transfer = self.sunk()
        moment = time.monotonic()
        self.gro(False, [self.lab.servers])
        try:
            self.wait_tier(transfer, "l4")
            port = self.port_state("veth-servers")
            self.assertFalse(port["redirect_target"])
            self.assertIn("gro on", port["redirect_obstacle"])
            self.assertIn("veth-servers", self.lab.cli("ports").stdout.split("XDP does not send to")[1])
            frames, got = self.frames(), transfer.got
            time.sleep(0.3)
            self.assertGreater(self.frames() - frames, 20)
            self.assertGreater(transfer.got, got)
            self.assertLess(transfer.worst(moment), LIFT_GAP_MAX)
        finally:
            self.gro(True)
        self.wait_tier(transfer)
        self.assert_forwarded(transfer)
        self.finish()

    def test_a_listener_is_switched_off_and_on_while_it_serves(self):
        transfer, other = self.sunk(), self.sunk(VIP4, ECHO_DNAT)
        config, moment = self.configuration(), time.monotonic()
        next(row for row in config["listeners"] if row["name"] == "echo4-fullnat")["xdp_forwarding"] = False
        answer = self.lab.apply(config)
        self.assertIn("xdp_forwarding true -> false", answer["changes"])
        self.wait_tier(transfer, "l4")
        self.assertEqual(self.tier(other), "xdp")
        self.lab.apply(self.configuration())
        self.wait_tier(transfer)
        for each in (transfer, other):
            self.assertLess(each.worst(moment), GAP_MAX)
        self.finish()

    def test_a_killed_daemon_changes_nothing(self):
        transfer, moment = self.sunk(), time.monotonic()
        pid = self.lab.dataplane_pid()
        self.lab.stop_daemon(signal.SIGKILL)
        time.sleep(0.3)
        self.lab.start_daemon()
        self.wait_verdict()
        self.assertEqual(self.lab.dataplane_pid(), pid)
        self.assertEqual(self.tier(transfer), "xdp")
        self.assert_forwarded(transfer)
        self.assertLess(transfer.worst(moment), GAP_MAX)
        self.finish()

    def test_a_removed_endpoint_drains_in_xdp(self):
        transfer, moment = self.sunk(), time.monotonic()
        config = self.configuration()
        cluster = next(row for row in config["clusters"] if row["name"] == "echo4")
        del cluster["endpoints"][int(transfer.server[-1]) - 1]
        self.lab.apply(config)
        time.sleep(0.7)
        self.assertEqual(self.tier(transfer), "xdp")
        self.assertLess(transfer.worst(moment), GAP_MAX)
        self.finish()
        self.lab.apply(self.configuration())

    def test_the_same_addresses_and_ports_may_come_again(self):
        for address, port in ((VIP4, ECHO_DNAT), (VIP6, ECHO_FULLNAT)):
            with self.subTest(address=address):
                first = self.sunk(address, port, from_port=40123)
                first.reset()
                second = self.begin(address, port, from_port=40123)
                self.wait_tier(second)
                self.assert_forwarded(second)
                second.stop()
        self.transfers.clear()
        self.finish()


if __name__ == "__main__":
    case.main()
