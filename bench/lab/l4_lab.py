#!/usr/bin/env python3
"""l4_lab.py - Penstock beside the kernel in the same topology, in turns, with the whole machine's CPU counted.

Usage   bench/lab/l4_lab.py [ROUNDS]      default 3; as root, after a build
Rows    route   client and server through the node, no balancing
        nft     the node balances by nftables DNAT and masquerade
        fullnat, dnat   Penstock
Reading medians over the rounds. Client, node and server share the machine's cores, so only ratios between rows count.
"""
import contextlib
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import servers  # noqa: E402
from lab import VIP4, Lab, end_on_signals, server4  # noqa: E402
from traffic import connect, wrk  # noqa: E402

SECONDS = 3
NFT = """table ip bench {
  chain pre {
    type nat hook prerouting priority -100;
    ip daddr 10.97.0.10 tcp dport 80 dnat to 10.10.2.11:8080
    ip daddr 10.97.0.10 tcp dport 7000 dnat to 10.10.2.11:7000
  }
  chain post { type nat hook postrouting priority 100; ip daddr 10.10.2.11 masquerade; }
}"""
ROWS = {"route": (server4(1), 8080, 7000), "nft": ("10.97.0.10", 80, 7000), "fullnat": (VIP4, 80, 7000),
        "dnat": (VIP4, 81, 7001)}


def busy_seconds():
    """Seconds that all cores together were not idle."""
    fields = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / 100


def round_trips(lab, address, port):
    """Microseconds of one request and answer of 64 octets on one connection: median, 99th percentile."""
    times = []
    with contextlib.closing(connect(lab.client, address, port)) as connection:
        connection.makefile("rb", buffering=0).readline()
        end = time.monotonic() + SECONDS
        while (start := time.monotonic()) < end:
            connection.sendall(b"x" * 64)
            left = 64
            while left:
                left -= len(connection.recv(left))
            times.append((time.monotonic() - start) * 1e6)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99)]


def measure(lab, address, http, echo):
    busy = busy_seconds()
    keep = wrk(lab.client, f"http://{address}:{http}/", SECONDS)
    cost = (busy_seconds() - busy) / keep["requests"] * 1e6
    fresh = wrk(lab.client, f"http://{address}:{http}/", SECONDS, close=True)
    p50, p99 = round_trips(lab, address, echo)
    if keep["errors"] or fresh["errors"]:
        raise RuntimeError(f"errors: {keep} {fresh}")
    return {"requests/s": keep["rate"], "CPU us/request": cost, "new connections/s": fresh["rate"], "echo p50 us": p50,
            "echo p99 us": p99}


def main():
    end_on_signals()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with Lab("bench") as lab:
        servers.nginx(lab, "web1", [server4(1)], 8080)
        servers.echo(lab, {"echo1": [(server4(1), 7000)]})
        listeners = [{"name": f"{kind}{forwarding}", "address": VIP4, "port": port, "protocol": "tcp", "cluster": kind,
                      "forwarding": forwarding}
                     for kind, port, forwarding in (("web", 80, "fullnat"), ("web", 81, "dnat"), ("echo", 7000, "fullnat"),
                                                    ("echo", 7001, "dnat"))]
        clusters = [{"name": "web", "endpoints": [{"address": server4(1), "port": 8080}]},
                    {"name": "echo", "endpoints": [{"address": server4(1), "port": 7000}]}]
        lab.start_daemon(lab.config(clusters, listeners))
        lab.node.run("nft", "-f", "-", input=NFT)
        results = {row: [] for row in ROWS}
        for _ in range(rounds):
            for row, places in ROWS.items():
                results[row].append(measure(lab, *places))
        names = list(results["route"][0])
        print(f"{'':8}" + "".join(f"{name:>20}" for name in names))
        for row, values in results.items():
            print(f"{row:8}" + "".join(f"{statistics.median(v[name] for v in values):20.1f}" for name in names))
        time.sleep(3)
        print("idle worker:", lab.status()["workers"][0]["thread_cpu_percent"], "% of a core")


if __name__ == "__main__":
    main()
