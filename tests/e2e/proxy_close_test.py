"""proxy_close_test.py - how proxied connections begin and end: half-close, resets, refusals, slow and stopped readers."""
import concurrent.futures
import contextlib
import socket
import time

import case
from lab import VIP4, VIP6, server4
from proxy_case import GREETING, LATE, NOBODY, TRANSFER, ProxyCase
from traffic import connect
from transfer import MIB, transfer

STOP_S = 20             # proxy_long.py stops for ten minutes
RESET_WITHIN_S = 5


class Ending(ProxyCase):
    """What must hold on any wire; `plan` is the wire and `count` the connections of each case."""

    plan, count = "none", 20

    def setUp(self):
        super().setUp()
        self.both(self.plan, seed=5)

    def tearDown(self):
        self.assert_nothing_is_held()

    def move(self, address=VIP4, **options):
        return transfer(self.lab.client, address, TRANSFER, connections=self.count, **options)

    def assert_broken(self, report, count):
        """Each of the client's connections ended by a reset, or at least early if the device does not pass resets on."""
        ended = report["reset"] + report["refused"] + (0 if self.dut.resets_propagate else report["early_end"])
        self.assertEqual((ended, report["corrupted"]), (count, 0), report)

    def assert_server_was_reset(self):
        """Each of the server's connections ended by a reset, if the device passes resets on; or at least ended."""
        if self.dut.resets_propagate:
            return self.assert_server_saw(RESET_WITHIN_S, reset=self.count)
        deadline = time.monotonic() + RESET_WITHIN_S
        while (seen := self.transfer_server.since(self.before)).get("open") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(seen.get("reset", 0) + seen.get("early_end", 0), self.count, seen)

    def test_a_half_closed_client_still_gets_its_answer(self):
        for address in (VIP4, VIP6):
            self.assert_all_arrived(self.move(address, up=300_000, down=300_000, server_last=True), self.count)
        self.assert_server_saw(ok=2 * self.count)

    def test_a_half_closed_server_still_gets_the_rest(self):
        for address in (VIP4, VIP6):
            self.assert_all_arrived(self.move(address, up=300_000, down=300_000, client_last=True), self.count)
        self.assert_server_saw(ok=2 * self.count)

    def test_empty_streams_end(self):
        self.assert_all_arrived(self.move(), self.count)
        self.assert_server_saw(ok=self.count)

    def test_a_client_that_resets(self):
        for way in ({"up": 16 * MIB}, {"down": 16 * MIB}):  # more than all buffers of the path
            with self.subTest(way=way):
                self.before = self.transfer_server.totals()
                # late enough that the endpoint's side is open for certain: no buffer holds so much
                self.assertEqual(self.move(reset_after=3 * MIB, **way)["reset_sent"], self.count)
                self.assert_server_was_reset()

    def test_a_server_that_resets(self):
        for way in ({"up": 16 * MIB}, {"down": 16 * MIB}):
            with self.subTest(way=way):
                self.before = self.transfer_server.totals()
                self.assert_broken(self.move(server_reset_after=200_000, **way), self.count)
                self.assert_server_saw(reset_sent=self.count)

    def test_a_client_that_closes_with_unread_data(self):
        self.assertEqual(self.move(down=16 * MIB, close_after=100_000)["reset_sent"], self.count)
        self.assert_server_was_reset()

    def test_a_server_that_closes_with_unread_data(self):
        self.assert_broken(self.move(up=16 * MIB, server_close_after=100_000), self.count)
        self.assert_server_saw(reset_sent=self.count)

    def test_slow_readers_get_everything(self):
        # 4 s each, in step with the reader
        rate = MIB // 2
        with concurrent.futures.ThreadPoolExecutor() as pool:
            down = pool.submit(self.move, down=2 * MIB, read_rate=rate)
            up = pool.submit(self.move, up=2 * MIB, server_read_rate=rate)
            for report in (down.result(), up.result()):
                self.assert_all_arrived(report, self.count)
                self.assertGreater(report["seconds"], 3.5)


class Ends(Ending):
    """On a wire that loses nothing; and how connections begin."""

    tag = "prxc"

    def test_a_server_that_is_not_there_is_a_reset(self):
        for address in (VIP4, VIP6):
            report = transfer(self.lab.client, address, NOBODY, connections=20, up=10_000, timeout=20)
            self.assert_broken(report, 20)

    def test_a_server_that_does_not_answer_is_a_reset(self):
        rule = f"table inet silent {{\n chain in {{\n type filter hook input priority 0\n tcp dport {NOBODY} drop\n }}\n}}\n"
        self.lab.servers.run("nft", "-f", "-", input=rule)
        try:
            report = transfer(self.lab.client, VIP4, NOBODY, connections=20, up=10_000, timeout=20)
        finally:
            self.lab.servers.run("nft", "delete", "table", "inet", "silent")
        if self.dut.name == "l4":
            self.assertEqual(report["open"], 20, report)  # the client's own patience decides
        else:
            self.assert_broken(report, 20)

    def test_a_server_may_speak_first(self):
        for address in (VIP4, VIP6):
            report = transfer(self.lab.client, address, GREETING, connections=20, up=10_000, down=10_000, greeting=True)
            self.assert_all_arrived(report, 20)

    def test_a_client_may_send_before_the_server_accepts(self):
        sent = bytes(range(256)) * 800
        with contextlib.closing(self.lab.servers.socket()) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((server4(1), LATE))
            listener.listen(4)
            with contextlib.closing(connect(self.lab.client, VIP4, LATE)) as client:
                client.settimeout(10)
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                time.sleep(1.5)
                server, _peer = listener.accept()
                with contextlib.closing(server):
                    server.settimeout(10)
                    self.assertEqual(server.makefile("rb").read(), sent)
                    server.sendall(b"thanks")
                self.assertEqual(client.makefile("rb").read(), b"thanks")

    def test_three_thousand_short_connections(self):
        report = transfer(self.lab.client, VIP4, TRANSFER, connections=3000, start_rate=600, up=100, down=100)
        self.assert_all_arrived(report, 3000)
        self.assert_memory_is_flat()


class EndsOverALossyWire(Ending):
    """Both legs lose: FINs, resets and window updates among it."""

    tag = "prxl"
    stages = ("client", "servers")
    plan = "loss=2,reorder=1,reorder-delay=300us"
    count = 10

    def test_stopped_readers_hold_up_nobody_and_go_on(self):
        # Two readers on each side, with far more to come than any buffer holds.
        stop = {"stop_after": MIB, "stop_ms": STOP_S * 1000}
        ways = [{"down": 16 * MIB, **stop}, {"up": 16 * MIB, **{f"server_{name}": n for name, n in stop.items()}}]
        stopped = []
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for way in ways:
                stopped.append(pool.submit(transfer, self.lab.client, VIP4, TRANSFER, connections=2, timeout=150, **way))
            time.sleep(5)
            held = [self.dut.held()]
            moved = 0
            end = time.monotonic() + STOP_S - 10
            while time.monotonic() < end:
                self.assert_all_arrived(self.move(up=100_000, down=100_000), self.count)
                moved += 1
            held.append(self.dut.held())
            for run in stopped:
                report = run.result()
                self.assert_all_arrived(report, 2)
                self.assertGreater(report["seconds"], STOP_S)
        print(f"{self.dut.name}: {moved} runs of {self.count} connections meanwhile; held {held[0]} -> {held[1]}")
        self.assertGreater(moved, 5)
        for name, first in held[0].items():
            self.assertLessEqual(held[1][name], first * 1.2 + 64, f"{name} grows while readers are stopped")
        self.assert_memory_is_flat()


del Ending  # the cases are those of its two heirs


if __name__ == "__main__":
    case.main()
