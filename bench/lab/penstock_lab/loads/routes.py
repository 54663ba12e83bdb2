"""routes.py - requests that hit the last of 1 to 10,000 regular-expression routes."""
from ..patterns import path_of
from .web import Web


class Routes(Web):
    kinds, overhead = ("requests",), 2.0

    def __init__(self, count):
        super().__init__(f"routes-{count}", f"HTTP, {count:,} routes, the last one taken", path=path_of(count), curve=("routes", count))
        self.count = count

    def prepare(self, bed, device):
        device.set_routes(bed, self.count)


LOADS = tuple(Routes(count) for count in (1, 10, 100, 1000, 10000))
