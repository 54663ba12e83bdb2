"""start_test.py - bad starts fail at once and say everything; a good start and stop leave nothing behind."""
import contextlib
import os
import pathlib
import signal
import subprocess
import time

import case
from case import HTTP_FULLNAT
from lab import VIP4, VIP6, binary, mounts_below, wait_for
from traffic import server_name

START_MAX = 10.0


class Start(case.LabTest):
    tag = "sta"
    start = False

    def fails(self, text, code, wrapper=()):
        """penstockd with this configuration ends within START_MAX with `code`; what it said."""
        self.lab.write_config(text)
        start = time.monotonic()
        done = subprocess.run(self.lab.node.command(*wrapper, binary("penstockd"), "--config", self.lab.config_path),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, code, said)
        self.assertLess(time.monotonic() - start, START_MAX)
        self.assert_nothing_left()
        return said

    def assert_nothing_left(self):
        wait_for(lambda: self.lab.dataplane_pid() is None, 5, "the dataplane has ended")
        self.assertEqual(self.lab.node.run("nft", "list", "tables").stdout.strip(), "")
        links = self.lab.node.run("ip", "-o", "link", "show", "type", "veth").stdout
        self.assertNotIn("xdp", links)
        self.assertEqual(mounts_below(self.lab.runtime_dir), [])
        left = list(self.lab.runtime_dir.rglob("*")) if self.lab.runtime_dir.exists() else []
        self.assertEqual([str(path) for path in left if not path.is_dir()], [])
        for vip, family in ((VIP4, "-4"), (VIP6, "-6")):
            self.assertNotIn(vip, self.lab.node.run("ip", family, "route", "show", "table", "local").stdout)

    def test_every_problem_of_a_configuration_is_named_with_its_line(self):
        said = self.fails("""apiVersion: penstock/v1
node:
  runtime_dir: %s
  addresses: [10.10.2.1]
  workers: many
ports:
  - {name: veth-client}
clusters:
  - name: web
    endpoints:
      - {address: 10.10.2.11, port: 99999}
listeners:
  - {name: web, address: 10.96.0.10, port: 80, protocol: tcp, cluster: absent}
  - {name: six, address: "fd10:96::10", port: 80, protocol: sctp, cluster: web}
  - {name: odd, address: 10.96.0.10, port: 81, protocol: tcp, cluster: web, colour: red}
""" % self.lab.runtime_dir, 78)
        for line, words in ((5, "workers"), (11, "99999"), (13, "absent"), (14, "sctp"), (15, "colour")):
            rows = [row for row in said.splitlines() if words in row]
            self.assertTrue(rows, f"nothing about {words} in:\n{said}")
            self.assertTrue(any(f":{line}" in row or f"line {line}" in row for row in rows), f"line {line}: {rows}")

    def test_a_missing_configuration_file_is_named(self):
        done = self.lab.node.run(binary("penstockd"), "--config", "/nonexistent/penstock.yaml", check=False)
        self.assertEqual(done.returncode, 78, done.stdout + done.stderr)
        self.assertIn("/nonexistent/penstock.yaml", done.stdout + done.stderr)

    def test_an_absent_interface_is_named(self):
        config = self.configuration()
        config["ports"].append({"name": "veth-none"})
        said = self.fails(config, 1)
        self.assertIn("veth-none", said)

    def test_a_metrics_port_in_use_is_named_with_everything_else(self):
        with contextlib.closing(self.lab.node.socket()) as taken:
            taken.bind(("127.0.0.1", 9464))
            taken.listen()
            config = self.configuration()
            config["ports"].append({"name": "veth-none"})
            said = self.fails(config, 1)
        self.assertIn("9464", said)
        self.assertIn("veth-none", said)

    def test_no_bpf_no_memory_no_interface_no_port_are_told_at_once_with_remedies(self):
        config = self.configuration()
        config["ports"].append({"name": "veth-none"})
        config["node"]["memory_mib"] = 1 << 20
        # CAP_SYS_ADMIN contains CAP_BPF. What is not in the bounding set, root does not get by exec.
        without_bpf = ("setpriv", "--bounding-set=-cap_39,-sys_admin", "--inh-caps=-cap_39,-sys_admin")
        with contextlib.closing(self.lab.node.socket()) as taken:
            taken.bind(("127.0.0.1", 9464))
            taken.listen()
            said = self.fails(config, 1, wrapper=without_bpf)
        for words, remedy in (("capabilities: missing: CAP_BPF", "start penstockd as root or grant them"),
                              ("bpf: cannot create a map", "CONFIG_BPF_SYSCALL"), ("are available", "lower node.memory_mib"),
                              ("veth-none", "create the interface"), ("9464", "")):
            rows = [row for row in said.splitlines() if words in row]
            self.assertEqual(len(rows), 1, f"{words} in:\n{said}")
            self.assertIn(remedy, rows[0])

    def test_without_hugepages_it_runs_and_warns_in_log_and_status(self):
        pages = pathlib.Path("/proc/sys/vm/nr_hugepages")
        before = pages.read_text()
        pages.write_text("0")
        try:
            self.lab.start_daemon(self.configuration())
        finally:
            pages.write_text(before)
        server_name(self.lab.client, VIP4, HTTP_FULLNAT)
        status = self.wait_verdict()
        self.assertFalse(status["dataplane"]["hugepages"])
        self.assertEqual([w for w in status["warnings"] if "no hugepages" in w], status["warnings"])
        self.assertIn("warning: no hugepages", self.lab.cli("status").stdout)
        self.assertIn("warning: no hugepages", self.lab.log_tail(100))
        self.assertEqual(self.lab.stop_daemon(), 0)
        config = self.configuration()
        config["node"]["hugepages"] = "off"
        self.lab.start_daemon(config)
        self.assertEqual(self.lab.status()["warnings"], [], "nobody asked for them")
        self.assertEqual(self.lab.stop_daemon(), 0)
        self.assert_nothing_left()

    def test_start_and_stop_leave_nothing_behind(self):
        for _ in range(2):
            self.lab.start_daemon(self.configuration())
            server_name(self.lab.client, VIP4, HTTP_FULLNAT)
            reserved = pathlib.Path("/proc/sys/net/ipv4/ip_local_reserved_ports")
            with self.lab.node.entered():
                self.assertIn("16384-29999", reserved.read_text())
            self.assertEqual(self.lab.stop_daemon(), 0, self.lab.log_tail(20))
            self.assert_nothing_left()
            with self.lab.node.entered():
                self.assertNotIn("16384-29999", reserved.read_text())

    def test_a_second_daemon_is_refused_and_the_first_goes_on(self):
        self.lab.start_daemon(self.configuration())
        pid = self.lab.dataplane_pid()
        done = self.lab.node.run(binary("penstockd"), "--config", self.lab.config_path, check=False, timeout=20)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(self.lab.dataplane_pid(), pid)
        server_name(self.lab.client, VIP4, HTTP_FULLNAT)
        self.wait_verdict()
        self.assertEqual(self.lab.stop_daemon(), 0)
        self.assert_nothing_left()

    def test_leave_running_keeps_the_fast_path_and_a_new_daemon_adopts_it(self):
        self.lab.write_config(self.configuration())
        self.lab.daemon = self.lab.popen(self.lab.node, binary("penstockd"), "--config", self.lab.config_path,
                                         "--leave-running", log=self.lab.daemon_log)
        self.lab.wait_ready()
        pid = self.lab.dataplane_pid()
        self.assertEqual(self.lab.stop_daemon(), 0)
        self.assertEqual(self.lab.dataplane_pid(), pid)
        server_name(self.lab.client, VIP4, HTTP_FULLNAT)
        self.lab.start_daemon()
        self.assertEqual(self.lab.dataplane_pid(), pid)
        self.wait_verdict()
        self.assertEqual(self.lab.stop_daemon(), 0)
        self.assert_nothing_left()

    def test_a_start_after_both_were_killed_cleans_up_and_stops_clean(self):
        self.lab.start_daemon(self.configuration())
        pid = self.lab.dataplane_pid()
        self.lab.stop_daemon(signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        self.lab.start_daemon()
        self.wait_verdict()
        server_name(self.lab.client, VIP4, HTTP_FULLNAT)
        self.assertEqual(self.lab.stop_daemon(), 0)
        self.assert_nothing_left()


if __name__ == "__main__":
    case.main()
