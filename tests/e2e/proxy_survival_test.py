"""proxy_survival_test.py - proxied connections while things happen to Penstock: kill -9, reloads; and what tools show of them."""
import contextlib
import json
import os
import signal
import subprocess
import time

import case
import duts
import servers
import xdp_swap
from lab import VIP4, VIP6, server4, server6, wait_for
from proxy_case import TRANSFER, WEB, ProxyCase
from traffic import EchoStreams, Prober, connect
from transfer import MIB, client_command, transfer

ECHO, HTTP = 7000, 80
GAP_MAX = 0.2         # seconds until a new connection succeeds, dataplane killed
FAST_PATH_MAX = 3.0   # seconds until frames flow through the dataplane again
RESET_MAX = 6.0       # seconds until a connection that sends knows that it is lost
RELOADS = 100


class Survival(ProxyCase):
    tag = "prxv"
    stages = ()
    large_frames = False

    @classmethod
    def setUpClass(cls):
        if duts.chosen() == "haproxy":
            raise case.unittest.SkipTest("HAProxy has nobody to restart it, and its reloads are another matter")
        super().setUpClass()

    @classmethod
    def start_servers(cls):
        servers.echo(cls.lab, {"echo1": [(server4(1), ECHO), (server6(1), ECHO)]})

    @classmethod
    def services(cls):
        return [*super().services(), ("echo", ECHO, ECHO)]

    def setUp(self):
        super().setUp()
        self.generators = []

    def tearDown(self):
        for generator in self.generators:
            generator.stopping.set()

    def streams(self, count=10, interval=0.05):
        for address in (VIP4, VIP6):
            self.generators.append(EchoStreams(self.lab.client, address, ECHO, count, interval).start())
        return self.generators[-2:]

    def prober(self, interval=0.01):
        self.generators.append(Prober(self.lab.client, VIP4, HTTP, interval=interval, timeout=6).start())
        return self.generators[-1]

    def bulk(self, **options):
        """A checked transfer in the background; its report by communicate()."""
        command = client_command(self.lab.client, VIP4, TRANSFER, **options)
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def opened(self):
        """Connections that the dataplane has taken; None while nobody knows."""
        with contextlib.suppress(OSError, RuntimeError):
            counters = self.lab.api_json("GET", "/v1/counters")["workers"]
            return sum(worker["proxy"]["opened_total"] if self.dut.proxy else worker["flows_created_total"]
                       for worker in counters)
        return None

    def wait_fast_path(self, old_pid, since):
        """Seconds since `since` until a new process has taken connections."""
        def takes():
            with contextlib.suppress(OSError, RuntimeError):
                pid = self.lab.status()["dataplane"]["pid"]
                return pid not in (0, old_pid) and (self.opened() or 0) > 5
            return False
        wait_for(takes, 20, "a new dataplane takes connections")
        return time.monotonic() - since

    def test_a_killed_dataplane_loses_its_connections_and_no_new_ones(self):
        groups, prober = self.streams(), self.prober()
        transfers = self.bulk(connections=4, down=4096 * MIB, timeout=30)
        time.sleep(1.5)
        old, moment = self.lab.dataplane_pid(), time.monotonic()
        os.kill(old, signal.SIGKILL)
        back = self.wait_fast_path(old, moment)

        def all_broken():
            return all(len(group.broken()) == len(group.streams) for group in groups)
        if self.dut.proxy:
            wait_for(all_broken, RESET_MAX, "connections that send are reset")
            reset_after = time.monotonic() - moment
            errors = {error for group in groups for _server, _sent, error in group.broken()}
            self.assertTrue(all(error.startswith("ConnectionResetError") for error in errors), errors)
        transfers.send_signal(signal.SIGKILL)
        transfers.communicate()
        time.sleep(1)
        prober.stop()
        first, gap = prober.first_success_after(moment), prober.gap_around(moment)
        print(f"{self.dut.name}: killed: first success after {first * 1e3:.0f} ms, longest gap {gap * 1e3:.0f} ms, fast path "
              f"after {back:.2f} s" + (f", all connections reset after {reset_after:.2f} s" if self.dut.proxy else ""))
        self.assertLess(first, GAP_MAX)
        self.assertLess(gap, GAP_MAX)
        self.assertLess(back, FAST_PATH_MAX)
        late = [attempt for attempt in prober.failed() if attempt.start > moment]
        told = [f"{(a.start - moment) * 1e3:.0f} ms: {a.outcome}" for a in late]
        self.assertEqual(told, [], f"of {len(prober.attempts)}; fast path after {back:.2f} s")
        for address in (VIP4, VIP6):
            self.assert_all_arrived(transfer(self.lab.client, address, TRANSFER, connections=20, up=MIB, down=MIB), 20)

    def test_a_killed_daemon_and_a_swapped_program_are_not_noticed_by_connections(self):
        groups, prober = self.streams(), self.prober()
        transfers = self.bulk(connections=4, down=16 * MIB, read_rate=4 * MIB, timeout=60)
        time.sleep(1)
        pid, moment = self.lab.dataplane_pid(), time.monotonic()
        self.lab.stop_daemon(signal.SIGKILL)
        time.sleep(0.5)
        self.assertEqual(xdp_swap.swap(self.lab.runtime_dir / "bpf", self.large_frames), 2)
        time.sleep(0.5)
        self.lab.start_daemon()
        self.assert_all_arrived(json.loads(transfers.communicate(timeout=60)[0]), 4)
        prober.stop()
        self.assertEqual([group.broken() for group in groups], [[], []])
        self.assertEqual(self.lab.dataplane_pid(), pid)
        self.assertEqual(prober.failed(), [], f"of {len(prober.attempts)}")
        self.assertLess(prober.gap_around(moment, 4), GAP_MAX)
        self.assertEqual(self.lab.log_tail(100).count("program replaced"), 2, self.lab.log_tail(30))

    def test_a_hundred_reloads_break_nothing(self):
        groups, prober = self.streams(), self.prober(0.02)
        transfers = self.bulk(connections=4, up=8 * MIB, down=8 * MIB, read_rate=MIB, server_read_rate=MIB, timeout=90)
        pid, memory = self.lab.dataplane_pid(), self.dut.memory_kib()
        start = time.monotonic()
        for step in range(RELOADS):
            self.lab.apply(self.variant(step))
        seconds = time.monotonic() - start
        self.lab.apply(self.dut.configuration())
        self.assert_all_arrived(json.loads(transfers.communicate(timeout=90)[0]), 4)
        prober.stop()
        print(f"{self.dut.name}: {RELOADS} reloads in {seconds:.1f} s, {sum(g.messages() for g in groups)} messages, "
              f"{len(prober.attempts)} new connections")
        self.assertEqual([group.broken() for group in groups], [[], []])
        self.assertEqual(prober.failed(), [])
        self.assertEqual(self.lab.dataplane_pid(), pid)
        self.assertLess(self.dut.memory_kib() - memory, 8 * 1024)

    def variant(self, step):
        """A listener and its cluster come and go; a weight changes; the rest stays."""
        mode = {"mode": "proxy"} if self.dut.proxy else {}
        extra = {"name": "extra", "endpoints": [{"address": server4(1), "port": WEB, "weight": 1 + step % 9}]}
        listener = {"name": "extra", "address": VIP4, "port": 9000 + step % 5, "protocol": "tcp", "cluster": "extra", **mode}
        return self.dut.configuration([extra], [listener] if step % 3 else [])

    def test_connections_are_shown(self):
        if not self.dut.proxy:
            self.skipTest("connections of a balancer are the ends' own")
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(contextlib.closing(connect(self.lab.client, address, ECHO)))
                      for address in (VIP4, VIP6)]
            for connection in opened:
                with connection.makefile("rb") as reader:
                    reader.readline()
                    for _ in range(20):
                        connection.sendall(b"x" * 1000)
                        reader.read(1000)
            time.sleep(1.5)
            self.assertIn("established", self.lab.cli("connections").stdout)
            rows = {}
            for address, name in ((VIP4, "echo4"), (VIP6, "echo6")):
                shown = json.loads(self.lab.cli("connections", "--service", name, "--json").stdout)
                self.assertEqual(len(shown["connections"]), 1, shown)
                rows[name] = shown["connections"][0]
        for name, row in rows.items():
            with self.subTest(service=name):
                down, up = row["downstream"], row["upstream"]
                for leg in (down, up):
                    self.assertEqual(leg["state"], "established")
                    self.assertTrue(leg["sack"] and leg["timestamps"] and leg["window_scaling"], leg)
                    self.assertTrue(0 < leg["srtt_microseconds"] < 1_000_000, leg)
                    self.assertTrue(200 <= leg["rto_milliseconds"] <= 60_000, leg)
                    self.assertGreater(leg["cwnd_octets"], 10_000)
                    self.assertGreater(leg["send_window_octets"], 10_000)
                    self.assertGreater(leg["receive_window_octets"], 10_000)
                    self.assertEqual(leg["retransmitted_segments"], 0)
                    self.assertEqual((leg["flight_octets"], leg["queued_octets"]), (0, 0))
                greeting = len("echo1\n")
                self.assertEqual((down["octets_received"], up["octets_sent"]), (20_000, 20_000))
                self.assertEqual((down["octets_sent"], up["octets_received"]), (20_000 + greeting, 20_000 + greeting))
        wait_for(lambda: not json.loads(self.lab.cli("connections", "--json").stdout)["connections"], 10, "no connection is left")


class LargeFrames(Survival):
    """The same through ports with large frames; and the ends keep their offloads whoever serves."""

    tag = "prvl"
    large_frames = True
    test_a_hundred_reloads_break_nothing = test_connections_are_shown = None

    @classmethod
    def port_list(cls):
        return [{**port, "large_frames": True} for port in super().port_list()]

    def octets_per_frame(self, action):
        """Of what the node's interfaces received during `action`."""
        def received():
            rows = [json.loads(self.lab.node.run("ip", "-j", "-s", "link", "show", "dev", f"veth-{role}").stdout)[0]
                    for role in ("client", "servers")]
            return [sum(row["stats64"]["rx"][name] for row in rows) for name in ("bytes", "packets")]
        before = received()
        action()
        octets, frames = [after - n for after, n in zip(received(), before)]
        return octets / frames

    def move(self):
        for address in (VIP4, VIP6):
            self.assert_all_arrived(transfer(self.lab.client, address, TRANSFER, connections=4, up=4 * MIB, down=4 * MIB), 4)

    def test_both_killed_the_kernel_serves_large_frames_and_a_new_daemon_starts_afresh(self):
        prober = self.prober()
        transfers = self.bulk(connections=4, down=4096 * MIB, timeout=30)
        time.sleep(0.5)
        old, moment = self.lab.dataplane_pid(), time.monotonic()
        self.lab.stop_daemon(signal.SIGKILL)
        os.kill(old, signal.SIGKILL)
        gone = time.monotonic() + 0.05
        transfers.send_signal(signal.SIGKILL)
        transfers.communicate()
        self.assertGreater(self.octets_per_frame(self.move), 3000, "the kernel's path, still with offloads")
        self.lab.start_daemon()
        self.wait_fast_path(old, moment)
        self.assertGreater(self.octets_per_frame(self.move), 3000)
        prober.stop()
        first = prober.first_success_after(moment)
        print(f"{self.dut.name}: both killed: first success after {first * 1e3:.0f} ms, longest gap "
              f"{prober.gap_around(moment) * 1e3:.0f} ms")
        self.assertLess(first, GAP_MAX)
        self.assertEqual([a for a in prober.failed() if a.start > gone], [], f"of {len(prober.attempts)}")
        self.assertEqual({port["mode"] for port in self.lab.status()["ports"]}, {"generic"})

    def test_a_refused_port_is_left_alone_and_ports_change_their_kind(self):
        def port():
            return next(row for row in self.lab.status()["ports"] if row["name"] == "veth-client")
        self.lab.node.ip("link set veth-client mtu 3000")  # fits no buffer, says the dataplane
        refused = wait_for(lambda: port()["error"] and port(), 5, "the port is refused")
        self.assertIn("MTU 3000 does not fit a buffer", refused["error"])
        self.assertFalse(refused["attached"])
        self.assertNotIn("xdp", self.lab.node.run("ip", "link", "show", "dev", "veth-client").stdout)
        self.lab.node.ip("link set veth-client mtu 1500")
        wait_for(lambda: port()["steering"], 5, "the port is back")
        self.move()
        # The dataplane survives its daemon; the next one finds another file.
        pid, large = self.lab.dataplane_pid(), self.dut.configuration()
        self.lab.stop_daemon(signal.SIGKILL)
        self.lab.start_daemon({**large, "ports": [{"name": row["name"]} for row in large["ports"]]})
        self.assertEqual({row["mode"] for row in self.lab.status()["ports"]}, {"native"})
        self.move()
        self.lab.apply(large)
        self.assertEqual({row["mode"] for row in self.lab.status()["ports"]}, {"generic"})
        self.move()
        self.assertEqual(self.lab.dataplane_pid(), pid)


class ShownOverALossyWire(ProxyCase):
    """A lossy leg shows its retransmissions, the clean one has none."""

    tag = "prxw"

    def test_retransmissions_are_counted_on_the_leg_that_has_them(self):
        if duts.chosen() != "proxy":
            self.skipTest("connections of a balancer are the ends' own")
        self.both("loss=3", seed=2)
        command = client_command(self.lab.client, VIP4, TRANSFER, down=64 * MIB, read_rate=2 * MIB, timeout=60)
        run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            def repaired():
                rows = json.loads(self.lab.cli("connections", "--service", "transfer4", "--json").stdout)["connections"]
                return rows[0] if rows and rows[0]["downstream"]["retransmitted_segments"] > 20 else None
            row = wait_for(repaired, 30, "retransmissions are shown", 0.3)
            self.assertEqual(row["upstream"]["retransmitted_segments"], 0)
        finally:
            run.kill()
            run.communicate()
        self.assert_nothing_is_held()


if __name__ == "__main__":
    case.main()
