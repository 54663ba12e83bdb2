"""packets.py - frames of 64 octets from an AF_XDP generator (bench/lab/peers/frame_load), counted and dropped in XDP at the
server: as many as go, and the rate at which none is lost; and a SYN flood beside honest new connections."""
import contextlib
import json
import socket
import subprocess
import threading
import time

from lab import CLIENT4, wait_for

from ..topology import DIRECT_CLIENT, FLAT_CLIENT, SINK, peer, service
from .base import Load, Metric
from .web import parse_wrk

FLOOD_RATE = 20000
WARM_RATE = 2000          # frames/s, before those that are counted
DRAIN_SECONDS = 0.1
TRIAL_SECONDS = 0.3
RESOLUTION = 0.05         # of the rate; the search ends there
LEAST_RATE = 5000         # frames/s; who loses at that has no such rate
BACK_OFF, CONFIRMATIONS_MAX = 0.1, 5


def sender_place(bed, device):
    """(client's interface, its address, the next hop's MAC) for frames that go by this device."""
    lab = bed.lab
    if device.kind == "none":
        return "direct0", DIRECT_CLIENT, mac_of(lab.servers, "direct0")
    if device.flat:
        return "eth0", FLAT_CLIENT, mac_of(lab.servers, "eth0")
    return "eth0", CLIENT4, mac_of(lab.node, "veth-client")


def mac_of(space, interface):
    return json.loads(space.run("ip", "-j", "link", "show", "dev", interface).stdout)[0]["address"]


def send_words(bed, device, to, seconds, *options):
    interface, address, mac = sender_place(bed, device)
    return [peer("frame_load"), "send", interface, mac, address, to[0], to[1], seconds, *options]


@contextlib.contextmanager
def answers(bed):
    """The server answers datagrams meanwhile: a flow that has seen both ways is one that devices keep, and may treat better."""
    server = bed.lab.servers.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", SINK))
    server.settimeout(0.05)
    over = threading.Event()

    def serve():
        while not over.is_set():
            try:
                server.sendto(*server.recvfrom(2048))
            except OSError:
                pass  # nothing came, or an ICMP error
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        server.close()


class Counter:
    """Counts what arrives at the server; a context manager."""

    def __init__(self, bed, device):
        self.bed, self.device, self.log = bed, device, bed.lab.directory / "count.log"
        self.to = device.place(service("sink"))
        self.log.write_text("")
        with answers(bed):
            self.send(device.warm_seconds, "--rate", WARM_RATE)  # flows exist, ARP is done
        interface = "direct0" if device.kind == "none" else "eth0"
        self.child = bed.start("servers", bed.lab.servers, peer("frame_load"), "count", interface, SINK, log=self.log,
                               stdin=subprocess.PIPE)

    def __enter__(self):
        try:
            self.bed.ready(self.child, self.log, "ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.bed.lab.end(self.child)
        self.child.stdin.close()

    def send(self, seconds, *options):
        """{"sent", "seconds"}"""
        return json.loads(self.bed.run("client", self.bed.lab.client, *send_words(self.bed, self.device, self.to, seconds, *options),
                                       timeout=seconds + 8))

    def received(self):
        """All so far, after what is under way has arrived."""
        time.sleep(DRAIN_SECONDS)
        lines = len(self.log.read_text().splitlines())
        self.child.stdin.write(b"?")
        self.child.stdin.flush()
        wait_for(lambda: len(self.log.read_text().splitlines()) > lines, 5, "the counter answers", 0.005)
        return json.loads(self.log.read_text().splitlines()[-1])["received"]

    def trial(self, seconds, *options):
        """(frames sent, frames received, seconds) of one burst."""
        before = self.received()
        sent = self.send(seconds, *options)
        return sent["sent"], min(self.received() - before, sent["sent"]), sent["seconds"]


class Packets(Load):
    service, operation, offloads, late = "sink", "packet", "off", True
    overhead = 0.7
    name, title = "packets", "frames of 64 octets, UDP, 64 flows, as many as the generator sends"
    metrics = (Metric("rate", "packets/s", headline=True), Metric("sent", "packets/s"), Metric("lost", "%", "lower"),
               Metric("sender", "% of a core", "lower"))

    def run(self, bed, device, seconds):
        with Counter(bed, device) as counter:
            before = counter.received()
            meter = bed.meter()
            sent = counter.send(seconds)
            cpu = meter.since()
            received = min(counter.received() - before, sent["sent"])
        return self.values(sent["sent"], received, sent["seconds"], cpu)

    def values(self, sent, received, took, cpu):
        self.need(received > 0, f"nothing of {sent} frames arrived")
        return {"operations": received, "errors": 0, "rate": received / took, "sent": sent / took,
                "lost": 100 * (1 - received / sent), "sender": 100 * cpu["client"] / cpu["seconds"], "cpu": cpu}


def search(trial, top, least, resolution=RESOLUTION):
    """The greatest rate in (0, top] at which trial(rate) loses nothing, as RFC 2544 (s26.1) searches it; 0 when even `least` loses.
    `top` has been tried and loses."""
    good, bad = 0.0, top
    while bad - good > resolution * bad:
        if good == 0 and bad <= least:
            return 0.0
        rate = (good + bad) / 2
        if trial(rate):
            good = rate
        else:
            bad = rate
    return good


class Saturate(Packets):
    """The sender no longer pays for the device's receiving, and is not slowed down by it."""

    name, title = "saturate", "frames of 64 octets, UDP, 64 flows; the device receives on its own core"

    def prepare(self, bed, device):
        bed.receive_apart()


class LossFree(Saturate):
    """Binary search over short trials, then one of the run's length at what was found; a little less as long as that loses."""

    name, title = "lossless", "the same at the greatest rate that loses none"
    metrics = (Metric("rate", "packets/s", headline=True), Metric("limit", "packets/s"), Metric("sender", "% of a core", "lower"))
    overhead = 8.0

    def run(self, bed, device, seconds):
        with Counter(bed, device) as counter:
            def lossless(rate, length=TRIAL_SECONDS):
                sent, received, _took = counter.trial(length, "--rate", rate)
                return received == sent
            sent, received, took = counter.trial(TRIAL_SECONDS)
            top = sent / took
            rate = top if received == sent else search(lossless, top, LEAST_RATE)
            self.need(rate > 0, f"frames are lost even at {LEAST_RATE:,} a second")
            for _attempt in range(CONFIRMATIONS_MAX):
                meter = bed.meter()
                sent, received, took = counter.trial(seconds, "--rate", rate)
                cpu = meter.since()
                if sent == received:
                    return {**self.values(sent, received, took, cpu), "limit": top, "frames": None}  # the search's are not of this
                rate *= 1 - BACK_OFF
        self.need(False, f"no steady rate: frames are lost at {rate:,.0f} a second, which short trials carried")


class Flood(Load):
    operation, offloads, late, once, closes = "connection", "off", True, True, True  # off: after every load that its half-open flows would disturb
    name, title = "flood", f"new connections while {FLOOD_RATE:,} SYNs/s of unknown addresses arrive"
    metrics = (Metric("rate", "connections/s", headline=True), Metric("p50", "us", "lower"), Metric("p90", "us", "lower"),
               Metric("p99", "us", "lower"), Metric("failed", "%", "lower"))

    def run(self, bed, device, seconds):
        to = device.place(service("web"))
        bed.route_flood_home(device)
        flood = bed.start("client", bed.lab.client, *send_words(bed, device, to, seconds + 6, "--syn", "--rate", FLOOD_RATE))
        try:
            time.sleep(0.3)
            words = ["wrk", "-d", f"{max(1, round(seconds))}s", "-c", 8, "-t", 1, "--latency", "-H", "Connection: close"]
            done = parse_wrk(bed.run("client", bed.lab.client, *words, f"http://{to[0]}:{to[1]}/", timeout=seconds + 8))
        finally:
            bed.lab.end(flood)
        self.need(done["requests"] > 0, "no new connection came through the flood")
        return {"operations": done["requests"], "errors": done["errors"], "failed": 100 * done["errors"] / done["requests"],
                **{name: done[name] for name in ("rate", "p50", "p90", "p99")}}


LOADS = (Packets(), Flood(), Saturate(), LossFree())  # the last two change the bed
