#!/usr/bin/env python3
"""proxy_lab.py - Penstock's proxy beside the kernel's own proxying (HAProxy in tcp mode) and plain forwarding, in turns.

Usage   bench/lab/proxy_lab.py [--rounds 3] [--seconds 2] [--fresh] [--offloads off] [--json FILE]      as root, after a build
Rows    route     the node forwards; nobody balances or terminates
        haproxy   HAProxy in tcp mode, one thread
        l4        Penstock, packets translated (FullNAT)
        proxy     Penstock, `mode: proxy`, one worker
Labs    two of the same topology, one without Penstock and one with: a steering program on a veth changes what its peer
        may offload, and that is part of Penstock's cost only.
CPU     client and server run on CPU 0, the device under test on CPU 1. Busy time is the whole machine's, softirqs
        included, whoever is charged for them; `rest` is what client and server processes were not charged for.
Frames  with offloads a veth carries 64 KiB at once, which no wire does; `--offloads off` lets every interface of both labs
        carry frames of 1,514 octets with whole checksums.
Values  bulk: one iperf3 connection; requests: wrk over 32 kept connections to nginx; with --fresh also one per request.
        Medians over the rounds with least and greatest; only ratios within one run count.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import duts  # noqa: E402
import servers  # noqa: E402
from impair import WIRE, ImpairedLab  # noqa: E402
from lab import VIP4, end_on_signals, server4, wait_for  # noqa: E402
from traffic import wrk  # noqa: E402

SERVICES = [("web", 80, 8080), ("iperf", 5201, 5201)]
ENDS_CPU, DUT_CPU = 0, 1
TICK = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Seconds that all cores together were at work, for whomever."""
    user, nice, system, _idle, _iowait, irq, softirq = map(
        int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + irq + softirq) / TICK


def pin(pid, cpu):
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {cpu})


class Bed:
    """One lab with its servers, all on the ends' CPU."""

    def __init__(self, tag, offloads):
        self.lab = ImpairedLab(tag, stages=(), server_count=1)  # the kernels' congestion control is reno everywhere
        for space, names in ((self.lab.client, ["eth0"]), (self.lab.servers, ["eth0"]),
                             (self.lab.node, ["veth-client", "veth-servers"])):
            for name in names if offloads == "off" else ():
                space.run("ethtool", "-K", name, *WIRE)
        self.web = servers.nginx(self.lab, "web1", [server4(1)], 8080)
        self.iperf = self.lab.popen(self.lab.servers, "iperf3", "-s", "-B", server4(1))
        wait_for(lambda: self.lab.servers.run("ss", "-Hltn", "sport = :5201").stdout, 5, "iperf3 listens")
        for child in (self.web, self.iperf):
            pin(child.pid, ENDS_CPU)

    def bulk(self, address, port, seconds, way):
        words = ["taskset", "-c", str(ENDS_CPU), "iperf3", "-c", address, "-p", port, "-t", seconds, "-J", *way]
        total = json.loads(self.lab.client.run(*words, timeout=seconds + 20).stdout)["end"]
        return total["sum_received"]["bytes"], total["sum_received"]["seconds"]


class Meter:
    """CPU time between two looks: the whole machine, the device under test, children of ours that ended (client)."""

    def __init__(self, pids, server_pids):
        self.pids, self.server_pids = pids, server_pids
        self.first = self.look()

    def look(self):
        children = os.times()
        return (busy_seconds(), sum(duts.cpu_seconds(pid) for pid in self.pids),
                children.children_user + children.children_system + sum(duts.cpu_seconds(pid) for pid in self.server_pids))

    def since(self):
        busy, dut, ends = (now - before for now, before in zip(self.look(), self.first))
        return {"busy": busy, "dut": dut, "rest": busy - ends}


class Row:
    def __init__(self, name, bed, web, iperf, dut_pids):
        self.name, self.bed, self.web, self.iperf, self.dut_pids = name, bed, web, iperf, dut_pids

    def meter(self, server):
        return Meter(self.dut_pids, [server.pid])

    def measure(self, seconds, fresh):
        values = {}
        for name, way in (("bulk up", []), ("bulk down", ["-R"])):
            meter = self.meter(self.bed.iperf)
            octets, took = self.bed.bulk(*self.iperf, seconds, way)
            cost = meter.since()
            values[f"{name} Mbit/s"] = octets * 8 / took / 1e6
            for kind, used in cost.items():
                values[f"{name} {kind} s/GB"] = used / octets * 1e9
        os.sched_setaffinity(0, {ENDS_CPU})  # wrk inherits it
        try:
            for name, close in (("requests", False), ("connections", True))[: 2 if fresh else 1]:
                meter = self.meter(self.bed.web)
                done = wrk(self.bed.lab.client, f"http://{self.web[0]}:{self.web[1]}/", seconds, close=close)
                cost = meter.since()
                if done["errors"]:
                    raise RuntimeError(f"{self.name}: {done}")
                values[f"{name}/s"] = done["rate"]
                for kind, used in cost.items():
                    values[f"{name} {kind} us each"] = used / done["requests"] * 1e6
        finally:
            os.sched_setaffinity(0, {ENDS_CPU, DUT_CPU})
        return values


def idle_percent(pids, seconds=3):
    """Percent of one core that each takes when nothing happens, and the machine."""
    before, busy = {name: duts.cpu_seconds(pid) for name, pid in pids.items()}, busy_seconds()
    time.sleep(seconds)
    idle = {name: (duts.cpu_seconds(pid) - before[name]) / seconds * 100 for name, pid in pids.items()}
    return {**idle, "machine": (busy_seconds() - busy) / seconds * 100}


def report(results, idle):
    names = list(next(iter(results.values()))[0])
    print(f"{'median (least - greatest)':34}" + "".join(f"{row:>30}" for row in results))
    for name in names:
        line = f"{name:34}"
        for values in results.values():
            found = [value[name] for value in values]
            line += f"{statistics.median(found):12.2f} ({min(found):.2f} - {max(found):.2f})".rjust(30)
        print(line)
    print("idle, percent of a core:", ", ".join(f"{name} {value:.2f}" for name, value in idle.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rows", default="route,haproxy,l4,proxy")
    parser.add_argument("--offloads", choices=("on", "off"), default="on")
    parser.add_argument("--fresh", action="store_true", help="also a connection per request")
    parser.add_argument("--json")
    options = parser.parse_args()
    end_on_signals()
    plain, ours = Bed("bka", options.offloads), Bed("bkb", options.offloads)
    try:
        haproxy = duts.HAProxy(plain.lab, SERVICES).start()
        pin(haproxy.pid(), DUT_CPU)
        mode = {"proxy": {"mode": "proxy"}, "l4": {}}
        wanted = options.rows.split(",")
        clusters = [{"name": name, "endpoints": [{"address": server4(1), "port": to}]} for name, _port, to in SERVICES]
        listeners = [{"name": f"{kind}-{name}", "address": VIP4, "port": port + shift, "protocol": "tcp", "cluster": name,
                      **mode[kind]} for kind, shift in (("proxy", 0), ("l4", 1)) if kind in wanted for name, port, _to in SERVICES]
        ours.lab.start_daemon(ours.lab.config(clusters, listeners, cpus=[DUT_CPU]))
        penstock = ours.lab.dataplane_pid()
        rows = {"route": Row("route", plain, (server4(1), 8080), (server4(1), 5201), []),
                "haproxy": Row("haproxy", plain, (VIP4, 80), (VIP4, 5201), [haproxy.pid()]),
                "l4": Row("l4", ours, (VIP4, 81), (VIP4, 5202), [penstock]),
                "proxy": Row("proxy", ours, (VIP4, 80), (VIP4, 5201), [penstock])}
        results = {name: [] for name in wanted}
        for _ in range(options.rounds):
            for name in wanted:
                results[name].append(rows[name].measure(options.seconds, options.fresh))
        time.sleep(2)
        idle = idle_percent({"haproxy": haproxy.pid(), "penstock-dataplane": penstock, "penstockd": ours.lab.daemon.pid})
        report(results, idle)
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps({"rows": results, "idle_percent": idle}, indent=1))
    finally:
        plain.lab.close()
        ours.lab.close()


if __name__ == "__main__":
    main()
