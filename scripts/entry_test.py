#!/usr/bin/env python3
"""Tests of the entry points: what a fresh Debian runs first, and what runs again and again."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parent
REPEAT_MAX_S = 5.0


def call(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, **options)


class FreshMachine(unittest.TestCase):
    def test_what_runs_before_packages_are_there_needs_nothing_but_bash(self):
        for name in ("setup", "demo", "test", "dev", "lab"):
            with self.subTest(script=name):
                self.assertEqual((SCRIPTS / name).read_text().splitlines()[0], "#!/usr/bin/env bash")
                self.assertEqual(call("bash", "-n", SCRIPTS / name).returncode, 0)

    def test_demo_and_lab_without_python_install_packages_and_go_on(self):
        for script, arguments in (("demo", "-B tests/e2e/demo.py --keep"), ("lab", "-B -m penstock_lab --keep")):
            with self.subTest(script=script):
                self.goes_on(script, arguments)

    def goes_on(self, script, arguments):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for folder in ("scripts", "bin"):
                (root / folder).mkdir()
            shutil.copy(SCRIPTS / script, root / "scripts" / script)
            for tool in ("bash", "dirname", "chmod"):
                (root / "bin" / tool).symlink_to(shutil.which(tool))
            python = root / "bin" / "python3"
            # Stands for apt: afterwards there is a python3, which says what it was asked to run.
            (root / "scripts" / "setup").write_text(
                f"#!/usr/bin/env bash\nprintf '#!/usr/bin/env bash\\necho ran \"$@\"\\n' >{python}\nchmod +x {python}\n")
            (root / "scripts" / "setup").chmod(0o755)
            environment = {"PATH": str(root / "bin")}
            bash = shutil.which("bash")
            for _ in range(2):
                done = call(bash, root / "scripts" / script, "--keep", env=environment)
                self.assertEqual(done.stdout.strip(), f"ran {arguments}", done.stderr)
                (root / "scripts" / "setup").write_text("#!/usr/bin/env bash\nexit 1\n")  # not called again


class Setup(unittest.TestCase):
    def test_with_everything_installed_it_does_nothing_and_quickly(self):
        missing = call(SCRIPTS / "setup", "--check")
        if missing.returncode != 0:
            self.skipTest(f"not installed: {missing.stdout.split()} {missing.stderr}")
        for _ in range(2):
            start = time.monotonic()
            done = call(SCRIPTS / "setup", env={**os.environ, "PATH": "/usr/bin:/bin"})
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("packages are installed", done.stdout)
            self.assertLess(time.monotonic() - start, REPEAT_MAX_S)

    def test_wrong_usage_is_refused(self):
        for script, arguments in (("setup", ["frobnicate"]), ("dev", ["frobnicate"]), ("test", ["frobnicate"]),
                                  ("fuzz", ["soon"])):
            with self.subTest(script=script):
                done = call(SCRIPTS / script, *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(script, done.stderr)


if __name__ == "__main__":
    unittest.main()
