"""raw.py - devices that forward frames without reading them: the floor that a packet device stands on."""
import time

from lab import CLIENT4, wait_for

from ..procs import LoadError
from ..topology import peer
from .base import ANY, Device

PMD = "net_af_xdp{slot},iface={name},busy_budget=0"


class Raw(Device):
    kind, flat, offloads = "frames", True, "off"
    serves = ANY

    def place(self, service):
        return self.endpoint(service)

    def wait_forwarding(self, bed, child, log):
        def forwarding():
            if child.poll() is not None:
                raise LoadError(f"{self.name} ended with {child.returncode}: {log.read_text()[-300:]}")
            return self.reaches(bed)
        wait_for(forwarding, 15, f"{self.name} forwards", 0.1)
        self.child = child

    def pid(self):
        return self.child.pid

    def notes(self):
        return f"client and server share a subnet (no {CLIENT4}); frames are not read; offloads are always off"


class Redirect(Raw):
    name, title = "xdp-redirect", "XDP redirect between the two interfaces"

    def start(self, bed):
        lab = bed.lab
        for space in (lab.client, lab.servers):
            space.run("ethtool", "-K", "eth0", "gro", "on")  # what takes redirected frames needs a NAPI of its own
        log = lab.directory / "redirect.log"
        child = bed.start("device", lab.node, peer("xdp_redirect"), "veth-client", "veth-servers", log=log)
        self.wait_forwarding(bed, child, log)


class Testpmd(Raw):
    name, title, polls = "testpmd", "DPDK testpmd, io mode, AF_XDP, one polling core", True

    def start(self, bed):
        cores = bed.parties.cores
        main, worker = min(cores["client"]), min(cores["device"])
        words = ["dpdk-testpmd", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m", "256", "-l", f"{main},{worker}",
                 "--main-lcore", main]
        for slot, name in enumerate(("veth-client", "veth-servers")):
            words += ["--vdev", PMD.format(slot=slot, name=name)]
        words += ["--", "--forward-mode=io", "--total-num-mbufs=16384", "--stats-period", "100", "--no-mlockall"]
        log = bed.lab.directory / "testpmd.log"
        child = bed.start("device", bed.lab.node, *words, log=log)
        time.sleep(0.5)
        self.wait_forwarding(bed, child, log)


DEVICES = (Redirect, Testpmd)
