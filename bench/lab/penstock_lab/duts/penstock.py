"""penstock.py - Penstock in each of its tiers: packets translated by a worker (FullNAT, DNAT), hot flows inside XDP, connections ended
(mode: proxy), requests read (protocol: http), and what the kernel does in its place while the dataplane is away."""
import os
import signal

from lab import VIP4, binary, server4, wait_for

from ..patterns import pattern_of
from ..targets import KERNEL_PATH
from ..topology import services
from .base import ANY, STREAMS, Device

APPLY_SECONDS = 60  # 10,000 regular expressions are compiled on one core that others may want as well


class FullNat(Device):
    name, title, kind, serves = "penstock-fullnat", "Penstock, packets, FullNAT", "packets", ANY
    extra = {"forwarding": "fullnat", "xdp_forwarding": False}
    configurable = True

    def configuration(self, bed, weight=1):
        cpus = sorted(bed.parties.cores["device"])
        rows = [row for row in services(("tcp", "udp")) if row[0] in self.serves]
        clusters = [{"name": name, "endpoints": [{"address": server4(1), "port": to, "weight": weight}]}
                    for name, _port, to, _protocol in rows]
        listeners = [{"name": name, "address": VIP4, "port": port, "protocol": protocol, "cluster": name, **self.extra}
                     for name, port, _to, protocol in rows]
        return bed.lab.config(clusters, listeners, cpus=cpus)

    def start(self, bed):
        lab = bed.lab
        lab.write_config(self.configuration(bed))
        lab.daemon = bed.start("device", lab.node, binary("penstockd"), "--config", lab.config_path, "--dataplane",
                               binary("penstock-dataplane"), log=lab.daemon_log)
        lab.wait_ready()
        self.bed = bed

    def reload(self, turn):
        """Another configuration that means nearly the same: every weight changes."""
        self.bed.lab.apply(self.configuration(self.bed, 1 + turn % 7))

    def pid(self):
        return self.bed.lab.dataplane_pid()


class Dnat(FullNat):
    name, title, extra = "penstock-dnat", "Penstock, packets, DNAT", {"forwarding": "dnat", "xdp_forwarding": False}


class Forwarded(FullNat):
    """Tier X: a flow with traffic is the XDP program's after half a second. Redirecting to a veth needs GRO at its other end."""

    name, title, extra = "penstock-xdp", "Penstock, packets, FullNAT; hot flows inside XDP", {"forwarding": "fullnat"}
    gro_at_ends, warm_seconds = True, 1.2

    def start(self, bed):
        super().start(bed)
        wait_for(lambda: all(port["redirect_target"] for port in bed.lab.status()["ports"]), 5, "both ports are redirect targets", 0.05)

    def notes(self):
        return "GRO is on at the client's and the server's end; a connection's first half second is the worker's"


class Fallback(FullNat):
    """The dataplane is halted: its heartbeat grows old, the XDP program passes everything on, nftables balances."""

    name, title = KERNEL_PATH, "Penstock's kernel path: the dataplane does not answer, nftables balances"
    configurable = False

    def configuration(self, bed, weight=1):
        config = super().configuration(bed, weight)
        config["node"]["watchdog"] = "1h"  # nobody starts it again meanwhile
        return config

    def start(self, bed):
        super().start(bed)
        halted = self.pid()
        os.kill(halted, signal.SIGSTOP)
        bed.lab.on_close.append(lambda: os.kill(halted, signal.SIGCONT))
        wait_for(lambda: self.reaches(bed), 15, "the kernel path serves", 0.05)

    def notes(self):
        return "the XDP program and the daemon run, the dataplane is stopped by a signal"


class Proxy(FullNat):
    name, title, kind = "penstock-proxy", "Penstock, mode: proxy (our TCP), one worker", "connections"
    serves, extra = STREAMS, {"mode": "proxy"}

    def configuration(self, bed, weight=1):
        config = super().configuration(bed, weight)
        config["node"]["memory_mib"] = 512
        config["node"]["limits"] = {"flows_per_worker": 65536, "buffers_per_worker": 16384}
        config["node"]["proxy"] = {"connections_per_worker": 16384}
        return config


class Splice(Proxy):
    """Connections begin in the proxy and are spliced when they are at rest."""

    name, title = "penstock-splice", "Penstock, mode: proxy, splice: kept connections sink to tier S"
    extra = {"mode": "proxy", "splice": True}


class Http(Proxy):
    """HTTP/1.1 of our own on both legs; with set_routes() it routes by so many regular expressions."""

    name, title, kind = "penstock-http", "Penstock, protocol: http, one worker", "requests"
    serves, routes, alike = ("web",), 0, False

    def configuration(self, bed, weight=1):
        config = super().configuration(bed, weight)
        listener = config["listeners"][0]
        del listener["mode"]
        matches = [{"regex": pattern_of(index, self.alike).strip("^$")} for index in range(self.routes)] or [{"prefix": "/"}]
        listener.update(protocol="http", virtual_hosts=[{"name": "all", "domains": ["*"], "routes": [
            {"name": f"r{index}", "match": match, "cluster": "web"} for index, match in enumerate(matches)]}])
        return config

    def set_routes(self, bed, count, alike=False):
        self.routes, self.alike = count, alike
        bed.lab.apply(self.configuration(bed), APPLY_SECONDS)


class LargeFrames:
    """ADR 0019: large segments arrive whole, in the interface's generic mode, and the pods keep their segmentation offload."""

    def configuration(self, bed, weight=1):
        config = super().configuration(bed, weight)
        config["ports"] = [{**port, "large_frames": True} for port in config["ports"]]
        return config


class ProxyLarge(LargeFrames, Proxy):
    name, title = "penstock-proxy-lf", "Penstock, mode: proxy, large_frames, one worker"


class HttpLarge(LargeFrames, Http):
    name, title = "penstock-http-lf", "Penstock, protocol: http, large_frames, one worker"


DEVICES = (FullNat, Dnat, Forwarded, Fallback, Proxy, Splice, Http, ProxyLarge, HttpLarge)
