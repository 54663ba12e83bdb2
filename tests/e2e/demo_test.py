"""demo_test.py - the demonstration's ends: Ctrl-C in the middle, --keep and --stop. What it shows, it checks itself."""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

import case
from lab import BUILD, ROOT, VIP4, mounts_below, run, wait_for

DEMO = ROOT / "scripts" / "demo"
END_MAX = 30.0


def steering_programs():
    return {program["id"] for program in json.loads(run("bpftool", "-j", "prog", "list").stdout)
            if program.get("name") == "penstock_steer"}


def processes_about(text):
    """Process ids whose command line names `text`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


class Demo(unittest.TestCase):
    def setUp(self):
        if os.getuid() != 0:
            self.skipTest("needs root for network namespaces")
        self.programs = steering_programs()
        self.child, self.seen = None, ""
        self.addCleanup(self.end_child)

    def start(self, *arguments):
        # A session of its own: its members are who a terminal's Ctrl-C reaches.
        self.child = subprocess.Popen([DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      env={**os.environ, "PENSTOCK_BUILD": str(BUILD)}, start_new_session=True)

    def end_child(self):
        if self.child is not None:
            self.child.terminate()
            self.child.communicate(timeout=END_MAX)

    def read_until(self, pattern):
        for line in self.child.stdout:
            self.seen += line
            found = re.search(pattern, line)
            if found:
                return found
        self.fail(f"no {pattern!r} in:\n{self.seen}")

    def assert_nothing_left(self, names, directory):
        existing = run("ip", "netns", "list").stdout.split()
        self.assertEqual([name for name in names if name in existing], [])
        self.assertFalse(pathlib.Path(directory).exists())
        self.assertEqual(mounts_below(directory), [])
        wait_for(lambda: not processes_about(directory), 5, "processes of the demo end")
        wait_for(lambda: steering_programs() <= self.programs, 5, "the kernel has dropped the programs")

    def test_ctrl_c_in_the_middle_leaves_nothing(self):
        self.start("--only", "load")
        names, directory = self.read_until(r"(psk-client.*); logs in (\S+)").groups()
        self.read_until(r"frames steered")
        self.assertGreater(len(processes_about(directory)), 3, "servers and both processes run")
        self.assertGreater(len(steering_programs() - self.programs), 0)
        start = time.monotonic()
        os.killpg(self.child.pid, signal.SIGINT)
        time.sleep(0.2)
        os.killpg(self.child.pid, signal.SIGINT)  # nobody presses it once
        said, _nothing = self.child.communicate(timeout=END_MAX)
        self.assertEqual(self.child.returncode, 128 + signal.SIGINT, said)
        self.assertNotIn("Traceback", said)
        print(f"Ctrl-C: ended after {time.monotonic() - start:.1f} s")
        self.assert_nothing_left(names.split(", "), directory)

    def test_keep_leaves_it_running_and_stop_ends_it(self):
        if pathlib.Path("/run/penstock-demo").exists():
            self.skipTest("somebody keeps a demo, which --stop would end")
        self.start("--keep", "--only", "dns")
        names, directory = self.read_until(r"(psk-client.*); logs in (\S+)").groups()
        self.read_until("Left running; try")
        said = self.child.stdout.read()  # communicate() with a timeout would lose what is buffered here already
        self.assertEqual(self.child.wait(timeout=END_MAX), 0, self.seen + said)
        try:
            client = names.split(", ")[0]
            for suggestion in ("status", "flows"):  # as printed
                command = re.search(rf"^ +(\S+ --socket \S+ {suggestion})$", said, re.MULTILINE).group(1)
                self.assertGreater(len(run(*command.split()).stdout), 20)
            self.assertIn("web", run("ip", "netns", "exec", client, "curl", "-sS", f"http://{VIP4}/").stdout)
        finally:
            stopped = run(DEMO, "--stop", check=False)
        self.assertEqual(stopped.returncode, 0, stopped.stdout + stopped.stderr)
        self.assertIn(client, stopped.stdout)
        self.assert_nothing_left(names.split(", "), directory)


if __name__ == "__main__":
    case.main()
