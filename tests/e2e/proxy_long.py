#!/usr/bin/env python3
"""proxy_long.py - the long form of the proxy's tests: 1 GiB per cell, and readers that stop for ten minutes.

Usage   tests/e2e/proxy_long.py [--parts matrix,curl,iperf,stopped] [--loss 0,0.1,1,5] [--connections 1,1000]
                                [--mib 1024] [--stop 600] [--dut proxy] [--stages client] [--congestion reno]
Cells   one checked transfer each: loss with reordering both ways; up and down; one and many connections that share the
        octets. One JSON line per cell on the standard output, progress on the standard error stream.
Holds   every octet right at both ends, every connection ended in order, resident memory and what connections hold as
        before. Exit 0 only then. The whole takes about half an hour; a control run: --dut haproxy.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import sys
import time

sys.dont_write_bytecode = True

import duts
import servers
from impair import ImpairedLab
from lab import VIP4, end_on_signals, server4, server6, wait_for
from proxy_case import IPERF, RSS_GROWTH_KIB, SERVICES, TRANSFER, WEB
from transfer import MIB, TransferServer, transfer

CELL_TIMEOUT_S = 1500


def plan(loss):
    return f"loss={loss},reorder=2,reorder-delay=400us"


class LongRun:
    def __init__(self, lab, options):
        self.lab, self.options = lab, options
        self.server = TransferServer(lab, TRANSFER)
        servers.nginx(lab, "web1", [server4(1), server6(1)], WEB)
        ports = [{"name": f"veth-{role}", **({"verify_checksums": True} if role in lab.stages else {})}
                 for role in ("client", "servers")]
        self.dut = duts.make(lab, SERVICES, ports=ports, node={"memory_mib": 512}).start()
        transfer(lab.client, VIP4, TRANSFER, connections=max(options.connections), up=MIB // 4, down=MIB // 4, timeout=120)
        self.memory = self.dut.memory_kib()
        self.failed = 0

    def impair(self, loss, seed=11):
        for stage in self.lab.stages.values():
            stage.set(plan(loss), plan(loss), seed)

    def record(self, name, good, **values):
        """One line; the state after the cell decides as well."""
        held = self.settled()
        grown = self.dut.memory_kib() - self.memory
        good = good and not any(held.values()) and grown < RSS_GROWTH_KIB
        self.failed += not good
        frames = {role: {way: {k: c[k] for k in ("frames", "lost", "reordered")} for way, c in stage.counters().items()}
                  for role, stage in self.lab.stages.items()}
        print(json.dumps({"cell": name, "dut": self.dut.name, "good": good, **values, "rss_growth_kib": grown,
                          "held": {k: v for k, v in held.items() if v}, "stage": frames}), flush=True)

    def settled(self):
        try:
            wait_for(lambda: not any(self.dut.held().values()), 20, "nothing is held", 0.2)
        except TimeoutError:
            pass
        return self.dut.held()

    def cell(self, loss, direction, connections):
        name = f"loss {loss} %, {direction}, {connections} connections, {self.options.mib} MiB"
        print(name, file=sys.stderr, flush=True)
        self.impair(loss)
        before = self.server.totals()
        cpu = duts.cpu_seconds(self.dut.pid())
        report = transfer(self.lab.client, VIP4, TRANSFER, connections=connections, timeout=CELL_TIMEOUT_S, quiet=False,
                          progress=15, **{direction: self.options.mib * MIB // connections})
        cpu = duts.cpu_seconds(self.dut.pid()) - cpu
        good = (report["ok"], report["misreported"]) == (connections, 0)
        wait_for(lambda: self.server.since(before).get("ok") == connections or not good, 10, "the server is done", 0.1)
        kept = ("ok", "reset", "early_end", "corrupted", "failed", "open", "error", "longest_quiet_ms", "seconds", "goodput_mbit")
        self.record(name, good, dut_cpu_s=round(cpu, 1), **{key: report[key] for key in kept})

    def matrix(self):
        for loss in self.options.loss:
            for connections in self.options.connections:
                for direction in ("up", "down"):
                    self.cell(loss, direction, connections)

    def curl(self):
        file = self.lab.directory / "body" / "1g"
        digest = hashlib.sha256()
        with file.open("wb") as out:
            for _ in range(self.options.mib):
                block = os.urandom(MIB)
                digest.update(block)
                out.write(block)
        for loss in self.options.loss:
            self.impair(loss)
            start = time.monotonic()
            url, local = f"http://{VIP4}/body/1g", self.lab.directory / "download"
            self.lab.client.run("curl", "-sS", "--fail", "-o", local, url, timeout=CELL_TIMEOUT_S)
            seconds = time.monotonic() - start
            got = hashlib.sha256()
            with local.open("rb") as data:
                while block := data.read(MIB):
                    got.update(block)
            local.unlink()
            self.record(f"curl, loss {loss} %, {self.options.mib} MiB", got.digest() == digest.digest(),
                        seconds=round(seconds, 1), sha256=got.hexdigest()[:16])

    def iperf(self):
        server = self.lab.popen(self.lab.servers, "iperf3", "-s", "-p", IPERF)
        for loss in self.options.loss:
            for words in ([], ["-R"], ["--bidir"], ["-P", "20"], ["-P", "20", "-R"]):
                self.impair(loss)
                done = self.lab.client.run("iperf3", "-c", VIP4, "-p", IPERF, "-t", "10", "-J", *words, timeout=60)
                total = json.loads(done.stdout)["end"]["sum_received"]
                self.record(f"iperf3 {' '.join(words)}, loss {loss} %", total["bytes"] > MIB,
                            goodput_mbit=round(total["bits_per_second"] / 1e6, 1))
        self.lab.end(server)

    def stopped(self):
        """Readers on either side stop while others go on."""
        self.impair(1)
        stop = {"stop_after": MIB, "stop_ms": self.options.stop * 1000}
        ways = [{"down": 64 * MIB, **stop}, {"up": 64 * MIB, **{f"server_{name}": n for name, n in stop.items()}}]
        samples, moved, good = [], 0, True
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = [pool.submit(transfer, self.lab.client, VIP4, TRANSFER, connections=5,
                                timeout=self.options.stop + 300, **way) for way in ways]
            end = time.monotonic() + self.options.stop - 5
            while time.monotonic() < end:
                report = transfer(self.lab.client, VIP4, TRANSFER, connections=10, up=MIB, down=MIB, timeout=120)
                good, moved = good and report["ok"] == 10 and report["misreported"] == 0, moved + 1
                samples.append((self.dut.memory_kib(), self.dut.held()))
                time.sleep(2)
                if moved % 10 == 0:
                    print(f"  {end - time.monotonic():.0f} s to go, {samples[-1]}", file=sys.stderr, flush=True)
            for run in runs:
                report = run.result()
                good = good and (report["ok"], report["misreported"]) == (5, 0)
        self.record(f"readers stopped for {self.options.stop} s", good, runs_meanwhile=moved, first=samples[0], last=samples[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])

    def numbers(kind):
        return lambda text: [kind(word) for word in text.split(",")]
    parser.add_argument("--parts", default="matrix,curl,iperf,stopped")
    parser.add_argument("--loss", type=numbers(float), default=[0, 0.1, 1, 5])
    parser.add_argument("--connections", type=numbers(int), default=[1, 1000])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--stop", type=int, default=600)
    parser.add_argument("--dut", default="proxy")
    parser.add_argument("--stages", default="client")
    parser.add_argument("--congestion", default="reno", help="of the kernels at both ends")
    options = parser.parse_args()
    end_on_signals()
    os.environ["PENSTOCK_DUT"] = options.dut
    with ImpairedLab("long", stages=options.stages.split(","), congestion=options.congestion, server_count=1) as lab:
        run = LongRun(lab, options)
        for part in options.parts.split(","):
            {"matrix": run.matrix, "curl": run.curl, "iperf": run.iperf, "stopped": run.stopped}[part]()
        print(f"{run.failed} cells failed", file=sys.stderr)
        return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
