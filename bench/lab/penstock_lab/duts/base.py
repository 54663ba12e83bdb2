"""base.py - what every device under test offers.

Model     start() sets it up in a fresh bed, place() says where a client finds a service, the bed's end removes it.
Kinds     none: no device; frames: forwards whatever comes; packets: reads addresses, rewrites them;
          connections: ends TCP on both sides; requests: reads HTTP as well. Only devices of one kind do the same work.
"""
from lab import VIP4, server4, wait_for
from traffic import connect

from ..procs import LoadError
from ..topology import service

STREAMS = ("web", "bulk", "rpc", "h2")  # rows of topology.SERVICES
ANY = (*STREAMS, "sink")
KINDS = ("none", "frames", "packets", "connections", "requests")


class Device:
    name = ""
    title = ""
    kind = "packets"
    serves = STREAMS
    flat = False              # client and server share a subnet
    offloads = None           # "off" when it cannot work with them
    gro_at_ends = False       # client's and server's interfaces keep GRO whatever a load says about offloads
    warm_seconds = 0.3        # of a load before what is counted, where a load has that
    polls = False             # keeps its core busy whatever happens
    keeps_order = True        # a close never overtakes payload
    configurable = False      # reload() exists
    only = None               # loads that it is for; None: whatever fits
    routes = 0                # as set_routes() said last; devices that read HTTP have it

    def start(self, bed):
        """Ready when it returns."""

    def place(self, service):
        """(address, port) for a client; service is a row of topology.SERVICES."""
        return VIP4, service[1]

    def make_configurable(self, bed):
        """Before the first reload(); what has no master process gets one."""

    def pid(self):
        """Its main process, or None: for memory."""
        return None

    def notes(self):
        """What a reader should know about how it was set up."""
        return ""

    def started(self, bed, child, port, log, kind="t"):
        """Waits until `child` listens in the node."""
        def listening():
            if child.poll() is not None:
                raise LoadError(f"{self.name} ended with {child.returncode}: {log.read_text()[-400:]}")
            return bed.listens(bed.lab.node, port, kind)
        wait_for(listening, 10, f"{self.name} listens on port {port}")
        self.child = child
        return self

    def reaches(self, bed):
        """Frames really pass both ways."""
        try:
            connect(bed.lab.client, *self.place(service("web")), timeout=0.5).close()
            return True
        except OSError:
            return False

    @staticmethod
    def endpoint(row):
        return server4(1), row[2]
