"""lab_test.py - the harness itself, without Penstock: it carries traffic, notices failures, and leaves nothing."""
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import case
import servers
from lab import Lab, run, server4, server6
from traffic import EchoStreams, Prober, body_digest, dig, echo_bulk, echo_name, server_name, udp_ask

HERE = pathlib.Path(__file__).parent


class Harness(unittest.TestCase):
    def setUp(self):
        if os.getuid() != 0:
            self.skipTest("needs root for network namespaces")
        self.lab = Lab("lab")
        self.addCleanup(self.lab.close)
        self.web = servers.nginx(self.lab, "web1", [server4(1), server6(1)], 8080)
        self.echo = servers.echo(self.lab, {"echo1": [(server4(1), 7000), (server6(1), 7000)]})

    def test_servers_answer_through_the_node(self):
        servers.dns(self.lab, "dns1", [server4(1)], 53)
        self.assertEqual(server_name(self.lab.client, server4(1), 8080), ("web1", "10.10.1.2"))
        self.assertEqual(server_name(self.lab.client, server6(1), 8080), ("web1", "fd10:1::2"))
        self.assertEqual(dig(self.lab.client, server4(1), 53), "dns1")
        self.assertEqual(udp_ask(self.lab.client, server6(1), 7000, b"x"), b"echo1 x")
        self.assertEqual(echo_name(self.lab.client, server6(1), 7000), "echo1")
        self.assertGreater(echo_bulk(self.lab.client, server4(1), 7000, 1 << 20), 0)
        self.assertEqual(body_digest(self.lab.client, server4(1), 8080, "64k")[0], 65536)

    def test_a_prober_notices_an_outage_and_its_length(self):
        with Prober(self.lab.client, server4(1), 8080, interval=0.005, timeout=1) as prober:
            time.sleep(0.3)
            moment = time.monotonic()
            self.web.kill()
            time.sleep(0.4)
            servers.nginx(self.lab, "web2", [server4(1)], 8080)
            time.sleep(0.5)
        self.assertTrue(prober.failed())
        self.assertGreater(prober.gap_around(moment), 0.35)
        self.assertGreater(prober.first_success_after(moment), 0.35)
        self.assertEqual({attempt.server for attempt in prober.attempts if attempt.outcome == "ok"}, {"web1", "web2"})

    def test_streams_notice_a_stall_and_a_break(self):
        with EchoStreams(self.lab.client, server4(1), 7000, 5) as streams:
            time.sleep(0.3)
            self.assertEqual(streams.broken(), [])
            os.kill(self.echo.pid, signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(self.echo.pid, signal.SIGCONT)
            time.sleep(0.2)
            self.assertGreater(streams.worst(), 0.4)
            self.assertEqual(streams.broken(), [])
            self.echo.kill()
            time.sleep(0.3)
            self.assertEqual(len(streams.broken()), 5)

    def test_a_lab_leaves_nothing_when_its_process_is_asked_to_end(self):
        code = ("import sys, time; sys.path.insert(0, sys.argv[1]); import lab; lab.end_on_signals()\n"
                "one = lab.Lab('end'); print(one.tag, flush=True); time.sleep(60)")
        child = subprocess.Popen([sys.executable, "-B", "-c", code, HERE], stdout=subprocess.PIPE, text=True)
        tag = child.stdout.readline().strip()
        self.assertIn(tag, run("ip", "netns", "list").stdout)
        child.terminate()
        child.wait(10)
        child.stdout.close()
        self.assertNotIn(tag, run("ip", "netns", "list").stdout)
        self.assertFalse(pathlib.Path(f"/run/psk-{tag}").exists())


if __name__ == "__main__":
    case.main()
