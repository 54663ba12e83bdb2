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


class Load:
    name = ""
    title = ""
    service = "web"
    operation = "request"
    metrics = ()
    offloads = "on"
    kinds = None      # device kinds that it makes sense for; None: all that serve the service
    curve = None      # (family, x): a point of a curve over x
    overhead = 0.5    # seconds beside the measured ones
    early = False     # before what leaves connections in TIME_WAIT
    late = False      # leaves something behind: after the turn's other loads

    def fits(self, device):
        return self.service in device.serves and (self.kinds is None or device.kind in self.kinds)

    def prepare(self, bed, device):
        """Not measured."""

    def run(self, bed, device, seconds):
        """Values by name; with "cpu" when the load knows better than the runner what to count."""
        raise NotImplementedError

    @staticmethod
    def need(condition, text):
        if not condition:
            raise LoadError(text)
