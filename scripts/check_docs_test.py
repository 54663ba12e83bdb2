"""check_docs_test.py - check_docs finds what leads nowhere, and nothing in pages that are right."""
import importlib.machinery
import importlib.util
import pathlib
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("check_docs")
loader = importlib.machinery.SourceFileLoader("check_docs", str(SCRIPT))
spec = importlib.util.spec_from_loader("check_docs", loader)
check_docs = importlib.util.module_from_spec(spec)
loader.exec_module(check_docs)

LAB = "#!/bin/sh\necho 'device  nft  packets'\necho 'load  oneshot  request'\n"
OTHER = "# Other page\n\n## What it `does`, and why\n"


class Pages(unittest.TestCase):
    def check(self, text, more=()):
        with tempfile.TemporaryDirectory() as root:
            files = {"docs/page.md": text, "docs/guide/other.md": OTHER, "dataplane/wire/tcp.h": "", "scripts/lab": LAB,
                     "bench/scenario/CMakeLists.txt": "penstock_bench(worker_bench worker_bench.cpp)\n",
                     "bench/scenario/worker_bench.cpp": 'run("Established");', "bench/veth/CMakeLists.txt": "add_executable(veth_forward x.cpp)\n"}
            for name, content in {**files, **dict(more)}.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
                path.chmod(0o755)
            return check_docs.Checker(root).run()

    def test_what_exists_is_no_violation(self):
        self.assertEqual(self.check("[a](guide/other.md) [b](guide/other.md#what-it-does-and-why) [c](https://x.test/y)\n"
                                    "`dataplane/wire/tcp.h`, `dataplane/wire/tcp`, `dataplane/wire` and `run/x`\n"), [])

    def test_what_does_not_is_told_with_its_place(self):
        for text, part in (("one\n[a](guide/none.md)\n", "docs/page.md:2: [link] guide/none.md"),
                           ("[a](guide/other.md#nothing)\n", "no such heading"),
                           ("[a](#nothing)\n", "no such heading"),
                           ("see `dataplane/wire/udp.h`\n", "docs/page.md:1: [path] dataplane/wire/udp.h")):
            with self.subTest(text=text):
                problems = self.check(text)
                self.assertEqual(len(problems), 1, problems)
                self.assertIn(part, problems[0])

    def test_figures_with_an_experiment_are_no_violation(self):
        self.assertEqual(self.check("# A\n30 ns, by `worker_bench` `Established/1000`.\n# B\n`veth_forward` shows 2 Mpps.\n"
                                    "# C\n17 us: `scripts/lab run --devices nft --loads oneshot`\n# D\na timeout of 200 ms\n"
                                    "# E\nIt took 110 ms; no experiment of the tree repeats it\n"), [])

    def test_every_bench_is_told_in_the_page_about_tests(self):
        self.assertIn("docs/guide/testing.md:1: [bench] nothing is said about worker_bench", self.check("", {"docs/guide/testing.md": "x"})[0])
        self.assertEqual(self.check("", {"docs/guide/testing.md": "`worker_bench`"}), [])

    def test_figures_from_nowhere_and_what_cannot_be_run_are_told(self):
        for text, part in (("# A\nfast\n\n# B\n\nIt takes 30 ns.\n", "docs/page.md:6: [figure] 30 ns"),
                           ("# A\nidle: 0.4 % of a core\n", "[figure] 0.4 % of a core"),
                           ("# A\n90,000 requests a second\n", "[figure] 90,000 requests a second"),
                           ("# A\nA start takes 110 ms.\n", "[figure] takes 110 ms"),
                           ("`other_bench`\n", "[bench] other_bench is no bench"),
                           ("`worker_bench` `NewFlow/1`\n", "[bench] worker_bench has no case NewFlow"),
                           ("`worker_bench` (Established, Fresh)\n", "[bench] worker_bench has no case Fresh"),
                           ("scripts/frobnicate now\n", "[command] there is no scripts/frobnicate"),
                           ("scripts/lab run --devices nft,envoy --loads oneshot\n", "[command] scripts/lab has no device envoy"),
                           ("scripts/lab run --devices nft --loads many\n", "[command] scripts/lab has no load many")):
            with self.subTest(text=text):
                problems = self.check(text)
                self.assertEqual(len(problems), 1, problems)
                self.assertIn(part, problems[0])


if __name__ == "__main__":
    unittest.main()
