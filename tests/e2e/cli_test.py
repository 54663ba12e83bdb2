"""cli_test.py - the penstock command and the metrics, as an operator meets them."""
import json
import pathlib
import re
import signal
import subprocess

import case
from case import ECHO_FULLNAT, HTTP_FULLNAT
from lab import ROOT, VIP4, binary, run
from traffic import EchoStreams, http_get, server_name

GOOD, NEGATIVE, USAGE, UNREACHABLE, TIME_UP = 0, 1, 2, 3, 4
FROM_DATAPLANE = (["services"], ["flows"], ["connections"], ["counters"], ["ports"])
READING = (*FROM_DATAPLANE, ["status"], ["check"], ["preflight"], ["version"])


class Cli(case.LabTest):
    tag = "cli"

    def setUp(self):
        for _ in range(5):
            server_name(self.lab.client, VIP4, HTTP_FULLNAT)

    def test_every_reading_command_prints_text_and_json(self):
        for command in READING:
            with self.subTest(command=command):
                text = self.lab.cli(*command)
                self.assertEqual(text.returncode, GOOD)
                self.assertGreater(len(text.stdout.strip()), 10)
                json.loads(self.lab.cli(*command, "--json").stdout)

    def test_status_says_ok_and_names_what_serves(self):
        status = json.loads(self.lab.cli("status", "--json").stdout)
        self.assertEqual(status["verdict"], "ok")
        self.assertEqual(status["dataplane"]["pid"], self.lab.dataplane_pid())
        self.assertIn("ok", self.lab.cli("status").stdout)

    def test_flows_are_listed_with_their_endpoint(self):
        with EchoStreams(self.lab.client, VIP4, ECHO_FULLNAT, 3, interval=0.05):
            flows = json.loads(self.lab.cli("flows", "--json").stdout)["flows"]
        mine = [flow for flow in flows if flow["service"] == f"{VIP4}:{ECHO_FULLNAT}" and flow["state"] == "established"]
        self.assertGreaterEqual(len(mine), 3)
        self.assertTrue(all(flow["endpoint"].endswith(":7000") for flow in mine), mine)

    def test_an_unknown_command_is_a_usage_error(self):
        self.assertEqual(self.lab.cli("frobnicate", check=False).returncode, USAGE)
        self.assertEqual(self.lab.cli("status", "--frobnicate", check=False).returncode, USAGE)

    def test_an_absent_daemon_is_its_own_exit_code(self):
        done = run(binary("penstock"), "--socket", "/run/psk-nobody/penstockd.sock", "status", check=False)
        self.assertEqual(done.returncode, UNREACHABLE, done.stdout + done.stderr)

    def test_apply_refuses_a_bad_configuration_with_its_place(self):
        good = self.configuration()
        bad = self.configuration()
        bad["listeners"][0]["cluster"] = "nowhere"
        self.lab.write_config(bad)
        done = self.lab.cli("apply", self.lab.config_path, check=False)
        self.assertEqual(done.returncode, NEGATIVE, done.stdout + done.stderr)
        self.assertIn("nowhere", done.stdout + done.stderr)
        self.lab.write_config(good)
        self.assertEqual(self.lab.cli("apply", self.lab.config_path).returncode, GOOD)

    def broken(self):
        config = self.configuration()
        config["listeners"][0]["cluster"] = "nowhere"
        return config

    def test_check_and_apply_speak_json_too_whatever_the_answer(self):
        self.lab.write_config(self.configuration())
        for command, key in ((["check"], "summary"), (["apply", "--dry-run"], "changes"), (["apply"], "generation")):
            with self.subTest(command=command):
                done = self.lab.cli(*command, self.lab.config_path, "--json")
                self.assertIn(key, json.loads(done.stdout))
        self.lab.write_config(self.broken())
        for command in (["check"], ["apply"]):
            with self.subTest(command=command, what="refused"):
                done = self.lab.cli(*command, self.lab.config_path, "--json", check=False)
                self.assertEqual(done.returncode, NEGATIVE)
                problems = json.loads(done.stdout)["problems"]
                self.assertEqual(len(problems), 1, problems)
                self.assertIn("nowhere", problems[0]["what"])
                self.assertTrue(problems[0]["place"])
        self.lab.apply(self.configuration())

    def test_every_documented_exit_code_is_met(self):
        page = pathlib.Path(ROOT, "docs", "guide", "cli.md").read_text()
        documented = {int(code) for code in re.findall(r"^\| (\d+) \| ", page, re.MULTILINE)}
        met = {self.lab.cli("status").returncode, self.lab.cli("status", "--wait", "--timeout", "5").returncode,
               self.lab.cli("frobnicate", check=False).returncode,
               run(binary("penstock"), "--socket", "/run/psk-nobody/x.sock", "status", check=False).returncode}
        self.lab.write_config(self.broken())
        self.assertEqual(self.lab.cli("apply", self.lab.config_path, check=False).returncode, NEGATIVE)
        done = self.lab.cli("status", check=False)
        self.assertEqual(done.returncode, NEGATIVE, "degraded: the last reload was refused")
        waited = self.lab.cli("status", "--wait", "--timeout", "1", check=False)
        self.assertEqual(waited.returncode, TIME_UP)
        met |= {done.returncode, waited.returncode}
        self.lab.apply(self.configuration())
        self.assertEqual(met, {GOOD, NEGATIVE, USAGE, UNREACHABLE, TIME_UP})
        self.assertEqual(documented, met)

    def test_without_the_daemon_the_dataplane_is_read(self):
        with EchoStreams(self.lab.client, VIP4, ECHO_FULLNAT, 3, interval=0.05):
            self.lab.stop_daemon(signal.SIGKILL)
            try:
                for command in FROM_DATAPLANE:
                    with self.subTest(command=command):
                        done = self.lab.cli(*command, "--json")
                        json.loads(done.stdout)
                flows = json.loads(self.lab.cli("flows", "--json").stdout)["flows"]
                self.assertGreaterEqual(sum(flow["service"] == f"{VIP4}:{ECHO_FULLNAT}" for flow in flows), 3)
                status = self.lab.cli("status", check=False)
                self.assertEqual(status.returncode, NEGATIVE)
                self.assertIn("penstockd is not running", status.stdout)
            finally:
                self.lab.start_daemon()
        self.wait_verdict()

    def test_help_names_every_command(self):
        text = run(binary("penstock"), "--help").stdout
        for command in READING:
            self.assertIn(command[0], text)

    def test_metrics_pass_promtool_and_agree_with_status(self):
        status, _headers, body = http_get(self.lab.node, "127.0.0.1", 9464, "/metrics")
        self.assertEqual(status, 200)
        text = body.decode()
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stderr.strip(), "")
        flows = self.listener_state("web4-fullnat")["flows_total"]
        rows = [line for line in text.splitlines() if line.startswith("penstock_listener_flows_total{")
                and '"web4-fullnat"' in line]
        self.assertEqual(len(rows), 1)
        self.assertEqual(int(float(rows[0].split()[-1])), flows)

    def test_health_pages_answer(self):
        for page in ("/healthz", "/readyz"):
            self.assertEqual(http_get(self.lab.node, "127.0.0.1", 9464, page)[0], 200)
        self.assertEqual(http_get(self.lab.node, "127.0.0.1", 9464, "/v1/status")[0], 404, "the API stays on its socket")


if __name__ == "__main__":
    case.main()
