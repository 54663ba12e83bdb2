"""web.py - HTTP by wrk and h2load against nginx: kept connections, one connection per request, body sizes, numbers of connections,
HTTP/2 without TLS."""
import re

from .base import Load, Metric
from ..topology import service

UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


def microseconds(text):
    """wrk's "1.25ms" as a number."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNITS[unit]


def parse_wrk(text):
    """{"rate", "requests", "errors", "p50", "p90", "p99"}; latencies in microseconds."""
    rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
    total = re.search(r"(\d+) requests in", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    kinds = dict(zip(("connect", "read", "write", "timeout"), errors.groups())) if errors else {}
    found = {"kinds": ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count != "0"),
             "rate": float(rate.group(1)), "requests": int(total.group(1)),
             "errors": (sum(map(int, errors.groups())) if errors else 0) + (int(bad.group(1)) if bad else 0)}
    for percent in (50, 90, 99):
        found[f"p{percent}"] = microseconds(re.search(rf"\s{percent}%\s+([\d.]+\w+)", text).group(1))
    return found


class Web(Load):
    errors_max = 1e-3  # share of requests; beyond, there is no figure

    def __init__(self, name, title, path="/", connections=32, close=False, curve=None, offloads="on"):
        self.name, self.title, self.path, self.connections = name, title, path, connections
        self.curve, self.offloads = curve, offloads
        self.operation, self.closes = "connection" if close else "request", close
        self.metrics = (Metric("rate", f"{self.operation}s/s", headline=True), Metric("p50", "us", "lower"),
                        Metric("p90", "us", "lower"), Metric("p99", "us", "lower"))

    def run(self, bed, device, seconds):
        address, port = device.place(service("web"))
        words = ["wrk", "-d", f"{max(1, round(seconds))}s", "-c", self.connections, "-t", 1, "--latency"]
        if self.closes:
            words += ["-H", "Connection: close"]
        done = parse_wrk(bed.run("client", bed.lab.client, *words, f"http://{address}:{port}{self.path}",
                                 timeout=seconds + 8))
        self.need(done["requests"] > 0, "no request was answered")
        self.need(done["errors"] <= done["requests"] * self.errors_max,
                  f"{done['errors']} errors ({done['kinds']}) in {done['requests']} requests")
        return {"operations": done["requests"], "errors": done["errors"],
                **{name: done[name] for name in ("rate", "p50", "p90", "p99")}}


class Awake(Web):
    """No core halts (awake.py), so a hop between cores costs what the kernel and the device make of it, and not what a hypervisor takes
    to wake a virtual core. Nothing is said about CPU, which is right only where no process has to spin for it."""

    tells_cpu = False

    def __init__(self, name, title):
        super().__init__(name, title, connections=1)
        self.metrics = (Metric("p50", "us", "lower", headline=True), Metric("p90", "us", "lower"), Metric("p99", "us", "lower"),
                        Metric("rate", "requests/s"))

    def run(self, bed, device, seconds):
        with bed.awake() as how:
            return {**super().run(bed, device, seconds), "awake": how}


def parse_h2load(text):
    """{"rate", "requests", "errors"} of what h2load prints."""
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", text)
    counts = re.search(r"requests: .*?(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    good, *bad = map(int, counts.groups())
    return {"rate": float(rate.group(1)), "requests": good, "errors": sum(bad)}


def percentiles(samples):
    """{"p50", "p90", "p99"}"""
    ordered = sorted(samples)
    return {f"p{percent}": ordered[percent * (len(ordered) - 1) // 100] for percent in (50, 90, 99)}


class Http2(Load):
    """Latencies from h2load's log: one line per request, its third word in microseconds."""

    name, title, service = "h2", "HTTP/2 without TLS: 8 connections with 16 streams each (h2load)", "h2"
    metrics = (Metric("rate", "requests/s", headline=True), Metric("p50", "us", "lower"), Metric("p90", "us", "lower"),
               Metric("p99", "us", "lower"))
    connections, streams = 8, 16

    def run(self, bed, device, seconds):
        address, port = device.place(service("h2"))
        log = bed.lab.directory / "h2load.log"
        log.write_text("")
        log.chmod(0o666)
        done = parse_h2load(bed.run("client", bed.lab.client, "h2load", "-D", max(1, round(seconds)), "-c", self.connections, "-m",
                                    self.streams, "-t", 1, "--log-file", log, f"http://{address}:{port}/", timeout=seconds + 8))
        self.need(done["requests"] > 0, "no request was answered")
        self.need(done["errors"] <= done["requests"] / 1000, f"{done['errors']} of {done['requests']} requests failed")
        times = [int(line.split("\t")[2]) for line in log.read_text().splitlines()]
        return {"operations": done["requests"], "errors": done["errors"], "rate": done["rate"], **percentiles(times)}


LOADS = (
    Web("keepalive", "HTTP, 32 kept connections, tiny answer", curve=("connections", 32)),
    Web("oneshot", "HTTP, one connection per request", close=True),
    Web("latency", "HTTP, one kept connection: nothing waits for a neighbour", connections=1, curve=("connections", 1)),
    Awake("latency-awake", "HTTP, one kept connection, no core halts"),
    Web("keepalive-8", "HTTP, 8 kept connections", connections=8, curve=("connections", 8)),
    Web("keepalive-64", "HTTP, 64 kept connections", connections=64, curve=("connections", 64)),
    Web("keepalive-256", "HTTP, 256 kept connections", connections=256, curve=("connections", 256)),
    Web("body-0", "HTTP, empty bodies", path="/body/0", curve=("body octets", 0)),
    Web("body-1k", "HTTP, bodies of 1 KiB", path="/body/1k", curve=("body octets", 1 << 10)),
    Web("body-16k", "HTTP, bodies of 16 KiB", path="/body/16k", curve=("body octets", 1 << 14)),
    Web("body-16k-wire", "HTTP, bodies of 16 KiB, offloads off", path="/body/16k", offloads="off"),
    Web("body-64k", "HTTP, bodies of 64 KiB", path="/body/64k", curve=("body octets", 1 << 16)),
    Web("body-1m", "HTTP, bodies of 1 MiB", path="/body/1m", connections=8, curve=("body octets", 1 << 20)),
    Web("oneshot-1k", "HTTP, one connection per request, bodies of 1 KiB", path="/body/1k", close=True),
    Web("oneshot-64k", "HTTP, one connection per request, bodies of 64 KiB", path="/body/64k", close=True),
    Web("oneshot-1m", "HTTP, one connection per request, bodies of 1 MiB", path="/body/1m", connections=8, close=True),
    Http2(),
)
