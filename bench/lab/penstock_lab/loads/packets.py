"""packets.py - frames of 64 octets from an AF_XDP generator (bench/lab/peers/frame_load), counted and dropped in XDP at the
server; and a SYN flood beside honest new connections."""
import json
import time

from lab import CLIENT4

from ..procs import LoadError
from ..topology import DIRECT_CLIENT, FLAT_CLIENT, SINK, peer
from .base import Load, Metric, service
from .web import parse_wrk

FLOOD_RATE = 20000


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


class Packets(Load):
    service, operation, offloads, late = "sink", "packet", "off", True
    name, title = "packets", "frames of 64 octets, UDP, 64 flows, as many as the generator sends"
    metrics = (Metric("rate", "packets/s", headline=True), Metric("sent", "packets/s"), Metric("lost", "%", "lower"))

    def run(self, bed, device, seconds):
        lab, log = bed.lab, bed.lab.directory / "count.log"
        interface = "direct0" if device.kind == "none" else "eth0"
        counter = bed.start("servers", lab.servers, peer("frame_load"), "count", interface, SINK, log=log)
        try:
            bed.ready(counter, log, "ready")
            to = device.place(service("sink"))
            bed.run("client", lab.client, *send_words(bed, device, to, 0.3, "--rate", 1000), timeout=5)  # flows exist, ARP is done
            meter = bed.meter()
            before = time.monotonic()
            sent = json.loads(bed.run("client", lab.client, *send_words(bed, device, to, seconds), timeout=seconds + 8))
            took = time.monotonic() - before
            cpu = meter.since()
            time.sleep(0.2)
        finally:
            lab.end(counter)
        received = json.loads(log.read_text().splitlines()[-1])["received"] - 300
        if received <= 0:
            raise LoadError(f"nothing of {sent['sent']} frames arrived")
        received = min(received, sent["sent"])
        return {"operations": received, "errors": 0, "rate": received / sent["seconds"], "sent": sent["sent"] / sent["seconds"],
                "lost": 100 * (1 - received / sent["sent"]), "took": took, "cpu": cpu}


class Flood(Load):
    operation, late = "connection", True
    name, title = "flood", f"new connections while {FLOOD_RATE:,} SYNs/s of unknown addresses arrive"
    metrics = (Metric("rate", "connections/s", headline=True), Metric("p50", "us", "lower"), Metric("p90", "us", "lower"),
               Metric("p99", "us", "lower"), Metric("failed", "%", "lower"))

    def fits(self, device):
        return super().fits(device) and device.keeps_order

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


LOADS = (Packets(), Flood())
