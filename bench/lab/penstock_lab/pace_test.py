"""pace_test.py - the pace of an interval out of what its program wrote."""
import pathlib
import tempfile
import unittest

from penstock_lab import pace


class Paces(unittest.TestCase):
    def test_every_core_counts_by_how_busy_it_was(self):
        before, after = {0: (100, 900_000), 1: (50, 500_000)}, {0: (200, 1_900_000), 1: (150, 1_900_000)}
        self.assertAlmostEqual(pace.between(before, after, {0: 1.0, 1: 0.0}), 10_000)
        self.assertAlmostEqual(pace.between(before, after, {0: 1.0, 1: 3.0}), (10_000 + 3 * 14_000) / 4)

    def test_few_pieces_or_no_work_have_no_pace(self):
        self.assertIsNone(pace.between({0: (0, 0)}, {0: (pace.PIECES_MIN - 1, 90_000)}, {0: 1.0}))
        self.assertIsNone(pace.between({0: (0, 0)}, {0: (100, 900_000)}, {0: 0.0}))
        self.assertIsNone(pace.between({}, {}, {0: 1.0}))

    def test_the_programs_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "pace")
            path.write_bytes(pace.ROW.pack(3, 4) + pace.ROW.pack(5, 6))
            self.assertEqual(pace.Pace(path, [2, 7]).look(), {2: (3, 4), 7: (5, 6)})
