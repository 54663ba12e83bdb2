"""page_test.py - the page as a renderer lays it out: every word is on the paper, tables and charts do not run into each other's
place. WeasyPrint does what a browser does with HTML and SVG, without being one."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from penstock_lab import report
from penstock_lab.results_test import COSTS, DEVICES, run

PAPER = "<style>@page { size: 1080px 9000px; margin: 20px }</style></head>"  # wider than the page's own greatest width, and one page of all of it


def laid_out():
    """[(word, xMin, yMin, xMax, yMax)] of all pages, and their width in points."""
    with tempfile.TemporaryDirectory() as folder:
        html, pdf = (pathlib.Path(folder, f"page.{suffix}") for suffix in ("html", "pdf"))
        html.write_text(report.page(run(COSTS)).replace("</head>", PAPER))
        subprocess.run(["weasyprint", "-q", html, pdf], check=True, capture_output=True, timeout=60)
        text = subprocess.run(["pdftotext", "-bbox", pdf, "-"], check=True, capture_output=True, text=True, timeout=20).stdout
    width = float(re.search(r'<page width="([\d.]+)"', text).group(1))
    return [(found[4], *map(float, found[:4])) for found in re.findall(
        r'<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*?)</word>', text)], width


class Layout(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for program in ("weasyprint", "pdftotext"):
            if shutil.which(program) is None:
                raise unittest.SkipTest(f"{program} is missing; scripts/setup installs it")
        cls.words, cls.width = laid_out()

    def test_every_word_is_on_the_paper(self):
        self.assertGreater(len(self.words), 300)
        for word, left, _top, right, _bottom in self.words:
            self.assertTrue(0 <= left < right <= self.width, word)

    def test_charts_are_drawn_with_their_labels(self):
        texts = [word[0] for word in self.words]
        for name in DEVICES:  # throughput, latency and CPU split, and the load's table
            self.assertGreaterEqual(texts.count(name), 4, name)
        for name in ("met", "missed", "better", "Targets", "Machine", "Method"):
            self.assertIn(name, texts)

    def test_no_word_lies_on_another(self):
        rows = sorted(self.words, key=lambda word: word[2])
        for index, (word, left, top, right, bottom) in enumerate(rows):
            for other, left2, top2, right2, bottom2 in rows[index + 1:index + 60]:
                if top2 >= bottom:
                    break
                across = min(right, right2) - max(left, left2)
                down = min(bottom, bottom2) - max(top, top2)
                self.assertFalse(across > 3 and down > 0.6 * min(bottom - top, bottom2 - top2), f"{word} on {other}")


if __name__ == "__main__":
    unittest.main()
