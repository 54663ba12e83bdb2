"""base.py - what every load offers.

Model     run() drives one device for some seconds and returns values by metric name, and `operations`: what CPU time is
          divided by (requests, connections, messages, packets, or GB).
Metric    name, unit, better (higher or lower), whether it is the load's headline.
Errors    LoadError: no figure; failures of single operations make one as well, since a figure of a run that lost
          requests compares nothing.
"""
import dataclasses

from ..procs import LoadError


@dataclasses.dataclass(frozen=True)
class Metric:
    name: str
    unit: str
    better: str = "higher"
    headline: bool = False


CARRIED = {"web": "HTTP", "bulk": "TCP without HTTP", "rpc": "TCP without HTTP", "h2": "HTTP/2", "sink": "UDP"}


class Load:
    name = ""
    title = ""
    service = "web"
    operation = "request"
    metrics = ()
    offloads = "on"
    kinds = None      # device kinds that it makes sense for; None: all that serve the service
    curve = None      # (family, x): a point of a curve over x
    overhead = 0.25    # seconds beside the measured ones
    tells_cpu = True  # CPU per operation means something
    closes = False    # connections end while payload may be under way
    early = False     # before what leaves connections in TIME_WAIT
    late = False      # leaves something behind: after the turn's other loads
    apart = False     # on a bed of its own, or of others that are apart
    once = False      # leaves so much behind that a second time would be another load

    def why_not(self, device):
        """Why this load does not meet the device, or None."""
        if self.service not in device.serves:
            return f"the device does not carry {CARRIED[self.service]}"
        if device.only is not None and self.name not in device.only:
            return f"the device is for {', '.join(device.only)}"
        if self.kinds is not None and device.kind not in self.kinds:
            return f"for devices of other kinds: {', '.join(self.kinds)}"
        if self.closes and not device.keeps_order:
            return "the device may let a close overtake payload"
        if device.offloads == "off" and self.offloads == "on" and self.service == "bulk":
            return "the device works without offloads only"
        return None

    def prepare(self, bed, device):
        """Not measured. What an earlier load told the device is taken back."""
        if device.routes:
            device.set_routes(bed, 0)

    def run(self, bed, device, seconds):
        """Values by name; with "cpu" when the load knows better than the runner what to count."""
        raise NotImplementedError

    @staticmethod
    def need(condition, text):
        if not condition:
            raise LoadError(text)
