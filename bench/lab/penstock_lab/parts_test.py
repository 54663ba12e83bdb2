"""parts_test.py - the lab's pure parts: CPU arithmetic, cores, plan, formats, parsers of what tools print."""
import pathlib
import tempfile
import unittest

from penstock_lab import awake, cpu, duts, formats, loads, plan, procs, profile
from penstock_lab.loads import bulk, conns, packets, routes, web

STAT = "cpu  100 10 50 800 20 5 15 7 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
WRK = """  Thread Stats   Avg      Stdev     Max   +/- Stdev
  Latency Distribution
     50%  408.00us
     75%    1.02ms
     90%    3.25ms
     99%    1.50s
  20791 requests in 1.00s, 3.25MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
Requests/sec:  20783.51
"""


class Cpu(unittest.TestCase):
    def test_busy_is_what_is_neither_idle_nor_stolen(self):
        found = cpu.parse_stat(STAT)
        self.assertAlmostEqual(found["busy"] * cpu.TICK, 180)
        self.assertAlmostEqual(found["idle"] * cpu.TICK, 820)
        self.assertAlmostEqual(found["steal"] * cpu.TICK, 7)
        self.assertAlmostEqual(found["softirq"] * cpu.TICK, 20)

    def test_busy_by_core(self):
        self.assertEqual({core: round(busy * cpu.TICK) for core, busy in cpu.parse_busy(STAT).items()}, {0: 5})

    def test_cgroup_seconds(self):
        self.assertAlmostEqual(cpu.parse_cpu_stat("usage_usec 1500000\nuser_usec 1\nsystem_usec 2\n"), 1.5)

    def test_a_name_with_spaces_and_brackets_is_no_obstacle(self):
        parent, seconds = cpu.parse_process_stat("12 (a ) b) S 7 1 1 0 -1 4 0 0 0 0 100 50 25 25 20 0 1 0")
        self.assertEqual((parent, seconds * cpu.TICK), (7, 200))

    def test_an_ended_child_counts_once(self):
        # 12 had used 5 s, used 1 s more, ended; its parent 7 reaped it and used 0.5 s itself
        self.assertAlmostEqual(cpu.grown({7: 1.0, 12: 5.0}, {7: 7.5}), 1.5)

    def test_the_split_adds_up(self):
        found = cpu.split({"busy": 3.0, "softirq": 0.5, "steal": 0}, {"client": 0.5, "device": 1.0, "servers": 0.4, "lab": 0.1},
                          0.2, 0.3, 2.0, 2)
        self.assertAlmostEqual(found["uncharged"], 0.5)
        self.assertAlmostEqual(found["device"], 1.7)
        self.assertAlmostEqual(found["ours"], 2.6)

    def test_idle_cores_poll_where_the_kernel_has_an_idle_driver(self):
        with tempfile.TemporaryDirectory() as folder:
            driver, latency = pathlib.Path(folder, "driver"), pathlib.Path(folder, "latency")
            self.assertFalse(awake.can_poll(driver, latency))
            latency.write_bytes(b"")
            driver.write_text("none\n")
            self.assertFalse(awake.can_poll(driver, latency))
            driver.write_text("haltpoll\n")
            self.assertTrue(awake.can_poll(driver, latency))
            with awake.polling(latency):
                self.assertEqual(latency.read_bytes(), bytes(4))

    def test_what_keeps_cores_awake_is_no_part_of_anything(self):
        parties = {"client": 0.5, "device": 1.0, "servers": 0.4, "lab": 0.1}
        without = cpu.split({"busy": 3.0, "softirq": 0.5, "steal": 0}, parties, 0.2, 0.3, 2.0, 2)
        awake = cpu.split({"busy": 3.9, "softirq": 0.5, "steal": 0}, {**parties, cpu.AWAKE: 0.9}, 0.2, 0.3, 2.0, 2)
        for name in ("busy", "device", "ours", "uncharged"):
            self.assertAlmostEqual(awake[name], without[name])

    def test_the_device_has_cores_of_its_own_where_there_are_two(self):
        self.assertEqual(procs.cores_for({0, 1}), {"client": {0}, "servers": {0}, "device": {1}, "lab": {0}})
        four = procs.cores_for({0, 1, 2, 3})
        self.assertEqual((four["device"], four["servers"], four["client"]), ({3}, {2}, {0, 1}))
        self.assertEqual(procs.cores_for({5})["device"], {5})

    def test_the_cgroup_tree_is_found_beside_the_old_one(self):
        mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
        self.assertEqual(str(procs.cgroup2_mount(mounts)), "/sys/fs/cgroup/unified")
        self.assertIsNone(procs.cgroup2_mount("tmpfs / tmpfs rw 0 0\n"))


class FakeDevice:
    def __init__(self, name, serves=("web", "bulk"), offloads=None, kind="packets"):
        self.name, self.serves, self.offloads, self.kind = name, serves, offloads, kind
        self.keeps_order, self.configurable, self.routes, self.only = True, False, 0, None


class Plan(unittest.TestCase):
    loads = [bulk.LOADS[0], bulk.LOADS[2], web.LOADS[0]]

    def test_loads_without_offloads_come_last_and_only_where_they_fit(self):
        names = [load.name for load in plan.loads_for(FakeDevice("a"), self.loads)]
        self.assertEqual(names, ["bulk-offload", "keepalive", "bulk"])
        self.assertEqual([load.name for load in plan.loads_for(FakeDevice("b", ("web",)), self.loads)], ["keepalive"])
        self.assertNotIn("bulk-offload", [load.name for load in plan.loads_for(FakeDevice("c", offloads="off"), self.loads)])

    def test_loads_that_are_apart_have_a_bed_of_their_own(self):
        chosen = plan.loads_for(FakeDevice("a"), [loads.find(name) for name in ("ends", "keepalive", "ends-64", "bulk")])
        self.assertEqual([[load.name for load in bed] for bed in plan.beds(chosen)], [["keepalive", "bulk"], ["ends", "ends-64"]])
        self.assertEqual([[load.name for load in bed] for bed in plan.beds(chosen[:1])], [["ends"]])
        alone, both = (plan.turn_seconds(plan.Turn(0, None, one), 1) for one in (chosen[1:2], chosen[:2]))
        self.assertAlmostEqual(both - alone, plan.SETUP_SECONDS + 1 + chosen[0].overhead)

    def test_ten_thousand_connections_come_before_what_uses_up_ports(self):
        names = [load.name for load in plan.loads_for(FakeDevice("a"), [*web.LOADS, conns.Idle()])]
        self.assertEqual(names[0], "idle")

    def test_what_a_flood_would_disturb_comes_before_it(self):
        every = [*web.LOADS, *bulk.LOADS, *packets.LOADS]
        names = [load.name for load in plan.loads_for(FakeDevice("a", serves=("web", "bulk", "sink")), every)]
        self.assertLess(max(map(names.index, ("oneshot-1m", "body-16k-wire", "bulk-down"))), names.index("flood"))

    def test_the_next_load_waits_until_the_device_rests(self):
        used = iter([0.0, 0.1, 0.1, 0.18, 0.18, 0.181])
        self.assertTrue(conns.settle(lambda: next(used), sleep=lambda _seconds: None))
        self.assertIsNone(next(used, None))
        busy = iter(range(1000))
        self.assertFalse(conns.settle(lambda: next(busy), sleep=lambda _seconds: None))

    def test_a_load_takes_back_the_routes_of_another(self):
        asked = []
        device = FakeDevice("a")
        device.routes, device.set_routes = 10, lambda _bed, count, _alike=False: asked.append(count)
        web.LOADS[0].prepare(None, device)
        routes.LOADS[0].prepare(None, device)
        self.assertEqual(asked, [0, 1])

    def test_the_order_of_devices_rotates(self):
        devices = [FakeDevice(name) for name in "abc"]
        order = "".join(turn.device.name for turn in plan.turns(devices, self.loads, 3))
        self.assertEqual(order, "abcbcacab")

    def test_what_most_readers_look_for_comes_first_in_every_load(self):
        devices = [duts.make(name) for name in duts.ALL]
        first = [turn.device.name for turn in plan.turns(devices, list(loads.ALL.values()), 2)]
        self.assertEqual(first[:len(plan.FIRST)], list(plan.FIRST))
        self.assertEqual(set(first[:len(devices)]), set(duts.ALL))
        early = first[:10]  # what a sitting of half an hour plays
        for load in loads.ALL.values():
            kinds = [duts.ALL[name].kind for name in early if load.why_not(duts.make(name)) is None]
            self.assertTrue(any(kinds.count(kind) > 1 for kind in kinds), f"{load.name}: nothing to compare with")

    def test_seconds_follow_from_the_budget(self):
        devices = [FakeDevice(name) for name in "abcdef"]
        short, long = (plan.seconds_for(budget, devices, self.loads, 4) for budget in (300, 600))
        self.assertGreater(long, short)
        total = sum(plan.turn_seconds(turn, long) for turn in plan.turns(devices, self.loads, 4))
        self.assertLessEqual(total + plan.REPORT_SECONDS, 600)
        self.assertEqual(plan.seconds_for(1, devices, self.loads, 4), plan.SECONDS_MIN)

    def test_progress_learns_the_pace_and_refuses_a_round_too_many(self):
        now = [0.0]
        turns = plan.turns([FakeDevice("a"), FakeDevice("b")], self.loads, 2)
        progress = plan.Progress(turns, 1, lambda: now[0])
        one = plan.turn_seconds(turns[0], 1)
        self.assertAlmostEqual(progress.left(), 4 * one)
        now[0] = one / 2
        self.assertAlmostEqual(progress.turn_left(), one / 2)
        self.assertAlmostEqual(progress.left(), 3.5 * one)
        now[0] = 2 * one  # twice as slow as planned
        self.assertAlmostEqual(progress.left(), 3 * one)
        progress.finished()
        self.assertAlmostEqual(progress.left(), 6 * one)
        self.assertTrue(progress.round_fits(2, 6.1 * one))
        self.assertFalse(progress.round_fits(2, 5.9 * one))

    def test_what_is_measured_again_is_no_slowness(self):
        now = [0.0]
        turns = plan.turns([FakeDevice("a"), FakeDevice("b")], self.loads, 2)
        progress, one = plan.Progress(turns, 1, lambda: now[0]), plan.turn_seconds(turns[0], 1)
        now[0], progress.repeated = 2 * one, one
        progress.finished()
        self.assertAlmostEqual(progress.left(), 3 * one)
        self.assertTrue(progress.round_fits(2, 4.1 * one))
        self.assertFalse(progress.round_fits(2, 3.9 * one))


class Texts(unittest.TestCase):
    def test_wrk_is_read(self):
        found = web.parse_wrk(WRK)
        self.assertEqual((found["requests"], found["errors"], found["rate"]), (20791, 3, 20783.51))
        self.assertEqual((found["p50"], found["p90"], found["p99"]), (408.0, 3250.0, 1.5e6))

    def test_perf_is_read(self):
        text = """
    41.20%  [k] copy_from_user                         -      -
     7.05%  [.] penstock::worker::Worker::run(unsigned long)
"""
        self.assertEqual(profile.parse(text), [("copy_from_user (kernel)", 41.2), ("penstock::worker::Worker::run(unsigned long)", 7.05)])

    def test_samples_are_split_into_ours_the_ends_and_the_kernels(self):
        found = profile.shares([("penstock::worker::Worker::run", 40.0), ("tcp_ack (kernel)", 30.0), ("veth_xmit (kernel)", 20.0),
                                ("tcp_like()", 5.0)])
        self.assertEqual(found, {"own": 45.0, "ends": 30.0, "kernel": 20.0})
        self.assertIn("45 % in Penstock", profile.said(found))

    def test_iperf_is_read(self):
        self.assertEqual(bulk.parse_iperf('{"end": {"sum_received": {"bytes": 10, "seconds": 2.0}}}'), (10, 2.0))

    def test_figures_have_three_digits(self):
        for value, text in ((12345, "12.3k"), (999.9, "1.00k"), (0.001234, "0.00123"), (0, "0"), (2.5e6, "2.50M"), (-42, "-42.0"),
                            (None, "-"), (float("inf"), "-")):
            self.assertEqual(formats.number(value), text)
        for value, text in ((1, "1"), (10000, "10,000"), (1024, "1 KiB"), (65536, "64 KiB"), (1 << 20, "1 MiB")):
            self.assertEqual(formats.count(value), text)
        for value, text in ((1.5e-5, "15.0 us"), (0.25, "250 ms"), (3e-9, "3.00 ns"), (12, "12.0 s")):
            self.assertEqual(formats.seconds(value), text)


if __name__ == "__main__":
    unittest.main()
