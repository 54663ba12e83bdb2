"""impair.py - a lab whose path to the client, or to the servers, leads through the impairment stage.

Model     client -- stage -- node -- servers: psk_impair forwards frames between two interfaces of a namespace of its
          own. `inbound` is what happens to frames towards the node, `outbound` to frames from it; plans are those of
          tests/support/impair/plan.h.
Offloads  of the interfaces at both ends of the stage are off: a wire carries whole frames with whole checksums.
Not here  psk_impair itself (tests/support/impair).
"""
import json
import os
import signal

from lab import Lab, binary, wait_for

WIRE = ("tx", "off", "tso", "off", "gso", "off", "gro", "off")


class Stage:
    """The stage of one side. It forwards untouched until set() says otherwise."""

    def __init__(self, lab, role, space):
        self.lab, self.role = lab, role
        self.namespace = lab.namespace(f"psk-impair-{role}-{lab.tag}")
        self.namespace.sysctl(ipv6__conf__all__disable_ipv6=1, ipv6__conf__default__disable_ipv6=1)
        lab.veth(f"veth-{role}", self.namespace, "node0")
        self.namespace.ip(f"link add far0 type veth peer name eth0 netns {space.name}", "link set far0 up")
        space.ip("link set eth0 up")
        lab.node.run("ethtool", "-K", f"veth-{role}", *WIRE)
        space.run("ethtool", "-K", "eth0", *WIRE)
        self.log = lab.directory / f"impair-{role}.log"
        self.child = None
        self.set()

    def set(self, inbound="none", outbound="none", seed=1):
        """Another plan; counters begin anew. What was on its way is lost."""
        self.stop()
        self.log.write_text("")
        self.child = self.lab.popen(self.namespace, binary("psk_impair"), "--west", "far0", "--east", "node0",
                                    "--eastward", inbound, "--westward", outbound, "--seed", seed, log=self.log)
        wait_for(self._ready, 5, f"the impairment stage stands: {self.log.read_text()}")

    def _ready(self):
        if self.child.poll() is not None:
            raise RuntimeError(f"psk_impair ended with {self.child.returncode}: {self.log.read_text()}")
        return self.log.read_text().startswith("ready")

    def counters(self):
        """{"inbound": ..., "outbound": ...} since the last set()."""
        reports = self.log.read_text().count("\n")
        os.kill(self.child.pid, signal.SIGUSR1)
        wait_for(lambda: self.log.read_text().count("\n") > reports, 5, "psk_impair reports")
        return self._last_report()

    def _last_report(self):
        both = json.loads(self.log.read_text().splitlines()[-1])
        return {"inbound": both["eastward"], "outbound": both["westward"]}

    def stop(self):
        if self.child is None:
            return
        code = self.lab.end(self.child)
        self.child = None
        if code != 0:
            raise RuntimeError(f"psk_impair ended with {code}: {self.log.read_text()}")


class ImpairedLab(Lab):
    """`stages`: which sides lead through a stage; afterwards a dict of them. `congestion` is the kernels' control:
    reno is allowed everywhere and minds loss; a machine's own default may be bbr, which hardly does."""

    def __init__(self, tag, stages=("client",), congestion="reno", **options):
        self.wanted, self.stages = stages, {}
        super().__init__(tag, **options)
        for space in (self.client, self.node, self.servers):
            space.sysctl(ipv4__tcp_congestion_control=congestion)

    def join(self, role, space):
        if role in self.wanted:
            self.stages[role] = Stage(self, role, space)
        else:
            super().join(role, space)
