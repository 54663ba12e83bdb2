"""results_test.py - a made-up run goes through verdicts, targets, page, summary and comparison."""
import contextlib
import io
import pathlib
import re
import tempfile
import unittest
import xml.etree.ElementTree as tree

from penstock_lab import charts, cli, compare, made_up, page, report, stats, summary, targets
from penstock_lab.results import FORMAT, Results
from penstock_lab.verdict import beside_peers

METRICS = [{"name": "rate", "unit": "requests/s", "better": "higher", "headline": True},
           *({"name": name, "unit": "us", "better": "lower", "headline": False} for name in ("p50", "p90", "p99"))]
DEVICES = {"direct": "none", "nft": "packets", "penstock-fullnat": "packets", "haproxy-tcp": "connections",
           "penstock-proxy": "connections"}


def cell(device, turn, rate, cost, error=None, foreign=0.0):
    cpu = {"seconds": 2.0, "cores": 2, "busy": rate * cost, "ours": rate * cost, "foreign": foreign, "softirq": 0.1, "device": rate * cost / 2,
           "client": rate * cost / 4, "servers": rate * cost / 4, "device_process": rate * cost / 4, "kernel_threads": 0.0,
           "uncharged": rate * cost / 4}
    values = {"operations": rate, "rate": rate, "p50": 400.0, "p90": 900.0, "p99": 2000.0}
    return {"device": device, "load": "keepalive", "round": turn, "values": {} if error else values, "cpu": {} if error else cpu,
            "error": error}


def run(costs, rounds=4, foreign=0.0, wobble=0.02):
    cells = [cell(name, turn, 10000 * (1 + wobble * turn), cost * (1 + wobble * turn), foreign=foreign)
             for turn in range(rounds) for name, cost in costs.items()]
    return Results({"format": FORMAT, "created": "2030-01-01T00:00:00+00:00", "mode": "quick",
                    "machine": {"cpu": "CPU <x>", "cores": 2, "kernel": "6", "memory_mib": 1, "commit": "abc",
                                "tools": {"nginx": None}},
                    "plan": {"rounds": rounds, "seconds": 2, "cores": {"client": [0]}, "took_seconds": 100.0},
                    "devices": {name: {"title": name, "kind": kind, "notes": ""} for name, kind in DEVICES.items()},
                    "loads": {"keepalive": {"title": "kept & counted", "operation": "request", "curve": None, "metrics": METRICS}},
                    "cells": cells, "idle": [{"device": "penstock-proxy", "round": 0, "device_percent": 0.3}], "profiles": []})


COSTS = {"direct": 20e-6, "nft": 30e-6, "penstock-fullnat": 35e-6, "haproxy-tcp": 60e-6, "penstock-proxy": 36e-6}


class Reading(unittest.TestCase):
    def test_what_is_added_is_less_than_what_is_used(self):
        results = run(COSTS, wobble=0)
        self.assertAlmostEqual(results.samples("penstock-proxy", "keepalive", "cost_machine")[0], 36e-6)
        self.assertAlmostEqual(results.samples("penstock-proxy", "keepalive", "cost_added")[0], 16e-6)
        self.assertEqual(results.samples("direct", "keepalive", "cost_added"), [])

    def test_only_devices_of_one_kind_are_compared(self):
        pairs = {(row["device"], row["peer"]) for row in beside_peers(run(COSTS))}
        self.assertEqual(pairs, {("penstock-fullnat", "nft"), ("penstock-proxy", "haproxy-tcp")})

    def test_verdicts_and_targets(self):
        rows = {(row["device"], row["metric"]): row["verdict"].word for row in beside_peers(run(COSTS))}
        self.assertEqual(rows[("penstock-proxy", "cost_added")], "better")
        self.assertEqual(rows[("penstock-fullnat", "cost_added")], "worse")
        found = {row.text: row.word for row in targets.check_targets(run(COSTS))}
        self.assertEqual(found["Proxy: a request adds half of HAProxy's CPU"], "met")
        self.assertEqual(found["L4: a request adds no more CPU than nftables does"], "missed")
        self.assertEqual(found["penstock-proxy: idle CPU"], "met")

    def test_a_noisy_run_meets_and_misses_nothing(self):
        results = run(COSTS, foreign=2.0)
        self.assertEqual({row["verdict"].word for row in beside_peers(results)}, {"refused"})
        self.assertIn("resume RESULTS.json --again", "\n".join(summary.lines(results)))
        self.assertNotIn("--again", "\n".join(summary.lines(run(COSTS))))
        self.assertEqual({row.word for row in targets.check_targets(results) if "CPU" in row.text and "idle" not in row.text},
                         {"refused"})

    def test_rounds_on_slow_cores_do_not_count_where_enough_others_do(self):
        results = run(COSTS, rounds=6, wobble=0)
        for one in results.data["cells"]:
            slow = one["device"] == "penstock-proxy" and one["round"] in (1, 4)
            one["cpu"]["pace"] = 14000 if slow else 10000
            if slow:
                one["cpu"]["ours"] *= 1.4
        self.assertEqual(results.left_out("penstock-proxy", "keepalive"), 2)
        self.assertEqual(results.left_out("haproxy-tcp", "keepalive"), 0)
        self.assertEqual(len(results.samples("penstock-proxy", "keepalive", "cost_machine")), 4)
        self.assertEqual(stats.spread(results.samples("penstock-proxy", "keepalive", "cost_added")), 0)
        self.assertIn("2 disturbed rounds left out", "\n".join(summary.lines(results)))
        self.assertIn("2 disturbed rounds left out", report.page(results))

    def test_slow_cores_in_most_rounds_forbid_a_verdict_though_the_spread_is_small(self):
        results = run(COSTS, wobble=0)
        for one in results.data["cells"]:
            slow = 1.4 if one["device"] == "penstock-proxy" and one["round"] else 1
            one["cpu"].update(pace=10000 * slow, ours=one["cpu"]["ours"] * slow)
        self.assertEqual(results.left_out("penstock-proxy", "keepalive"), 0)
        self.assertIn("slower", results.noise("penstock-proxy", "keepalive", "rate"))
        self.assertEqual(results.noise("penstock-proxy", "keepalive", "cost_added"), "", "seconds allow for it")
        self.assertEqual(results.noise("haproxy-tcp", "keepalive", "rate"), "")

    def test_what_a_device_does_to_the_cores_is_its_own(self):
        results = run(COSTS, wobble=0)
        for one in results.data["cells"]:
            one["cpu"]["pace"] = 14000 if one["device"] == "penstock-proxy" else 10000
        self.assertEqual(results.noise("penstock-proxy", "keepalive", "rate"), "")
        for cost in results.samples("penstock-proxy", "keepalive", "cost_machine"):
            self.assertAlmostEqual(cost, COSTS["penstock-proxy"])

    def test_runs_on_cores_of_another_pace_are_not_compared(self):
        one, other = run(COSTS), run(COSTS)
        for results, pace in ((one, 10000), (other, 12000)):
            for cell_ in results.data["cells"]:
                cell_["cpu"]["pace"] = pace
        self.assertEqual({row[-1].word for row in compare.rows(one, other)}, {"refused"})
        self.assertIn("20% slower in one of the runs", next(compare.rows(one, other))[-1].why)

    def test_a_second_on_slow_cores_counts_less(self):
        results = run(COSTS, wobble=0)
        for one in results.data["cells"]:
            slow = 1.4 if one["device"] == "penstock-proxy" and one["round"] > 1 else 1
            one["cpu"].update(pace=10000 * slow, ours=one["cpu"]["ours"] * slow)
        for cost in results.samples("penstock-proxy", "keepalive", "cost_machine"):
            self.assertAlmostEqual(cost, COSTS["penstock-proxy"])

    def test_a_round_whose_cable_does_not_count_is_beside_the_usual_one(self):
        results = run(COSTS, rounds=6, wobble=0)
        for one in results.data["cells"]:
            hurt = one["device"] == "direct" and one["round"] == 2
            one["cpu"].update(pace=14000 if hurt else 10000, ours=one["cpu"]["ours"] * (1.5 if hurt else 1))
        added = results.samples("haproxy-tcp", "keepalive", "cost_added")
        self.assertEqual(len(added), 6)
        for one in added:
            self.assertAlmostEqual(one, 40e-6)

    def test_costs_and_route_tables_are_judged_by_limits_of_their_own(self):
        results = run({**COSTS, "penstock-http": 26e-6})
        results.devices()["penstock-http"] = {"title": "h", "kind": "requests", "notes": ""}
        for load, cost in (("routes-1", 30e-6), ("routes-1000", 31e-6), ("routes-10000", 60e-6)):
            results.loads()[load] = results.loads()["keepalive"]
            results.data["cells"] += [{**cell("penstock-http", turn, 10000, cost), "load": load} for turn in range(4)]
        found = {row.text: row.word for row in targets.check_targets(results)}
        self.assertEqual(found["HTTP: 140,000 requests per CPU second"], "met")
        self.assertEqual(found["HTTP: 1,000 regular expressions, the last taken, cost no more than one"], "met")
        self.assertEqual(found["HTTP: 10,000 regular expressions, the last taken, cost no more than one"], "missed")
        self.assertIn(("penstock-http", "routes-10000"), targets.missed_places(results))

    def test_latency_and_idle_cpu_get_no_verdict_from_noise(self):
        def added(values, load="latency-awake", apart=None):
            results = run(COSTS)
            results.devices()["direct-apart"] = {"title": "r", "kind": "none", "notes": ""}
            results.loads()[load] = {**results.loads()["keepalive"], "tells_cpu": load == "latency"}
            for turn, value in enumerate(values):
                for name, p50 in (("direct", 20.0), ("penstock-proxy", 20.0 + value), *([("direct-apart", 20.0 + apart)] if apart else [])):
                    one = cell(name, turn, 10000, 30e-6)
                    results.data["cells"].append({**one, "load": load, "values": {**one["values"], "p50": p50}})
            self.page = report.page(results)
            return next(row for row in targets.check_targets(results) if row.text.startswith("penstock-proxy: added p50 of a lone request"))
        self.assertEqual(added([5, 6, 5, 6]).word, "met")
        self.assertEqual(self.page.count("<h4>CPU seconds per"), 1)  # keepalive's
        self.assertEqual((added([62, 63, 64, 65]).word, added([62, 63, 64, 65]).load), ("missed", "latency-awake"))
        self.assertIn("hypervisor", added([62, 63, 64, 65], "latency").why)
        self.assertIn("core is 26.0 us away", added([62, 63, 64, 65], "latency", 26.0).why)
        self.assertEqual(added([5, 900, 10, 20]).word, "refused")
        self.assertEqual(added([62]).word, "refused")
        idle = run(COSTS)
        idle.data["idle"] = [{"device": "penstock-proxy", "round": turn, "device_percent": value} for turn, value in enumerate((0.3, 9.0))]
        self.assertEqual(next(row.word for row in targets.check_targets(idle) if "idle" in row.text), "refused")

    def test_failed_cells_are_told_and_not_counted(self):
        results = run(COSTS)
        results.data["cells"].append(cell("nft", 9, 0, 0, error="wrk did not end"))
        self.assertEqual(len(results.samples("nft", "keepalive", "rate")), 4)
        self.assertIn("wrk did not end", report.page(results))

    def test_another_format_is_refused(self):
        self.assertRaises(ValueError, Results, {"format": 99})


class Pages(unittest.TestCase):
    def test_the_page_needs_nothing_else(self):
        page = report.page(run(COSTS))
        self.assertIsNone(re.search(r"(src|href)=\"(?!#)|@import|url\(|<script", page))
        self.assertIn("CPU &lt;x&gt;", page)
        self.assertIn("kept &amp; counted", page)
        for part in re.findall(r"<svg.*?</svg>", page, re.S):
            tree.fromstring(part)

    def test_an_interrupted_run_leaves_the_page_of_what_it_has(self):
        with tempfile.TemporaryDirectory() as folder:
            place, said = pathlib.Path(folder, "full.json"), io.StringIO()
            run(COSTS, rounds=1).write(place)
            with contextlib.redirect_stderr(said):
                cli.show_interrupted(place)
            self.assertIn("kept &amp; counted", place.with_suffix(".html").read_text())
            self.assertIn(f"scripts/lab resume {place}", said.getvalue())

    def test_a_missed_target_leads_to_its_profile(self):
        results = run(COSTS)
        self.assertEqual(targets.missed_places(results), [("penstock-fullnat", "keepalive")])
        results.data["profiles"].append({"device": "penstock-fullnat", "load": "keepalive", "how": "perf", "symbols": [("copy", 41.0)]})
        page = report.page(results)
        self.assertEqual(page.count('href="#profile-penstock-fullnat-keepalive"'), 1)
        self.assertIn('id="profile-penstock-fullnat-keepalive"', page)

    def test_every_chart_is_there_and_inside_its_frame(self):
        page = report.page(run(COSTS))
        self.assertEqual(set(re.findall(r'href="#([^"]+)"', page)) - set(re.findall(r'id="([^"]+)"', page)), set())
        figures = [tree.fromstring(part) for part in re.findall(r"<svg.*?</svg>", page, re.S)]
        self.assertEqual(len(figures), 4)  # throughput, latency, CPU split, idle
        for figure in figures:
            width, height = map(float, figure.get("viewBox").split()[2:])
            marks = [mark for mark in figure.iter() if mark.tag in ("rect", "line", "circle", "text")]
            self.assertGreater(len(marks), 5)
            for mark in marks:
                for name, most in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("y1", height),
                                   ("y2", height), ("cy", height)):
                    if mark.get(name) is not None:
                        self.assertTrue(0 <= float(mark.get(name)) <= most, (mark.tag, mark.attrib))
                if mark.tag == "rect":
                    self.assertLessEqual(float(mark.get("x")) + float(mark.get("width")), width)

    def test_the_summary_names_every_device(self):
        text = "\n".join(summary.lines(run(COSTS)))
        for name in DEVICES:
            self.assertIn(name, text)

    def test_ticks_are_round_and_reach_the_top(self):
        self.assertEqual(charts.nice_ticks(43210)[-1], 50000)
        self.assertEqual(charts.nice_ticks(0), [0.0, 1.0])
        self.assertEqual(charts.log_ticks(3, 450), [1, 10, 100, 1000])

    def test_curves_need_two_points(self):
        self.assertEqual(charts.curves({"a": [(1, 2)]}, "x", "y"), "")
        tree.fromstring(charts.curves({"a": [(1, 2), (10, 5)], "b": [(1, 3)]}, "x", "y", log_y=True).split("<p class")[0])


class Comparing(unittest.TestCase):
    def test_a_regression_is_found_and_fails(self):
        before, after = run(COSTS), run({**COSTS, "penstock-proxy": 50e-6})
        self.assertTrue(compare.any_worse(before, after))
        self.assertFalse(compare.any_worse(before, run(COSTS)))
        text = "\n".join(compare.lines(before, after))
        self.assertRegex(text, r"penstock-proxy\s+keepalive\s+cost_machine.*WORSE")

    def test_another_machine_is_said(self):
        other = run(COSTS)
        other.data["machine"]["cores"] = 64
        self.assertIn("not the same machine", next(compare.lines(run(COSTS), other)))


class Whole(unittest.TestCase):
    """A run of every device and load."""

    @classmethod
    def setUpClass(cls):
        cls.results = made_up.run()
        cls.page = report.page(cls.results)

    def test_what_was_not_measured_has_its_reason(self):
        self.assertIn("the device may let a close overtake payload", self.page)
        self.assertIn("failed: LoadError: why", self.page)
        pairs = {(row["device"], row["load"]) for row in self.results.data["skipped"]}
        measured = {(cell["device"], cell["load"]) for cell in self.results.data["cells"]}
        self.assertFalse(pairs & measured)
        self.assertEqual(len(pairs | measured), len(self.results.devices()) * len(self.results.loads()))

    def test_no_chart_of_curves_has_more_lines_than_colours(self):
        self.assertGreater(self.page.count("<polyline"), 100)
        self.assertNotIn('dash"', self.page[self.page.index("<h2>Curves"):])

    def test_every_place_that_may_be_missed_is_reserved_for(self):
        names = [list(table) for table in (self.results.devices(), self.results.loads())]
        under_load = [place for place in targets.missed_places(self.results) if place[1] != targets.IDLE]
        self.assertGreaterEqual(targets.places(*names), len(under_load))
        self.assertEqual(targets.places(["penstock-http", "nginx-http"], ["keepalive", "routes-1000", "oneshot"]), 2)

    def test_the_kernel_path_is_never_profiled(self):
        missed = {row.device for row in targets.check_targets(self.results) if row.word == "missed"}
        self.assertIn(targets.KERNEL_PATH, missed)
        self.assertNotIn(targets.KERNEL_PATH, {device for device, _load in targets.missed_places(self.results)})

    def test_single_parts_and_workers_have_their_section(self):
        self.assertIn("Workers side by side", self.page)
        self.results.data["parts"]["worker_bench"]["bars"]["Established/tcp4/1000"] = [90e-9, 91e-9]
        self.results.data["parts"]["worker_bench"]["profiles"]["Established/tcp4/1000"] = [("find", 61.0)]
        page = report.page(self.results)
        self.assertRegex(page, 'v-missed">missed.*61.0 % find')
        self.assertNotIn("Workers side by side", report.page(run(COSTS)))

    def test_every_tier_has_its_device(self):
        for tier, _what, devices in page.TIERS:
            for device in devices.split(", "):
                self.assertIn(device, self.results.devices(), tier)
        self.assertRegex(self.page, "X, in XDP.*penstock-xdp.*S, splice.*penstock-splice")


if __name__ == "__main__":
    unittest.main()
