"""reload_test.py - a thousand reloads under load; whoever did not change does not notice."""
import time

import case
from case import ECHO_DNAT, ECHO_FULLNAT, HTTP_FULLNAT, listener
from lab import VIP4, VIP6, server4, server6
from traffic import EchoStreams, Prober, echo_name

RELOADS = 1000


class Reload(case.LabTest):
    tag = "rel"
    server_count = 5
    node = {"drain_timeout": "1s"}

    def variant(self, step):
        """Endpoints 4 and 5 come and go, weights change, a listener comes and goes; endpoints 1 to 3 stay."""
        clusters, listeners = case.usual_clusters(), case.usual_listeners()
        for cluster in clusters:
            family, port = (server6, cluster["endpoints"][0]["port"]) if cluster["name"].endswith("6") else \
                (server4, cluster["endpoints"][0]["port"])
            for index in (4, 5):
                if (step >> (index - 4)) & 1:
                    cluster["endpoints"].append({"address": family(index), "port": port, "weight": 1 + step % 7})
            cluster["endpoints"][step % 3]["weight"] = 5 + step % 40
        if step % 4 < 2:
            listeners.append(listener("extra", VIP4, 9000 + step % 5, "tcp", "echo4"))
        return self.lab.config(clusters, listeners, **self.node)

    def test_a_thousand_reloads_break_nothing_and_leak_nothing(self):
        client = self.lab.client
        streams = [EchoStreams(client, address, port, 10, interval=0.1).start()
                   for address in (VIP4, VIP6) for port in (ECHO_FULLNAT, ECHO_DNAT)]
        prober = Prober(client, VIP4, HTTP_FULLNAT, interval=0.02, timeout=5).start()
        pids = (self.lab.daemon.pid, self.lab.dataplane_pid())
        start = time.monotonic()
        usage = {}
        for step in range(RELOADS):
            self.lab.apply(self.variant(step))
            if step in (RELOADS // 5, RELOADS - 1):
                usage[step] = [case.rss_and_fds(pid) for pid in pids]
        seconds = time.monotonic() - start
        self.lab.apply(self.configuration())
        time.sleep(2)
        for group in [prober, *streams]:
            group.stop()
        (early, late) = usage.values()
        print(f"{RELOADS} reloads in {seconds:.0f} s ({seconds / RELOADS * 1e3:.0f} ms each); "
              f"{len(prober.attempts)} new connections, {sum(s.messages() for s in streams)} messages; "
              f"(RSS KiB, fds) of daemon and dataplane: {early} -> {late}")
        self.assertEqual([broken for group in streams for broken in group.broken()], [])
        self.assertEqual(prober.failed(), [])
        self.assertEqual(prober.slow(1.0), [])
        self.assertEqual(self.lab.dataplane_pid(), pids[1])
        self.assertEqual(self.lab.daemon.pid, pids[0])
        self.assertIsNone(self.lab.daemon.poll())
        for (rss_early, fds_early), (rss_late, fds_late), name in zip(early, late, ("penstockd", "dataplane")):
            self.assertLessEqual(fds_late, fds_early + 8, f"{name} leaks descriptors")
            self.assertLessEqual(rss_late, rss_early * 1.1 + 6 * 1024, f"{name} grows")
        self.wait_verdict()

    def test_a_refused_reload_changes_nothing(self):
        before = self.lab.status()["epochs"]
        broken = self.variant(0)
        broken["listeners"][0]["cluster"] = "nowhere"
        broken["clusters"][0]["endpoints"][0]["port"] = 70000
        self.lab.write_config(broken)
        status, text = self.lab.api("POST", "/v1/apply", self.lab.config_path.read_text())
        self.assertGreaterEqual(status, 400)
        self.assertIn("nowhere", text)
        self.assertIn("70000", text)
        after = self.lab.status()
        self.assertEqual(after["epochs"]["active"], before["active"])
        self.assertFalse(after["config"]["last_reload_ok"])
        self.assertEqual(after["verdict"], "degraded")
        self.assertIn(echo_name(self.lab.client, VIP4, ECHO_FULLNAT), ("echo1", "echo2", "echo3"))
        self.lab.apply(self.configuration())
        self.wait_verdict()

    def test_weight_zero_takes_no_new_connections_and_keeps_the_old(self):
        config = self.configuration()
        self.lab.apply(config)
        with EchoStreams(self.lab.client, VIP4, ECHO_FULLNAT, 20, interval=0.1) as streams:
            for cluster in config["clusters"]:
                cluster["endpoints"][2]["weight"] = 0
            self.lab.apply(config)
            names = {echo_name(self.lab.client, VIP4, ECHO_FULLNAT) for _ in range(60)}
            self.assertEqual(names, {"echo1", "echo2"})
            time.sleep(1)
            self.assertEqual(streams.broken(), [])
            self.assertIn("echo3", {stream["server"] for stream in streams.streams})
        self.lab.apply(self.configuration())

    def test_a_removed_listener_drains_and_its_address_is_given_back(self):
        config = self.configuration()
        config["listeners"].append(listener("short", VIP4, 9100, "tcp", "echo4"))
        self.lab.apply(config)
        with EchoStreams(self.lab.client, VIP4, 9100, 4, interval=0.05) as streams:
            self.lab.apply(self.configuration())
            time.sleep(0.3)
            self.assertEqual(streams.broken(), [], "connections live on while the listener drains")
        time.sleep(2.5)
        with self.assertRaises(OSError):
            echo_name(self.lab.client, VIP4, 9100, timeout=1)
        self.assertNotIn("short", [row["name"] for row in self.lab.status()["listeners"]])


if __name__ == "__main__":
    case.main()
