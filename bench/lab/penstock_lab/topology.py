"""topology.py - the place of one turn: client, node and server namespaces, real servers, offloads as asked.

Model     client -- node -- servers, as in the end-to-end tests (tests/e2e/lab.py), and a direct cable client -- servers
          beside it for the row without a node. A new one for every turn: no connection, map or queue is inherited.
Offloads  "on": as veth comes, 64 KiB at once between kernels. "off": frames of 1,514 octets with whole checksums, as a
          wire carries them. A steering program changes what its peer may offload; that is part of its device's cost.
Not here  who forwards (duts/), who sends (loads/)
"""
import contextlib
import json
import os
import pathlib
import time

import servers
from lab import CLIENT4, NODE_CLIENT4, NODE_SERVERS4, VIP4, Lab, run, server4, wait_for

from . import ROOT, awake
from .cpu import AWAKE, Meter
from .pace import Pace
from .procs import LoadError

WIRE = ("tx", "off", "tso", "off", "gso", "off", "gro", "off")
UNBOUND = ("tx", "on", "tso", "on", "gso", "on")
DIRECT_CLIENT, DIRECT_SERVER = "10.10.3.2", "10.10.3.11"
FLOOD = "10.50.0.0/16"  # frames.h
FLAT_CLIENT = "10.10.2.2"  # the client's address when the device forwards frames without looking at addresses
WEB, H2, BULK, RPC, SINK = 8080, 8082, 5201, 12200, 9000
# (name, port of the service, port of the endpoint, protocol)
SERVICES = (("web", 80, WEB, "tcp"), ("bulk", BULK, BULK, "tcp"), ("rpc", RPC, RPC, "tcp"), ("h2", 82, H2, "tcp"),
            ("sink", SINK, SINK, "udp"))
PEERS = "bench/lab/peers"


def peer(name):
    """Path of one of our small programs."""
    from lab import BUILD
    path = pathlib.Path(BUILD, PEERS, name)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built; scripts/lab builds it")
    return str(path)


def kernel_threads(prefix):
    """Process ids by the beginning of their name."""
    found = set()
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().startswith(prefix):
                found.add(int(path.parent.name))
        except OSError:
            pass  # ended meanwhile
    return found


class Bed:
    """Namespaces and servers of one turn. A context manager."""

    def __init__(self, parties, name="lab"):
        self.parties, self.offloads, self.gro_at_ends = parties, "on", False
        self.lab = Lab(name, server_count=1)
        try:
            self._cable()
            self._servers()
            self.pace = self._pace()
        except BaseException:
            self.lab.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.close()

    def _cable(self):
        lab = self.lab
        lab.client.ip(f"link add direct0 type veth peer name direct0 netns {lab.servers.name}",
                      f"addr add {DIRECT_CLIENT}/24 dev direct0", "link set direct0 up")
        lab.servers.ip(f"addr add {DIRECT_SERVER}/24 dev direct0", "link set direct0 up")
        for space in (lab.client, lab.node, lab.servers):
            # What is allowed everywhere; a machine's default may differ.
            space.sysctl(ipv4__tcp_congestion_control="reno", ipv4__ip_local_port_range="1025 65000",
                         ipv4__tcp_tw_reuse=1, ipv4__tcp_max_syn_backlog=16384, core__somaxconn=16384)

    def interfaces(self):
        lab = self.lab
        return [(lab.client, "eth0"), (lab.client, "direct0"), (lab.node, "veth-client"), (lab.node, "veth-servers"),
                (lab.servers, "eth0"), (lab.servers, "direct0")]

    def use_offloads(self, state):
        """"on" or "off", for every interface of the bed."""
        if state == self.offloads:
            return
        words = WIRE if state == "off" else UNBOUND
        for space, name in self.interfaces():
            keeps = self.gro_at_ends and space is not self.lab.node
            space.run("ethtool", "-K", name, *words, *(("gro", "on") if keeps else ()))
        self.offloads = state

    def use_gro_at_ends(self):
        """On at client and servers from now on: their receive side then is NAPI, which takes frames that XDP sends."""
        self.gro_at_ends = True
        for space in (self.lab.client, self.lab.servers):
            space.run("ethtool", "-K", "eth0", "gro", "on")

    def _servers(self):
        lab = self.lab
        directory = lab.directory / "nginx-web1"
        (directory / "tmp").mkdir(parents=True)
        directory.chmod(0o755)
        lab.directory.chmod(0o755)
        config = directory / "nginx.conf"
        places = [place for address in (server4(1), DIRECT_SERVER) for place in (f"{address}:{WEB}", f"{address}:{H2} http2")]
        text = servers.nginx_config(directory, "web1", places, servers.bodies(lab.directory))
        files = self.parties.open_files
        config.write_text(f"user root; worker_rlimit_nofile {files};\n" + text.replace("worker_connections 8192",
                                                                                    f"worker_connections {files - 100}"))
        web = self.start("servers", lab.servers, "nginx", "-p", directory, "-e", directory / "error.log", "-c", config,
                         log=directory / "out.log")
        servers.wait_listening(lab, web, WEB, "-Hltn", directory / "error.log")
        rpc = self.start("servers", lab.servers, peer("conns"), "serve", RPC, "--bolt")
        bulk = self.start("servers", lab.servers, "iperf3", "-s")
        for child, port in ((bulk, BULK), (rpc, RPC)):
            wait_for(lambda: child.poll() is None and self.listens(lab.servers, port), 10, f"port {port} is served")

    def _pace(self):
        cores = sorted(set().union(*self.parties.cores.values()))
        file, log = self.lab.directory / "pace", self.lab.directory / "pace.log"
        self.ready(self.parties.start(self.lab, "lab", self.lab.node, peer("pace"), file, *cores, log=log, cores=set(cores)), log, "ready")
        return Pace(file, cores)

    def frames(self):
        """Frames that went in and out of the node so far; with offloads, one may be of 64 KiB."""
        rows = [json.loads(self.lab.node.run("ip", "-s", "-j", "link", "show", "dev", name).stdout)[0]["stats64"]
                for name in ("veth-client", "veth-servers")]
        return sum(row[way]["packets"] for row in rows for way in ("rx", "tx"))

    def meter(self):
        """CPU from now on."""
        return Meter(self.parties.groups, time.monotonic, self.pace)

    def ready(self, child, log, word, timeout=10):
        """Waits until a child of ours says so in its log."""
        def said():
            if child.poll() is not None:
                raise LoadError(f"ended with {child.returncode}: {log.read_text()[-300:]}")
            return log.read_text().startswith(word)
        wait_for(said, timeout, f"{word}: {log.name}")

    def receive_apart(self):
        """From now on the node receives on the device's cores and the servers on theirs, not on the core of whoever sends: NAPI in
        kernel threads that stay there, and packet steering for interfaces of the node that have none (a veth has it with XDP or GRO;
        the servers', where frames are counted in XDP, get it here)."""
        for name in ("eth0", "direct0"):
            self.lab.servers.run("ethtool", "-K", name, "gro", "on")
        before = kernel_threads("napi/")
        for space, names, party in ((self.lab.node, ("veth-client", "veth-servers"), "device"), (self.lab.servers, ("eth0", "direct0"), "servers")):
            cores = self.parties.cores[party]
            mask = f"{sum(1 << core for core in cores):x}"
            text = "".join(f"echo 1 >/sys/class/net/{name}/threaded || true; echo {mask} >/sys/class/net/{name}/queues/rx-0/rps_cpus; "
                           for name in names)
            run("ip", "netns", "exec", space.name, "sh", "-ec", text)
            fresh = kernel_threads("napi/") - before
            for pid in fresh:
                os.sched_setaffinity(pid, cores)
            before |= fresh

    @contextlib.contextmanager
    def awake(self):
        """No core halts meanwhile; yields how."""
        how = awake.POLLING if awake.can_poll() else awake.SPINNING
        with awake.polling() if how == awake.POLLING else self.spinning():
            yield how

    @contextlib.contextmanager
    def spinning(self):
        """On every core a process that gives way to whatever else wants to run."""
        cores = sorted(set().union(*self.parties.cores.values()))
        children = [self.parties.start(self.lab, AWAKE, self.lab.node, peer("spin"), cores={core}) for core in cores]
        try:
            wait_for(lambda: self.parties.groups.seconds(AWAKE) > 0.02 * len(cores), 5, "every core is awake", 0.02)
            yield
        finally:
            for child in children:
                self.lab.end(child)

    def serve_apart(self):
        """What serves moves to the device's cores."""
        for pid in self.parties.groups.pids("servers"):
            os.sched_setaffinity(pid, self.parties.cores["device"])

    def route_flood_home(self, device):
        """Answers to SYNs of 10.50.0.0/16 find their way to the client, which ignores them."""
        lab = self.lab
        lab.client.ip(f"route replace blackhole {FLOOD}")
        if device.kind == "none":
            lab.servers.ip(f"route replace {FLOOD} via {DIRECT_CLIENT}")
        elif device.flat:
            lab.servers.ip(f"route replace {FLOOD} via {FLAT_CLIENT}")
        else:
            lab.node.ip(f"route replace {FLOOD} via {CLIENT4}")

    def start(self, party, space, *command, log=None, stdin=None):
        return self.parties.start(self.lab, party, space, *command, log=log, stdin=stdin)

    def run(self, party, space, *command, timeout):
        return self.parties.run(party, space, *command, timeout=timeout)

    def listens(self, space, port, kind="t"):
        return bool(space.run("ss", f"-Hl{kind}n", f"sport = :{port}").stdout.strip())

    def own_addresses(self):
        """The service's address becomes the node's own: for devices that end connections by the node's kernel."""
        self.lab.node.ip(f"addr replace {VIP4}/32 dev lo")

    def flatten(self):
        """Client and server on one subnet, for devices that forward frames as they are."""
        client, node = self.lab.client, self.lab.node
        node.ip(f"addr del {NODE_CLIENT4}/24 dev veth-client", f"addr del {NODE_SERVERS4}/24 dev veth-servers")
        node.sysctl(ipv4__ip_forward=0, ipv6__conf__all__disable_ipv6=1)
        client.ip("addr flush dev eth0", f"addr add {FLAT_CLIENT}/24 dev eth0")


def service(name):
    return next(row for row in SERVICES if row[0] == name)


def services(protocols=("tcp",)):
    return [row for row in SERVICES if row[3] in protocols]


__all__ = ["Bed", "DIRECT_SERVER", "ROOT", "VIP4", "peer", "server4", "services", "wait_for", "WEB", "H2", "BULK", "RPC", "SINK"]
