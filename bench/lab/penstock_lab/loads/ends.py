"""ends.py - kept HTTP connections whose ends are XDP programs (bench/lab/peers/http_ends): client and server cost a fraction of a
microsecond, so the machine's CPU is the device's.

Fairness  with sockets at both ends, whoever forwards also walks the TCP of client and server, in softirq, as part of its own sending;
          the kernel cannot tell that apart. Here nobody's TCP is there but the device's own.
Needs     GRO at the node's interfaces, so that they take what an XDP program sends.
"""
import contextlib
import json
import subprocess
import time

from lab import wait_for

from ..topology import WEB, peer, service
from .base import Load, Metric
from .packets import sender_place

WARM_SECONDS = 0.3


class Ends(Load):
    overhead = 0.8
    apart = True  # kept connections of other loads know another server, and the other way round
    metrics = (Metric("rate", "requests/s", headline=True),)

    def __init__(self, name, title, connections):
        self.name, self.title, self.connections = name, title, connections

    def prepare(self, bed, device):
        super().prepare(bed, device)
        for interface in ("veth-client", "veth-servers"):
            bed.lab.node.run("ethtool", "-K", interface, "gro", "on")

    def run(self, bed, device, seconds):
        interface, address, mac = sender_place(bed, device)
        to = device.place(service("web"))
        lab = bed.lab
        with contextlib.ExitStack() as stack:
            self._child(stack, bed, "servers", lab.servers, "serve", interface, WEB)
            client, log = self._child(stack, bed, "client", lab.client, "ask", interface, mac, address, to[0], to[1],
                                      "--connections", self.connections)
            time.sleep(max(WARM_SECONDS, device.warm_seconds))
            meter, first, began = bed.meter(), self._ask(client, log), time.monotonic()
            time.sleep(seconds)
            last, took, cpu = self._ask(client, log), time.monotonic() - began, meter.since()
        answers = last["answers"] - first["answers"]
        for word in ("odd", "resets"):
            self.need(last[word] == 0, f"{last[word]} segments were {word}: every answer must be one segment")
        self.need(last["slowest"] > 0, "a connection stands still")
        return {"operations": answers, "errors": 0, "rate": answers / took, "cpu": cpu}

    @staticmethod
    def _child(stack, bed, party, space, command, *words):
        log = bed.lab.directory / f"ends-{command}.log"
        log.write_text("")
        child = bed.start(party, space, peer("http_ends"), command, *words, log=log, stdin=subprocess.PIPE)
        stack.callback(child.stdin.close)
        stack.callback(bed.lab.end, child)
        bed.ready(child, log, "ready")
        return child, log

    @staticmethod
    def _ask(child, log):
        """Counts so far."""
        lines = len(log.read_text().splitlines())
        child.stdin.write(b"?")
        child.stdin.flush()
        wait_for(lambda: len(log.read_text().splitlines()) > lines, 5, "the client counts", 0.002)
        return json.loads(log.read_text().splitlines()[-1])


LOADS = (
    Ends("ends", "HTTP, 32 kept connections, both ends in XDP: the device alone", 32),
    Ends("ends-64", "HTTP, 64 kept connections, both ends in XDP", 64),
)
