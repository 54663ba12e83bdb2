"""bars.py - what single parts may cost: limits taken from published or measured figures of peers, and whether this machine shows them.

Model     a bar is one figure of one bench program: its CPU time, a counter that it reports in nanoseconds or octets, or (steer_bench, which
          prints a table) what a row takes more than the empty program. One sample per process, as in micro.py. Met or missed: the whole
          range of the samples is on one side of the limit.
Not here  ratios beside running peers (targets.py)
"""
import dataclasses
import re
import statistics

from . import formats, stats
from .micro import UNIT_SECONDS


@dataclasses.dataclass(frozen=True)
class Bar:
    text: str
    program: str
    case: str           # one run_name
    counter: str        # nanoseconds; "" for the CPU time itself
    limit: float        # seconds, or octets
    why: str            # what is known where it is missed; what it is compared with
    unit: str = "s"

    def show(self, value):
        return formats.seconds(value) if self.unit == "s" else f"{value:,.0f} {self.unit}"


STEER = "steer_bench"
LOOKUPS = "each lookup in a kernel hash map is an out-of-line call of some 25 ns; Katran's pass path takes 54 ns (docs/architecture/steering.md)"
BARS = (
    Bar("Steering: a packet that is no service's, more than an empty program", STEER, "not mesh, TCP over IPv4, no DNAT, 2 lookups", "", 25e-9, LOOKUPS),
    Bar("Steering: the same, with DNAT listeners", STEER, "not mesh, TCP over IPv4, 4 lookups", "", 25e-9, LOOKUPS),
    Bar("Steering: a service's packet, more than an empty program", STEER, "service, TCP over IPv4", "", 25e-9, LOOKUPS),
    Bar("L4: a packet of a known flow, IPv4, 1,000 flows", "worker_bench", "Established/tcp4/1000", "net_ns", 30e-9,
        "Katran's program takes 133 ns at 64 flows (kernel test-run)"),
    Bar("L4: the same, IPv6", "worker_bench", "Established/tcp6/1000", "net_ns", 30e-9, ""),
    Bar("L4: the same, IPv4, a million flows", "worker_bench", "Established/tcp4/1000000", "net_ns", 40e-9,
        "Katran 391 ns; memory latency of this virtual machine, see docs/adr/0016-what-a-packet-may-cost.md"),
    Bar("L4: the same, IPv6, a million flows", "worker_bench", "Established/tcp6/1000000", "net_ns", 40e-9,
        "two record lines per packet, see docs/adr/0016-what-a-packet-may-cost.md"),
    Bar("L4: the first packet of a flow, IPv4", "worker_bench", "NewFlow/tcp4/1", "ns", 250e-9, "with the bench's own source; Katran 700 ns"),
    Bar("L4: the first packet of a flow, IPv6", "worker_bench", "NewFlow/tcp6/1", "ns", 250e-9, "with the bench's own source; Katran 1,102 ns"),
    Bar("L4: addresses, ports and checksums rewritten", "l4_bench", "rewrite/ipv4_tcp", "", 15e-9, ""),
    Bar("Maglev: a table of 65,537 for 100 endpoints", "maglev_bench", "build/equal/65537/100", "", 1e-3,
        "Katran's generator takes 1.74 ms; in the daemon, never on a worker"),
    Bar("Proxy: a segment relayed at 1,000 connections", "relay_bench", "Relayed/1000", "net_ns", 250e-9, "docs/adr/0003-own-tcp.md"),
    Bar("Proxy: a connection opened, used and closed (400,000 a second)", "relay_bench", "Live", "ns", 1 / 400e3, "DPVS 200,000 a second and core"),
    Bar("Proxy: memory of an idle connection, at 100,000 of them", "relay_bench", "Idle/iterations:1", "resident_octets", 1024,
        "both legs with their timers, queues and congestion control; MOSN 11 to 26 KB", "octets"),
    Bar("HTTP: a request of 13 fields parsed", "http1_bench", "parse_ours/head:1/level:2", "", 500e-9, "http_parser in the same program: five times"),
    Bar("HTTP: a request of 12 fields and its answer, all of the proxy", "proxy_bench", "exchange/head:1", "", 2e-6,
        "without TCP; 26 us of HAProxy's core per request over veth, the kernel's TCP included"),
    Bar("HTTP: a route among 1,000", "route_bench", "lookup/1000/1", "", 500e-9, "75 to 150 ns per regular expression in proxies that try each"),
)


def steer_values(text):
    """{row: seconds more than the empty program} of what steer_bench prints."""
    rows = {name.strip(): float(ns) for name, ns in re.findall(r"^(\S.*?)\s{2,}([\d.]+)\s+[\d.]+\s+[\d.]+\s+\d+$", text, re.M)}
    return {name: (ns - rows["empty program"]) * 1e-9 for name, ns in rows.items()}


def value_of(report, bar):
    """Seconds (or octets), from one process's JSON report: the median of its repetitions."""
    rows = [row for row in report["benchmarks"] if row["run_name"] == bar.case and row.get("run_type") == "iteration"]
    if not rows:
        raise ValueError(f"{bar.program} has no case {bar.case}")
    if bar.counter:
        return statistics.median(row[bar.counter] for row in rows) * (1e-9 if bar.unit == "s" else 1)
    return statistics.median(row["cpu_time"] * UNIT_SECONDS[row["time_unit"]] for row in rows)


def judge(bar, samples):
    """(word, why): met, missed, refused."""
    if stats.spread(samples) > stats.SPREAD_MAX:
        return "refused", f"spread {stats.spread(samples):.0%} of the median"
    if min(samples) <= bar.limit < max(samples):
        return "refused", "the range holds the limit"
    return ("met" if max(samples) <= bar.limit else "missed"), ""


def cases(program):
    """A filter for exactly the cases that this program's bars need."""
    return "^(" + "|".join(bar.case for bar in BARS if bar.program == program) + ")$"
