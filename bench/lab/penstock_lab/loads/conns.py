"""conns.py - connections that say little (bench/lab/peers/conns): ten thousand at rest, a thousand with Bolt heartbeats; Bolt
calls; and requests while the device's configuration changes."""
import contextlib
import json
import pathlib
import signal
import threading
import time

from .base import Load, Metric
from .web import Web
from ..topology import peer, service

SETTLE_SECONDS, SETTLE_LOOKS_MAX, SETTLED = 0.1, 50, 0.1  # a look, looks, and the share of a core below which it rests


def resident_octets(pid):
    """Resident memory of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


def settle(used, sleep=time.sleep):
    """Until the device has buried the connections that ended, told by the CPU that it has `used`; the next load is not to wait for that."""
    for _look in range(SETTLE_LOOKS_MAX):
        before = used()
        sleep(SETTLE_SECONDS)
        if used() - before < SETTLED * SETTLE_SECONDS:
            return True
    return False


@contextlib.contextmanager
def held(bed, address, port, count, *options):
    """`count` open connections meanwhile; yields (milliseconds that opening took, report())."""
    log = bed.lab.directory / "conns.log"
    log.write_text("")
    child = bed.start("client", bed.lab.client, peer("conns"), "hold", address, port, count, *options, log=log)

    def report():
        bed.lab.end(child, signal.SIGTERM, timeout=5)
        return json.loads(log.read_text().splitlines()[-1])
    try:
        bed.ready(child, log, "open", 45)
        yield float(log.read_text().split()[1]), report
    finally:
        bed.lab.end(child)
        settle(lambda: bed.parties.groups.seconds("device"))


class Idle(Load):
    name, title, operation = "idle", "10,000 connections that say nothing", "connection"
    count = 10000
    kinds = ("packets", "connections", "requests")
    metrics = (Metric("rate", "connections/s opened", headline=True), Metric("memory", "octets/connection", "lower"),
               Metric("idle", "% of a core", "lower"))
    overhead, early, once = 3.0, True, True  # once: memory that was used before would not grow

    def run(self, bed, device, seconds):
        count = min(self.count, bed.parties.connections_max())
        address, port = device.place(service("web"))
        pid = device.pid()
        before = resident_octets(pid) if pid else 0
        with held(bed, address, port, count) as (opened_ms, report):
            time.sleep(0.5)
            memory = resident_octets(pid) - before if pid else None
            meter = bed.meter()
            time.sleep(seconds)
            cpu = meter.since()
            alive = report()["alive"]
        self.need(alive == count, f"{count - alive} of {count} connections were lost")
        return {"operations": count, "errors": 0, "rate": count / opened_ms * 1e3, "count": count,
                "memory": memory / count if memory is not None else None,
                "idle": 100 * (cpu["device_process"] + cpu["kernel_threads"]) / cpu["seconds"], "cpu": cpu}


class Heartbeats(Load):
    name, title, operation = "heartbeats", "RPC: 1,000 connections, a Bolt heartbeat (22 octets) on each every 100 ms", "heartbeat"
    service = "rpc"
    count, interval_ms = 1000, 100
    metrics = (Metric("p50", "us", "lower", headline=True), Metric("p90", "us", "lower"), Metric("p99", "us", "lower"),
               Metric("rate", "answers/s"))
    overhead = 1.0

    def run(self, bed, device, seconds):
        address, port = device.place(service("rpc"))
        with held(bed, address, port, self.count, "--interval", self.interval_ms) as (_opened, report):
            meter = bed.meter()
            begun = time.monotonic()
            time.sleep(seconds)
            cpu, took = meter.since(), time.monotonic() - begun
            done = report()
        self.whole(done, self.count)
        return {"operations": done["answered"], "errors": done["sent"] - done["answered"], "rate": done["answered"] / took,
                "p50": done["p50"], "p90": done["p90"], "p99": done["p99"], "cpu": cpu}


    def whole(self, done, count):
        """Every connection lives, every answer was right."""
        self.need(done["alive"] == count, f"{count - done['alive']} of {count} connections were lost")
        self.need(done["wrong"] == 0, f"{done['wrong']} answers were wrong")
        self.need(done["answered"] > 0, "nothing was answered")


class Calls(Heartbeats):
    name, title, operation = "rpc", "RPC: Bolt calls of 1 KiB, 32 connections, one in flight on each", "call"
    count, octets = 32, 1024
    metrics = (Metric("rate", "calls/s", headline=True), Metric("p50", "us", "lower"), Metric("p90", "us", "lower"),
               Metric("p99", "us", "lower"))
    overhead = 0.5

    def run(self, bed, device, seconds):
        address, port = device.place(service("rpc"))
        text = bed.run("client", bed.lab.client, peer("conns"), "call", address, port, self.count, seconds, "--octets", self.octets,
                       timeout=seconds + 25)
        done = json.loads(text.splitlines()[-1])
        self.whole(done, self.count)
        return {"operations": done["answered"], "errors": 0, "rate": done["answered"] / done["seconds"],
                **{name: done[name] for name in ("p50", "p90", "p99")}}


class Churn(Web):
    """Reloads as fast as the device takes them, by a thread of the lab, while requests run."""

    late = once = True
    errors_max = 1.0  # what a change loses is a figure

    def __init__(self):
        super().__init__("churn", "HTTP, 32 kept connections, while the configuration changes all the time")
        self.metrics += (Metric("reloads", "reloads/s"), Metric("slowest", "ms", "lower"), Metric("failed", "%", "lower"))

    def why_not(self, device):
        return super().why_not(device) or (None if device.configurable else "the lab cannot replace this device's configuration while it runs")

    def prepare(self, bed, device):
        super().prepare(bed, device)
        device.make_configurable(bed)

    def run(self, bed, device, seconds):
        times, stop, failures = [], threading.Event(), []

        def reload_all_the_time():
            turn = 0
            while not stop.is_set() and not failures:
                begun = time.monotonic()
                try:
                    device.reload(turn)
                except Exception as error:  # told below, in the measuring thread
                    failures.append(error)
                times.append(time.monotonic() - begun)
                turn += 1
                time.sleep(0.01)
        thread = threading.Thread(target=reload_all_the_time, daemon=True)
        begun = time.monotonic()
        thread.start()
        try:
            values = super().run(bed, device, seconds)
        finally:
            stop.set()
            thread.join(20)
        self.need(not failures, f"reload: {failures[:1]}")
        values.update(reloads=len(times) / (time.monotonic() - begun), slowest=max(times) * 1e3,
                      failed=100 * values["errors"] / values["operations"])
        return values


LOADS = (Idle(), Heartbeats(), Calls(), Churn())
