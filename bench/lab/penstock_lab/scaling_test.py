"""scaling_test.py - the model's arithmetic against figures that are known."""
import unittest

from penstock_lab import ROOT, report_parts, scaling


class Scaling(unittest.TestCase):
    def test_line_rates_are_the_known_ones(self):
        self.assertAlmostEqual(scaling.line_rate_mpps(100, 64), 148.81, places=2)
        self.assertAlmostEqual(scaling.line_rate_mpps(10, 64), 14.88, places=2)
        self.assertAlmostEqual(scaling.line_rate_mpps(100, 1518), 8.13, places=2)

    def test_a_table_that_divides_is_even(self):
        self.assertEqual(scaling.table_imbalance(128, 64), 1.0)
        self.assertEqual(scaling.table_imbalance(128, 48), 1.125)
        self.assertEqual(scaling.table_imbalance(128, 1), 1.0)

    def test_hash_imbalance_shrinks_with_flows(self):
        few, many = scaling.hash_imbalance(10_000, 64), scaling.hash_imbalance(1_000_000, 64)
        self.assertTrue(1 < many < few < 1.3)
        self.assertEqual(scaling.hash_imbalance(100, 1), 1.0)

    def test_one_core_is_its_time_per_packet(self):
        self.assertAlmostEqual(scaling.predicted_mpps(1, 30, 20), 20.0)

    def test_what_is_handed_over_costs_its_share(self):
        self.assertAlmostEqual(scaling.predicted_mpps(1, 30, 20, handoff_ns=100), 20.0)
        self.assertAlmostEqual(scaling.predicted_mpps(2, 30, 20, handoff_ns=100) / scaling.predicted_mpps(2, 30, 20), 0.5)

    def test_the_greatest_number_of_workers_is_the_dataplanes(self):
        text = (ROOT / "bpf" / "abi" / "steer.h").read_text()
        self.assertRegex(text, rf"PENSTOCK_WORKER_MAX = {scaling.WORKERS_MAX},")

    def test_cores_for_a_line(self):
        need = scaling.cores_for_line(100, 64, 30, 20)
        self.assertGreaterEqual(scaling.predicted_mpps(need, 30, 20), scaling.line_rate_mpps(100, 64))
        self.assertLess(scaling.predicted_mpps(need - 1, 30, 20), scaling.line_rate_mpps(100, 64))
        self.assertEqual(scaling.cores_for_line(100, 1518, 30, 20), 1)
        self.assertIsNone(scaling.cores_for_line(100, 64, 3000, 20, most=8))

    def test_the_page_predicts_what_the_manual_says(self):
        text = (ROOT / "docs" / "architecture" / "scaling.md").read_text()
        for worker, device, handoff, name in report_parts.MODEL:
            self.assertIn(name, text)
            self.assertIn(f" {scaling.predicted_mpps(8, worker, device, handoff_ns=handoff):.1f} |", text)

    def test_counts_of_workers(self):
        self.assertEqual(scaling.counts_of(2), [1, 2])
        self.assertEqual(scaling.counts_of(12), [1, 2, 4, 8, 12])

    def test_a_report_is_read_by_its_case(self):
        rows = [{"run_type": "iteration", "run_name": "a", "items_per_second": rate} for rate in (1, 3, 2)]
        rows.append({"run_type": "aggregate", "run_name": "a", "items_per_second": 9})
        self.assertEqual(scaling.rate_of({"benchmarks": rows}, "a"), 2)


if __name__ == "__main__":
    unittest.main()
