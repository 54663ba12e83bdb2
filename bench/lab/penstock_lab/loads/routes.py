"""routes.py - requests that hit the last, or the first, of 1 to 10,000 regular-expression routes."""
from ..patterns import path_of
from .web import Web


class Routes(Web):
    kinds, overhead = ("requests",), 2.0

    def __init__(self, count, more="", first=False, alike=False):
        taken = "the first" if first else "the last"
        super().__init__(f"routes-{count}{more}", f"HTTP, {count:,} routes{' that begin alike' if alike else ''}, {taken} one taken",
                         path=path_of(0 if first else count - 1, alike), curve=None if more else ("routes", count))
        self.count, self.alike = count, alike

    def prepare(self, bed, device):
        device.set_routes(bed, self.count, self.alike)


LOADS = (*(Routes(count) for count in (1, 10, 100, 1000, 10000)), Routes(1000, "-first", first=True),
         Routes(1000, "-alike", alike=True), Routes(1000, "-alike-first", first=True, alike=True))
