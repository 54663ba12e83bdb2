"""kernel.py - no device, and the kernel as the device: routing, nftables DNAT, REDIRECT to a sidecar."""
import shutil

from lab import NODE_SERVERS4, VIP4, server4

from ..procs import LoadError
from ..topology import DIRECT_SERVER, services
from .base import ANY, Device
from .proxies import HAProxyTcp


class Direct(Device):
    name, title, kind, serves = "direct", "a cable: no node in between", "none", ANY

    def place(self, service):
        return DIRECT_SERVER, service[2]


class DirectApart(Direct):
    """How far it is to another core: a device pays that twice."""

    name, title = "direct-apart", "a cable, the server on the device's core"
    only = ("latency", "latency-awake", "keepalive")

    def start(self, bed):
        bed.serve_apart()

    def notes(self):
        return "the same distance as to a device, without one"


class Route(Device):
    name, title, kind, serves = "route", "kernel routing, no balancing", "packets", ANY

    def place(self, service):
        return self.endpoint(service)


class Nft(Device):
    name, title, kind, serves = "nft", "kernel, nftables DNAT and masquerade", "packets", ANY

    configurable = True

    def start(self, bed):
        self.bed = bed
        self.load(bed)

    def reload(self, _turn):
        self.load(self.bed, "flush table ip lab\n")

    def load(self, bed, before=""):
        rules = "\n".join(f"    ip daddr {VIP4} {protocol} dport {port} dnat to {server4(1)}:{to}"
                          for _name, port, to, protocol in services(("tcp", "udp")))
        bed.lab.node.run("nft", "-f", "-", input=before + f"""table ip lab {{
  chain pre {{
    type nat hook prerouting priority -100;
{rules}
  }}
  chain post {{ type nat hook postrouting priority 100; ip daddr {server4(1)} masquerade; }}
}}
""")


class Sidecar(HAProxyTcp):
    """What a mesh does: clients address the server, iptables REDIRECT takes the connection to a proxy."""

    name, title, kind = "sidecar", "iptables REDIRECT to HAProxy (tcp)", "connections"
    shift = 10000  # the proxy's ports

    def start(self, bed):
        program = shutil.which("iptables-nft")
        if program is None:
            raise LoadError("iptables-nft is missing: package iptables")
        super().start(bed)
        for _name, _port, to, _protocol in services():
            bed.lab.node.run(program, "-t", "nat", "-A", "PREROUTING", "-i", "veth-client", "-p", "tcp", "-d", server4(1),
                             "--dport", to, "-j", "REDIRECT", "--to-ports", self.shift + to)

    def bind(self, service):
        return "0.0.0.0", self.shift + service[2]

    def place(self, service):
        return self.endpoint(service)

    def notes(self):
        return f"the proxy connects from {NODE_SERVERS4}; conntrack is on the path of both halves"


DEVICES = (Direct, DirectApart, Route, Nft, Sidecar)
