"""browser_test.py - the page of a full run in Chromium, where that is installed (it is not among scripts/packages.txt: too long to
install for every test run): nothing is clipped, no label lies on another, the page itself never scrolls sideways, the console is silent.

Model     one browser shows the page in a frame per width; a script in each frame looks at what was laid out and tells its findings.
"""
import html
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from penstock_lab import made_up, report

WIDTHS = (1280, 820, 400)
LOOK = """<script>addEventListener("load", () => {
  const found = [], say = (what, node) => found.push(what + ": " + node.textContent.trim().slice(0, 60));
  const lie = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  const top = document.documentElement;
  if (top.scrollWidth > top.clientWidth) found.push(`the page is ${top.scrollWidth} wide in ${top.clientWidth}`);
  let texts = 0;
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect(), seen = [];
    for (const node of svg.querySelectorAll("text")) {
      const box = node.getBoundingClientRect();
      texts += 1;
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1 || box.top < frame.top - 5) say("clipped", node);
      if (box.height < 9) say(`only ${box.height.toFixed(1)} pixels high`, node);
      if (seen.some(other => lie(box, other))) say("lies on another", node);
      seen.push(box);
    }
  }
  for (const cell of document.querySelectorAll("td, th")) if (cell.scrollWidth > cell.clientWidth + 1) say("cut off", cell);
  parent.postMessage({width: innerWidth, texts, charts: document.querySelectorAll("svg").length, found}, "*");
});</script></body>"""
HARNESS = """<!doctype html><body><pre></pre>%s<script>
const all = [];
addEventListener("message", event => { all.push(event.data); document.querySelector("pre").textContent = JSON.stringify(all); });
</script></body>"""


@unittest.skipUnless(shutil.which("chromium"), "chromium is missing (Debian package chromium)")
class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            page, harness = (pathlib.Path(folder, name) for name in ("page.html", "all.html"))
            page.write_text(report.page(made_up.run()).replace("</body>", LOOK).replace("<details>", "<details open>"))
            harness.write_text(HARNESS % "".join(f'<iframe src="page.html" width="{width}" height="900"></iframe>' for width in WIDTHS))
            done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
                                   "--enable-logging=stderr", "--virtual-time-budget=20000", "--window-size=1400,3000", "--dump-dom", harness.as_uri()],
                                  capture_output=True, text=True, timeout=100)
        cls.console = re.findall(r".*CONSOLE.*", done.stderr)
        cls.frames = json.loads(html.unescape(re.search(r"<pre>(.*?)</pre>", done.stdout, re.S).group(1)))

    def test_every_width_was_looked_at(self):
        self.assertEqual(sorted(frame["width"] for frame in self.frames), sorted(WIDTHS))
        for frame in self.frames:
            self.assertGreater(frame["charts"], 60)
            self.assertGreater(frame["texts"], 1000)

    def test_nothing_is_clipped_or_lies_on_something_else(self):
        self.assertEqual({frame["width"]: frame["found"][:5] for frame in self.frames if frame["found"]}, {})

    def test_the_console_is_silent(self):
        self.assertEqual(self.console, [])


if __name__ == "__main__":
    unittest.main()
