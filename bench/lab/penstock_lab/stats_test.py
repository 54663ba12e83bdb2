"""stats_test.py - the arithmetic of verdicts against values known from tables and by hand."""
import itertools
import unittest

from penstock_lab import stats
from penstock_lab.verdict import judge


class Stats(unittest.TestCase):
    def test_spread_is_range_over_median(self):
        self.assertAlmostEqual(stats.spread([90, 100, 110]), 0.2)
        self.assertEqual(stats.spread([0, 0, 0]), 0)
        self.assertEqual(stats.spread([-1, 0, 1]), float("inf"))

    def test_exact_p_of_complete_separation(self):
        for n, expected in ((3, 0.1), (4, 2 / 70), (5, 2 / 252)):
            self.assertAlmostEqual(stats.mann_whitney(range(n), range(10, 10 + n)), expected)

    def test_exact_p_agrees_with_enumeration(self):
        a, b = [1, 4, 6, 9.5], [2, 3, 5, 7, 8]
        exact, chosen = stats.mann_whitney(a, b), stats.u_statistic(a, b)
        ranks, far, total = sorted(a + b), 0, 0
        for left in itertools.combinations(ranks, 4):
            right = [value for value in ranks if value not in left]
            far, total = far + (abs(stats.u_statistic(left, right) - 10) >= abs(chosen - 10)), total + 1
        self.assertAlmostEqual(exact, far / total)

    def test_ties_are_enumerated(self):
        self.assertAlmostEqual(stats.mann_whitney([1, 1, 2, 2], [3, 3, 4, 4]), 2 / 70)

    def test_counts_of_u_are_a_distribution(self):
        counts = stats._exact_counts(4, 5)
        self.assertEqual((sum(counts), counts[0], counts[-1], counts), (126, 1, 1, counts[::-1]))

    def test_equal_samples_never_differ(self):
        self.assertEqual(stats.mann_whitney([5] * 4, [5] * 4), 1.0)

    def test_large_samples_use_the_normal_approximation(self):
        a = [value / 10 for value in range(100)]
        self.assertLess(stats.mann_whitney(a, [value + 3 for value in a]), 0.001)
        self.assertGreater(stats.mann_whitney(a, [value + 0.05 for value in a]), 0.5)

    def test_samples_are_needed_on_both_sides(self):
        self.assertRaises(ValueError, stats.mann_whitney, [], [1])

    def test_bootstrap_range_holds_the_ratio(self):
        low, high = stats.bootstrap_ratio([10, 11, 12, 10.5], [20, 22, 21, 23])
        self.assertTrue(1.6 < low <= 1.95 <= high < 2.4, (low, high))

    def test_noise_names_its_reason(self):
        self.assertIn("spread", stats.noise([100, 160, 110, 120]))
        self.assertIn("other processes", stats.noise([100, 101, 102, 103], "other processes"))
        self.assertIn("rounds", stats.noise([100]))
        self.assertEqual(stats.noise([100, 101, 102, 103]), "")

    def test_one_outlier_of_five_refuses_nothing_and_two_do(self):
        self.assertEqual(stats.noise([100, 101, 102, 103, 190]), "")
        self.assertIn("spread", stats.noise([100, 101, 102, 180, 190]))
        self.assertIn("spread", stats.noise([100, 101, 102, 190]))


class Judging(unittest.TestCase):
    def test_higher_is_better_or_worse_as_the_metric_says(self):
        a, b = [10, 10.1, 10.2, 10.3], [12, 12.1, 12.2, 12.3]
        self.assertEqual(judge(a, b, "higher").word, "better")
        self.assertEqual(judge(a, b, "lower").word, "worse")

    def test_overlapping_samples_show_no_difference(self):
        self.assertEqual(judge([10, 11, 10.4, 10.8], [10.2, 10.9, 10.5, 11.1]).word, "same")

    def test_noise_and_few_rounds_refuse_a_verdict(self):
        self.assertIn("spread", judge([10, 20, 10, 10], [50, 51, 52, 53]).why)
        self.assertIn("fewer", judge([10, 10.1, 10.2], [12, 12.1, 12.2]).why)
        self.assertEqual(judge([10, 10.1, 10.2, 10.3], [12, 12.1, 12.2, 12.3], noise_b="others").word, "refused")
        self.assertEqual(judge([], [1]).word, "refused")


if __name__ == "__main__":
    unittest.main()
