"""duts.py - what may stand in the node and carry TCP services: Penstock as a proxy, Penstock as a balancer, HAProxy.

Model     each serves the same services on the same addresses, so that one test runs against any of them. HAProxy is
          the control: a case that fails with it too blames the case, not Penstock.
Services  a list of (name, port of the service, port of the endpoint); every one exists for IPv4 and IPv6, with the
          first server as its endpoint.
Choice    environment PENSTOCK_DUT: proxy (default), l4, haproxy.
"""
import os
import pathlib

import case
from lab import VIP4, VIP6, server4, server6, wait_for


def rows(services):
    """(name, service address, service port, endpoint address, endpoint port)"""
    for name, port, to in services:
        yield f"{name}4", VIP4, port, server4(1), to
        yield f"{name}6", VIP6, port, server6(1), to


def cpu_seconds(pid):
    """User and system time of a process, its threads included."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Penstock:
    """Listeners of `mode: proxy`, or balanced packets (l4)."""

    resets_propagate = True   # a reset on one side is a reset on the other
    fails_open = True

    def __init__(self, lab, services, proxy=True, node=None, ports=None):
        self.lab, self.proxy, self.node, self.services = lab, proxy, dict(node or {}), services
        self.name = "proxy" if proxy else "l4"
        self.ports = ports

    def configuration(self, more_clusters=(), more_listeners=()):
        mode = {"mode": "proxy"} if self.proxy else {"forwarding": "fullnat"}
        clusters, listeners = list(more_clusters), list(more_listeners)
        for name, address, port, server, to in rows(self.services):
            clusters.append({"name": name, "endpoints": [{"address": server, "port": to}]})
            listeners.append({"name": name, "address": address, "port": port, "protocol": "tcp", "cluster": name, **mode})
        return self.lab.config(clusters, listeners, ports=self.ports, **self.node)

    def start(self):
        self.lab.start_daemon(self.configuration())
        return self

    def pid(self):
        return self.lab.dataplane_pid()

    def memory_kib(self):
        return case.rss_and_fds(self.pid())[0]

    def held(self):
        """What connections hold now, by name; all 0 when there are none. Empty for a balancer."""
        if not self.proxy:
            return {}
        proxy = self.lab.status()["proxy"]
        return {name: proxy[name] for name in ("active", "half_open", "lent_buffers", "entries_in_use", "blocks_in_use")}


class HAProxy:
    """HAProxy in tcp mode, one thread; the service addresses are the node's own."""

    name = "haproxy"
    resets_propagate = False  # it closes the other side in order
    fails_open = False

    def __init__(self, lab, services):
        self.lab, self.services, self.child = lab, services, None

    def start(self):
        self.lab.node.ip(f"addr add {VIP4}/32 dev lo", f"addr add {VIP6}/128 dev lo nodad")
        config = self.lab.directory / "haproxy.cfg"
        config.write_text(self.text())
        log = self.lab.directory / "haproxy.log"
        self.child = self.lab.popen(self.lab.node, "haproxy", "-db", "-f", config, log=log)
        first = self.services[0][1]

        def listening():
            if self.child.poll() is not None:
                raise RuntimeError(f"haproxy ended with {self.child.returncode}: {log.read_text()}")
            return self.lab.node.run("ss", "-Hltn", f"sport = :{first}").stdout.strip()
        wait_for(listening, 10, "haproxy listens")
        return self

    def text(self):
        lines = ["global", "  maxconn 4000", "  nbthread 1", "defaults", "  mode tcp", "  timeout connect 10s",
                 "  timeout client 1h", "  timeout server 1h", "  retries 0"]
        for name, address, port, server, to in rows(self.services):
            bind, endpoint = (f"[{address}]", f"[{server}]") if ":" in address else (address, server)
            lines += [f"listen {name}", f"  bind {bind}:{port} backlog 8192", f"  server s {endpoint}:{to}"]
        return "\n".join(lines) + "\n"

    def pid(self):
        return self.child.pid

    def memory_kib(self):
        return case.rss_and_fds(self.pid())[0]

    def held(self):
        return {}


def chosen():
    return os.environ.get("PENSTOCK_DUT", "proxy")


def make(lab, services, **options):
    """The device under test that the environment names; `options` are Penstock's."""
    kind = chosen()
    if kind == "haproxy":
        return HAProxy(lab, services)
    if kind not in ("proxy", "l4"):
        raise ValueError(f"PENSTOCK_DUT={kind}: proxy, l4 or haproxy")
    return Penstock(lab, services, proxy=kind == "proxy", **options)
