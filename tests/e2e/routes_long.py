#!/usr/bin/env python3
"""routes_long.py - a running proxy with a thousand regular expressions: what a request costs, and what applying them stops.

Usage   tests/e2e/routes_long.py [--parts rate,apply] [--count 1000] [--rounds 8] [--applies 3]
Rate    one listener has one expression, two have --count: such that each begins with a text of its own, and such that all
        begin alike. wrk asks for the first and for the last of each, a second at a time, in turns that rotate. Rate and CPU
        time of the dataplane per request, as medians and as ratios to the one expression of the same round.
Apply   --count expressions, all new, are applied again and again while one connection asks all the time: the longest
        answers, how long the dataplane's worker ran, and how long it waited for a core, beside as long without an apply.
Errors  an answer that is not 200 ends the run.
"""
import argparse
import os
import re
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True

import duts
import http_test
from lab import VIP4, Lab, end_on_signals, server4

ONE, OWN, ALIKE = 8001, 8002, 8003


def pattern(index, alike, generation=0):
    return f"/[a-z]+/r{index}g{generation}/[0-9]+" if alike else f"/r{index}g{generation}/[a-z]+/[0-9]+"


def path(index, alike, generation=0):
    return f"/abc/r{index}g{generation}/42" if alike else f"/r{index}g{generation}/abc/42"


def configuration(lab, tables, generation=0):
    """`tables`: (port, expressions, whether they begin alike); behind them a route for everything else."""
    listeners = []
    for port, count, alike in tables:
        routes = [{"match": {"regex": pattern(index, alike, generation)}, "cluster": "web1"} for index in range(count)]
        routes.append({"match": {"prefix": "/"}, "cluster": "web1"})
        listeners.append({"name": f"p{port}", "address": VIP4, "port": port, "protocol": "http", "mode": "proxy",
                          "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]})
    return lab.config([{"name": "web1", "endpoints": [{"address": server4(1), "port": http_test.PORT}]}], listeners)


def rate(lab, options):
    lab.apply(configuration(lab, [(ONE, 1, False), (OWN, options.count, False), (ALIKE, options.count, True)]), 300)
    last = options.count - 1
    cases = {"one expression": (ONE, path(0, False)), "own beginnings, first": (OWN, path(0, False)),
             "own beginnings, last": (OWN, path(last, False)), "begin alike, first": (ALIKE, path(0, True)),
             "begin alike, last": (ALIKE, path(last, True))}
    pid, found = lab.dataplane_pid(), {name: [] for name in cases}
    for turn in range(options.rounds + 1):
        names = list(cases)[turn % len(cases):] + list(cases)[:turn % len(cases)]
        for name in names:
            port, target = cases[name]
            cpu = duts.cpu_seconds(pid)
            text = lab.client.run("wrk", "-t", "1", "-c", "32", "-d", "1s", f"http://{VIP4}:{port}{target}", timeout=30).stdout
            cpu = duts.cpu_seconds(pid) - cpu
            if "Non-2xx" in text or "Socket errors" in text:
                sys.exit(f"{name}: {text}")
            requests = int(re.search(r"(\d+) requests in", text).group(1))
            if turn > 0:  # the first warms up
                found[name].append((float(re.search(r"Requests/sec:\s+(\S+)", text).group(1)), cpu / requests * 1e6))
    for name, values in found.items():
        ratios = [[one[way] / base[way] for one, base in zip(values, found["one expression"])] for way in (0, 1)]
        print(f"{name:24} {statistics.median(v[0] for v in values):8.0f}/s, {statistics.median(v[1] for v in values):5.2f} us; " +
              "; ".join(f"{what} {statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
                        for what, each in zip(("rate", "CPU"), ratios)), flush=True)


class Asker(threading.Thread):
    """One connection, one request after the other, half a millisecond between them."""

    def __init__(self, lab):
        super().__init__()
        self.over, self.seconds, self.wrong = threading.Event(), [], None
        self.connection = lab.client.socket()
        self.connection.settimeout(10)
        self.connection.connect((VIP4, ALIKE))

    def run(self):
        while not self.over.wait(0.0005):
            start = time.perf_counter()
            self.connection.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            got = self.connection.recv(65536)
            self.seconds.append(time.perf_counter() - start)
            if not got.startswith(b"HTTP/1.1 200"):
                self.wrong = got[:100]
                return


def worker_times(pid):
    """(ran, waited for a core) of worker 0, in milliseconds."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as name, open(f"/proc/{pid}/task/{task}/schedstat") as times:
            if name.read().strip() == "psk-worker-0":
                return [int(word) / 1e6 for word in times.read().split()[:2]]
    raise RuntimeError("no worker")


def apply(lab, options):
    asker, pid = Asker(lab), lab.dataplane_pid()
    asker.start()

    def observe(name, action):
        asked, before, start = len(asker.seconds), worker_times(pid), time.perf_counter()
        action()
        passed, after = time.perf_counter() - start, worker_times(pid)
        times = sorted(asker.seconds[asked:])
        if asker.wrong or not times:
            sys.exit(f"{name}: answered {asker.wrong}")
        print(f"{name:24} {passed:5.2f} s, {len(times)} answers, p50 {times[len(times) // 2] * 1e6:.0f} us, "
              f"p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms, longest {' '.join(f'{t * 1e3:.1f}' for t in times[-3:])} ms; "
              f"worker ran {after[0] - before[0]:.0f} ms, waited {after[1] - before[1]:.0f} ms", flush=True)
        return passed
    passed = 2.0
    for generation in range(1, options.applies + 1):
        observe("nothing is applied", lambda: time.sleep(passed))
        table = [(ALIKE, options.count, True)]
        passed = observe(f"{options.count} expressions", lambda: lab.apply(configuration(lab, table, generation), 300))
    asker.over.set()
    asker.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", default="rate,apply")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--applies", type=int, default=3)
    options = parser.parse_args()
    end_on_signals()
    with Lab("routes", server_count=1) as lab:
        http_test.nginx(lab, "web1", 1)
        lab.start_daemon(configuration(lab, [(ALIKE, 0, True)]))
        for part in options.parts.split(","):
            {"rate": rate, "apply": apply}[part](lab, options)


if __name__ == "__main__":
    sys.exit(main())
