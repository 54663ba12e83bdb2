"""bulk.py - one TCP connection that moves as much as it can (iperf3), with veth's offloads and without."""
import json

from .base import Load, Metric
from ..topology import service


def parse_iperf(text):
    """(octets received, seconds) from iperf3 -J."""
    end = json.loads(text)["end"]["sum_received"]
    return end["bytes"], end["seconds"]


class Bulk(Load):
    service, operation = "bulk", "GB"
    metrics = (Metric("rate", "Gbit/s", headline=True),)

    def __init__(self, name, title, offloads, reverse=False):
        self.name, self.title, self.offloads, self.reverse = name, title, offloads, reverse

    def run(self, bed, device, seconds):
        address, port = device.place(service("bulk"))
        words = ["iperf3", "-c", address, "-p", port, "-t", max(1, round(seconds)), "-J", *(["-R"] if self.reverse else [])]
        octets, took = parse_iperf(bed.run("client", bed.lab.client, *words, timeout=seconds + 8))
        self.need(octets > 0, "nothing arrived")
        return {"operations": octets / 1e9, "errors": 0, "rate": octets * 8 / took / 1e9}


LOADS = (
    Bulk("bulk", "bulk to the server, frames of 1,514 octets", "off"),
    Bulk("bulk-down", "bulk to the client, frames of 1,514 octets", "off", reverse=True),
    Bulk("bulk-offload", "bulk to the server, veth's own offloads (64 KiB at once)", "on"),
)
