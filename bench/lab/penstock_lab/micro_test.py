"""micro_test.py - records of micro benches: what a sample is, and when one record is slower than another."""
import pathlib
import tempfile
import unittest

from penstock_lab import ROOT, bars, micro


def report(*times, unit="ns", name="lookup/64"):
    runs = [{"run_name": name, "run_type": "iteration", "cpu_time": time, "time_unit": unit} for time in times]
    return {"benchmarks": [*runs, {"run_name": name, "run_type": "aggregate", "cpu_time": 999, "time_unit": unit}]}


def record(**rows):
    return {"format": micro.FORMAT, "machine": {"cpu": "x", "cores": 2}, "commit": "a", "created": "", "rows": dict(rows)}


class Micro(unittest.TestCase):
    def test_a_process_is_one_sample_and_aggregates_are_none(self):
        kept = record()
        for times in ((10, 12, 11), (20, 22, 21)):
            micro.add(kept, "flow_bench", report(*times))
        self.assertEqual([round(1e9 * seconds, 6) for seconds in kept["rows"]["flow_bench/lookup/64"]], [11, 21])
        self.assertEqual(micro.samples_of(report(1.5, unit="ms")), {"lookup/64": 0.0015})

    def test_slower_faster_and_the_same(self):
        base = [10.0, 10.1, 10.2, 10.05, 10.15]
        self.assertEqual(micro.judge(base, [value * 1.1 for value in base])[0], "slower")
        self.assertEqual(micro.judge(base, [value * 0.9 for value in base])[0], "faster")
        self.assertEqual(micro.judge(base, base)[0], "same")

    def test_a_small_move_is_none_even_if_significant(self):
        base = [10.0, 10.01, 10.02, 10.03, 10.04]
        word, ratio, p = micro.judge(base, [value * 1.02 for value in base])
        self.assertEqual(word, "same")
        self.assertLess(p, 0.05)
        self.assertAlmostEqual(ratio, 1.02)

    def test_noise_and_few_processes_are_refused(self):
        self.assertEqual(micro.judge([10, 14, 10, 10], [20, 20, 20, 20])[0], "refused")
        self.assertEqual(micro.judge([10, 10, 10], [20, 20, 20])[0], "refused")

    def test_only_what_both_have_is_compared(self):
        rows, alone = micro.compare(record(a=[1] * 5, b=[1] * 5), record(b=[2] * 5, c=[1] * 5))
        self.assertEqual([(row[0], row[3]) for row in rows], [("b", "slower")])
        self.assertEqual(alone, ["a", "c"])

    def test_records_are_read_back_and_others_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "deep", "a.json")
            micro.write(record(a=[1.0]), path)
            self.assertEqual(micro.read(path)["rows"], {"a": [1.0]})
            path.write_text('{"format": 99}')
            self.assertRaises(ValueError, micro.read, path)
            path.write_text("{")
            self.assertRaises(ValueError, micro.read, path)

    def test_another_machine_is_told(self):
        other = record()
        other["machine"]["cores"] = 64
        self.assertEqual(len(micro.differences(record(), other)), 1)
        self.assertEqual(micro.machine("model name : Some CPU\n")["cpu"], "Some CPU")


class Bars(unittest.TestCase):
    bar = bars.Bar("x", "l4_bench", "rewrite/ipv4_tcp", "", 10e-9, "")

    def test_a_bar_reads_its_case_and_counter(self):
        report = {"benchmarks": [{"run_name": "a/1", "run_type": "iteration", "cpu_time": 2.0, "time_unit": "us", "net_ns": 30.0},
                                 {"run_name": "a/10", "run_type": "iteration", "cpu_time": 9.0, "time_unit": "us", "net_ns": 90.0}]}
        self.assertAlmostEqual(bars.value_of(report, bars.Bar("x", "p", "a/1", "", 1, "")), 2e-6)
        self.assertAlmostEqual(bars.value_of(report, bars.Bar("x", "p", "a/1", "net_ns", 1, "")), 30e-9)
        self.assertRaisesRegex(ValueError, "no case b", bars.value_of, report, bars.Bar("x", "p", "b", "", 1, ""))

    def test_met_and_missed_need_every_sample_on_one_side(self):
        for samples, word in (([8e-9, 9e-9], "met"), ([11e-9, 12e-9], "missed"), ([9.5e-9, 10.5e-9], "refused"), ([4e-9, 9e-9], "refused")):
            self.assertEqual(bars.judge(self.bar, samples)[0], word)

    def test_every_bar_names_a_bench_program_of_the_tree(self):
        text = "".join(path.read_text() for top in ("dataplane", "l7", "bench", "tests") for path in (ROOT / top).rglob("CMakeLists.txt"))
        for bar in bars.BARS:
            self.assertIn(f"{'add_executable' if bar.program == bars.STEER else 'penstock_bench'}({bar.program} ", text)

    def test_steering_is_read_as_more_than_an_empty_program(self):
        text = ("1000 other services, 100000 runs a round, 21 rounds\npath                         ns     +-  x empty   cycles\n"
                "empty program                      11      0      1.0       29\nservice, TCP over IPv4            104      2      9.5      280\n")
        found = bars.steer_values(text)
        self.assertEqual(len(found), 2)
        self.assertAlmostEqual(found["service, TCP over IPv4"], 93e-9)
        rows = (ROOT / "tests" / "bpf" / "steer_bench.cpp").read_text()
        for bar in bars.BARS:
            if bar.program == bars.STEER:
                self.assertIn(f'row("{bar.case}"', rows)


if __name__ == "__main__":
    unittest.main()
