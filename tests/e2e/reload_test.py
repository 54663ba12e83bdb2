"""reload_test.py - reloads by apply and by SIGHUP, a thousand of them under load; whoever did not change does not notice."""
import json
import os
import pathlib
import signal
import time

import case
from case import ECHO_DNAT, ECHO_FULLNAT, HTTP_FULLNAT, listener
from lab import VIP4, VIP6, run, server4, server6, wait_for
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

    def kernel_state(self):
        """What the kernel holds for this configuration: entries of the steering maps, BPF objects, memory mappings."""
        pins = self.lab.runtime_dir / "bpf" / "v1"
        state = {name: len(json.loads(run("bpftool", "-j", "map", "dump", "pinned", pins / name).stdout))
                 for name in ("steer_services", "steer_sources", "steer_addresses", "steer_nodes")}
        state["pins"] = sorted(str(path.relative_to(pins)) for path in pins.rglob("*"))
        for kind in ("map", "prog"):
            state[f"bpf {kind}s"] = len(json.loads(run("bpftool", "-j", kind, "list").stdout))
        state["rules"] = len(self.lab.node.run("nft", "list", "ruleset").stdout.splitlines())
        return state

    def mappings(self):
        return [len(pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines())
                for pid in (self.lab.daemon.pid, self.lab.dataplane_pid())]

    def test_a_thousand_reloads_break_nothing_and_leak_nothing(self):
        client = self.lab.client
        kernel_before = self.kernel_state()
        streams = [EchoStreams(client, address, port, 10, interval=0.1).start()
                   for address in (VIP4, VIP6) for port in (ECHO_FULLNAT, ECHO_DNAT)]
        prober = Prober(client, VIP4, HTTP_FULLNAT, interval=0.02, timeout=5).start()
        pids = (self.lab.daemon.pid, self.lab.dataplane_pid())
        start = time.monotonic()
        usage, mapped = {}, {}
        for step in range(RELOADS):
            self.lab.apply(self.variant(step))
            if step in (RELOADS // 5, RELOADS - 1):
                usage[step] = [case.rss_and_fds(pid) for pid in pids]
                mapped[step] = self.mappings()
        seconds = time.monotonic() - start
        self.lab.apply(self.configuration())
        time.sleep(2)
        for group in [prober, *streams]:
            group.stop()
        (early, late) = usage.values()
        print(f"{RELOADS} reloads in {seconds:.0f} s ({seconds / RELOADS * 1e3:.0f} ms each); "
              f"{len(prober.attempts)} new connections, {sum(s.messages() for s in streams)} messages; "
              f"(RSS KiB, fds) of daemon and dataplane: {early} -> {late}; mappings {list(mapped.values())}")
        self.assertEqual([broken for group in streams for broken in group.broken()], [])
        self.assertEqual(prober.failed(), [])
        self.assertEqual(prober.slow(1.0), [])
        self.assertEqual(self.lab.dataplane_pid(), pids[1])
        self.assertEqual(self.lab.daemon.pid, pids[0])
        self.assertIsNone(self.lab.daemon.poll())
        for (rss_early, fds_early), (rss_late, fds_late), name in zip(early, late, ("penstockd", "dataplane")):
            self.assertLessEqual(fds_late, fds_early + 8, f"{name} leaks descriptors")
            self.assertLessEqual(rss_late, rss_early * 1.1 + 6 * 1024, f"{name} grows")
        for was, now, name in zip(*mapped.values(), ("penstockd", "dataplane")):
            self.assertLessEqual(now, was + 16, f"{name} keeps mappings")
        # Listeners that were removed last drain for a second.
        wait_for(lambda: self.kernel_state() == kernel_before, 5, f"the kernel holds again what it held: {kernel_before}")
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

    def with_extra(self, port):
        config = self.configuration()
        config["listeners"].append(listener("extra", VIP4, port, "tcp", "echo4"))
        return config

    def hang_up(self, config, refusal=None):
        """Writes the file, sends SIGHUP, waits until it is in force or refused with these words; the status then."""
        self.lab.write_config(config)
        os.kill(self.lab.daemon.pid, signal.SIGHUP)

        def judged():
            status = self.lab.status()
            if refusal:
                return status if refusal in status["config"]["last_error"] else None
            names = {row["name"] for row in status["listeners"]}
            wanted = {row["name"] for row in config["listeners"]}
            in_force = status["epochs"]["active"] == status["epochs"]["compiled"] and all(
                row["steered"] for row in status["listeners"])
            return status if status["config"]["last_reload_ok"] and names == wanted and in_force else None
        status = wait_for(judged, 10, "the daemon has judged the file")
        self.assertEqual(status["config"]["last_reload_ok"], refusal is None)
        return status

    def test_sighup_reads_the_file_and_nobody_notices(self):
        pids = (self.lab.daemon.pid, self.lab.dataplane_pid())
        with EchoStreams(self.lab.client, VIP4, ECHO_FULLNAT, 10, interval=0.05) as streams:
            before = self.lab.status()["epochs"]["active"]
            status = self.hang_up(self.with_extra(9200))
            self.assertGreater(status["epochs"]["active"], before)
            self.assertIn(echo_name(self.lab.client, VIP4, 9200), ("echo1", "echo2", "echo3"))
            self.hang_up(self.configuration())
            time.sleep(0.5)
            self.assertEqual(streams.broken(), [])
        self.assertEqual((self.lab.daemon.pid, self.lab.dataplane_pid()), pids)
        self.assertIsNone(self.lab.daemon.poll())
        self.wait_verdict()

    def test_sighup_with_a_wrong_file_changes_nothing_and_says_so(self):
        self.hang_up(self.configuration())
        before = self.lab.status()["epochs"]["active"]
        for wrong, words in (("listeners: [", "YAML syntax"), (self.with_extra(700000), "700000")):
            status = self.hang_up(wrong, refusal=words)
            self.assertEqual(status["epochs"]["active"], before)
            self.assertEqual(status["verdict"], "degraded")
            self.assertNotIn("extra", [row["name"] for row in status["listeners"]])
        self.assertIn("700000", self.lab.log_tail(20))
        self.assertIn(echo_name(self.lab.client, VIP4, ECHO_FULLNAT), ("echo1", "echo2", "echo3"))
        self.hang_up(self.configuration())
        self.wait_verdict()

    def test_sighup_after_an_apply_goes_back_to_the_file(self):
        self.hang_up(self.configuration())
        status, text = self.lab.api("POST", "/v1/apply", json.dumps(self.with_extra(9201)))
        self.assertEqual(status, 200, text)
        self.assertIn(echo_name(self.lab.client, VIP4, 9201), ("echo1", "echo2", "echo3"))
        self.hang_up(self.configuration())

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
