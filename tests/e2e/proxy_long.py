#!/usr/bin/env python3
"""proxy_long.py - the long form of the proxy's tests: 1 GiB per cell, also by HTTP, readers that stop, a million SYNs.

Usage   tests/e2e/proxy_long.py [--parts matrix,curl,http,iperf,slow,stopped,flood] [--loss 0,0.1,1,5] [--connections 1,1000]
                                [--mib 1024] [--stop 600] [--pause 2] [--syns 1000000] [--dut proxy] [--stages client]
                                [--congestion reno] [--servers nginx,haproxy,python]
Cells   one checked transfer each: loss with reordering both ways; up and down; one and many connections that share the
        octets. One JSON line per cell on the standard output, progress on the standard error stream.
Others  while readers are slow or stopped, or SYNs flood, runs of ten connections must go on as ever, --pause seconds apart.
Holds   every octet right at both ends, every connection ended in order, resident memory and what connections hold as
        before. Exit 0 only then. The whole takes about an hour; a control run: --dut haproxy.
"""
import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import random
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True

import duts
import frames
import servers
from http_bodies import Bodies, digest_of, write_random
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

    def record(self, name, good, settle_s=20, idle_kept=False, **values):
        """One line; the state after the cell decides as well. `idle_kept`: connections to endpoints stay for the next."""
        held = self.settled(settle_s, ("active", "entries_in_use") if idle_kept else ())
        grown = self.dut.memory_kib() - self.memory
        good = good and not any(held.values()) and grown < RSS_GROWTH_KIB
        self.failed += not good
        stage = {role: {way: {k: c[k] for k in ("frames", "lost", "reordered")} for way, c in each.counters().items()}
                 for role, each in self.lab.stages.items()}
        print(json.dumps({"cell": name, "dut": self.dut.name, "good": good, **values, "rss_growth_kib": grown,
                          "held": {k: v for k, v in held.items() if v}, "stage": stage}), flush=True)

    def settled(self, seconds, ignored=()):
        def held():
            return {name: n for name, n in self.dut.held().items() if name not in ignored}
        try:
            wait_for(lambda: not any(held().values()), seconds, "nothing is held", 0.2)
        except TimeoutError:
            pass
        return held()

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
        digest = write_random(self.lab.directory / "body" / "1g", self.options.mib * MIB)
        for loss in self.options.loss:
            self.impair(loss)
            start = time.monotonic()
            url, local = f"http://{VIP4}/body/1g", self.lab.directory / "download"
            self.lab.client.run("curl", "-sS", "--fail", "-o", local, url, timeout=CELL_TIMEOUT_S)
            seconds = time.monotonic() - start
            got = digest_of(local)
            local.unlink()
            self.record(f"curl, loss {loss} %, {self.options.mib} MiB", got == digest, seconds=round(seconds, 1), sha256=got[:16])

    def http(self):
        """Bodies from 0 to the whole through a listener of HTTP, by each client to each server; with loss, by curl to nginx."""
        if self.dut.name != "proxy":
            return
        bodies = Bodies(self.lab)
        self.lab.apply(self.dut.configuration(bodies.clusters, bodies.listeners))
        pid = self.dut.pid()
        for loss, octets in itertools.product(self.options.loss, sorted({0, 1, 70_000, self.options.mib * MIB})):
            self.impair(loss)
            bodies.fill(octets)
            for server, client, way, framing in bodies.ways():
                if server not in self.options.servers or (loss and (server, client) != ("nginx", "curl")):
                    continue
                cpu = duts.cpu_seconds(pid)
                with Peak(self.dut.memory_kib) as peak:
                    wrong, seconds = bodies.move(server, client, way, framing, timeout=CELL_TIMEOUT_S)
                grown = peak.value - self.memory
                self.record(f"http, loss {loss} %, {octets} octets {way}, {framing}, {client} with {server}",
                            not wrong and grown < RSS_GROWTH_KIB and self.dut.pid() == pid, idle_kept=True, wrong=wrong,
                            seconds=round(seconds, 2), dut_cpu_s=round(duts.cpu_seconds(pid) - cpu, 2), rss_growth_at_most_kib=grown)
        self.lab.apply(self.dut.configuration())

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

    def others(self, name, done, start_s=0):
        """Runs of others until done(), `start_s` from now on; whether all was well, and what to record."""
        time.sleep(start_s)
        samples, good, seconds = [], True, []
        while not done():
            report = transfer(self.lab.client, VIP4, TRANSFER, connections=10, up=MIB // 4, down=MIB // 4, timeout=120)
            good = good and (report["ok"], report["misreported"]) == (10, 0)
            seconds.append(report["seconds"])
            samples.append((self.dut.memory_kib(), self.dut.held()))
            print(f"  {name}: {len(samples)} runs, {samples[-1]}", file=sys.stderr, flush=True)
            wait_quietly(self.options.pause, done)
        self.memory = self.memory or samples[0][0]
        grown = max(kib for kib, _held in samples) - samples[0][0]
        return good and grown < RSS_GROWTH_KIB, {
            "runs_meanwhile": len(samples), "slowest_run_s": round(max(seconds), 1), "rss_growth_meanwhile_kib": grown,
            "held_first": samples[0][1], "held_last": samples[-1][1]}

    def readers(self, name, connections, octets, start_s, end_s, **how):
        """Readers on either side, while others go on."""
        self.impair(1)
        ways = [{"down": octets, **how}, {"up": octets, **{f"server_{word}": n for word, n in how.items()}}]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = [pool.submit(transfer, self.lab.client, VIP4, TRANSFER, connections=connections, timeout=end_s + 300, **way)
                    for way in ways]
            end = time.monotonic() + end_s
            good, values = self.others(name, lambda: time.monotonic() >= end, start_s)
            reports = [run.result() for run in runs]
        good = good and all((each["ok"], each["misreported"]) == (connections, 0) for each in reports)
        self.record(name, good, ok=[each["ok"] for each in reports], seconds=[each["seconds"] for each in reports], **values)

    def slow(self):
        # All pools are in use, and pages that were never used are touched: flat means from the first run of others on.
        self.memory = None
        self.readers("500 slow readers on each side, 32 KiB/s each", 500, 2 * MIB, 15, 55, read_rate=32 * 1024)

    def stopped(self):
        self.readers(f"5 readers on each side stopped for {self.options.stop} s", 5, 64 * MIB, 5, self.options.stop - 5,
                     stop_after=MIB, stop_ms=self.options.stop * 1000)

    def flood(self):
        """SYNs of addresses that nobody has, as fast as one process sends them."""
        self.impair(0)
        before = self.proxy_counters()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            start = time.monotonic()
            link = frames.mac(self.lab.node, "veth-client") + frames.mac(self.lab.client)
            run = pool.submit(self.lab.client.run, sys.executable, __file__, "--send-syns", self.options.syns, link.hex(),
                              timeout=300)
            good, values = self.others("flood", run.done)
            run.result()
            seconds = time.monotonic() - start
        change = {name: n - before[name] for name, n in self.proxy_counters().items()}
        kept = {name: change[name] for name in ("cookies_sent_total", "cookies_accepted_total", "refused_full_total", "shed_total")}
        # The first node.proxy.half_open_max are remembered until their SYN-ACKs were repeated in vain.
        self.record(f"{self.options.syns} SYNs", settle_s=220, good=good and change["cookies_sent_total"] > self.options.syns / 2,
                    syns_per_second=round(self.options.syns / seconds), **values, **kept)

    def proxy_counters(self):
        workers = [worker["proxy"] for worker in self.lab.api_json("GET", "/v1/counters")["workers"]]
        return {name: sum(row[name] for row in workers) for name in workers[0]}


class Peak:
    """The highest of what read() says, ten times a second while the block runs."""

    def __init__(self, read):
        self.read, self.value, self.over = read, read(), threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.over.wait(0.1):
            self.value = max(self.value, self.read())

    def __exit__(self, kind, value, trace):
        self.over.set()
        self.thread.join()
        self.value = max(self.value, self.read())


def wait_quietly(seconds, done):
    """So long, or until done()."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        time.sleep(0.2)


def send_syns(count, link_addresses):
    """From this namespace's eth0, of random addresses in 198.18.0.0/16 (RFC 2544); each with right checksums."""
    segment = frames.tcp("198.18.0.0", VIP4, 0, TRANSFER, seq=0, offset=6, payload=bytes([2, 4, 5, 180]))
    frame = bytearray(frames.ethernet(link_addresses[:6], link_addresses[6:], frames.ETH_IP,
                                      frames.ipv4("198.18.0.0", VIP4, 6, segment)))
    ip_sum, tcp_sum = (~int.from_bytes(frame[at:at + 2], "big") & 0xFFFF for at in (24, 50))

    def folded(total):
        total = (total & 0xFFFF) + (total >> 16)
        return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    draw = random.Random(1).getrandbits
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind(("eth0", 0))
        for _ in range(count):
            host, port, sequence = draw(16), draw(16), draw(32)
            struct.pack_into("!H", frame, 24, folded(ip_sum + host))
            struct.pack_into("!H", frame, 28, host)
            struct.pack_into("!H", frame, 34, port)
            struct.pack_into("!I", frame, 38, sequence)
            struct.pack_into("!H", frame, 50, folded(tcp_sum + host + port + (sequence >> 16) + (sequence & 0xFFFF)))
            raw.send(frame)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])

    def numbers(kind):
        return lambda text: [kind(word) for word in text.split(",")]
    parser.add_argument("--parts", default="matrix,curl,http,iperf,slow,stopped,flood")
    parser.add_argument("--loss", type=numbers(float), default=[0, 0.1, 1, 5])
    parser.add_argument("--connections", type=numbers(int), default=[1, 1000])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--stop", type=int, default=600)
    parser.add_argument("--dut", default="proxy")
    parser.add_argument("--stages", default="client")
    parser.add_argument("--congestion", default="reno", help="of the kernels at both ends")
    parser.add_argument("--servers", type=lambda text: text.split(","), default=["nginx", "haproxy", "python"], help="of http")
    parser.add_argument("--pause", type=float, default=2)
    parser.add_argument("--syns", type=int, default=1_000_000)
    parser.add_argument("--send-syns", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send_syns:
        return send_syns(int(options.send_syns[0]), bytes.fromhex(options.send_syns[1]))
    end_on_signals()
    os.environ["PENSTOCK_DUT"] = options.dut
    with ImpairedLab("long", stages=options.stages.split(","), congestion=options.congestion, server_count=1) as lab:
        run = LongRun(lab, options)
        for part in options.parts.split(","):
            {"matrix": run.matrix, "curl": run.curl, "http": run.http,
             "iperf": run.iperf, "slow": run.slow, "stopped": run.stopped, "flood": run.flood}[part]()
        print(f"{run.failed} cells failed", file=sys.stderr)
        return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
